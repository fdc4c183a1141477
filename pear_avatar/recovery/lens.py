"""A camera for pictures without calibration."""

from __future__ import annotations

from pear_avatar.geometry.cameras import default_world_camera, intrinsics
from pear_avatar.types import Camera

__all__ = ["FOCAL_GUESS", "guess_camera"]

#: Focal length in lengths of the picture's longer side (49 degrees).
FOCAL_GUESS = 1.1


def guess_camera(width: int, height: int) -> Camera:
    """A centred camera with a usual lens, upright at the world's origin."""
    K = intrinsics(FOCAL_GUESS * max(width, height), width, height)
    return Camera(K, default_world_camera(), width, height)
