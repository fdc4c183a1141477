"""Camera paths for rendering a motion: each function returns one camera a frame, as a batch.

Azimuths are radians about +y: 0 stands on +z, in front of a body that faces +z, and pi / 2 on
+x, at that body's left. All cameras look slightly down from ``elevation`` radians above the
horizon, at a distance from which everything they were asked to show fits into the picture.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pear_avatar.errors import PearError
from pear_avatar.geometry.cameras import crop_camera, intrinsics, look_at
from pear_avatar.types import Camera

__all__ = ["fixed_path", "orbit_path", "resized_path", "turntable_path"]

#: Vertical field of view of a portrait lens: little distortion of a whole person.
FIELD_OF_VIEW = math.radians(28.0)
ELEVATION = math.radians(4.0)
_FILL = 0.90  # share of the picture that the framed points may take


def fixed_path(
    points: Tensor,
    *,
    width: int,
    height: int,
    azimuth: float = 0.0,
    elevation: float = ELEVATION,
) -> Camera:
    """One standing camera that sees all of a motion.

    Args:
        points: (N, P, 3) metres, what must be seen in each of N frames.
        width: pixels.
        height: pixels.
        azimuth: where the camera stands.
        elevation: how far above the horizon it stands.
    """
    _check(points, 3)
    everything = points.reshape(1, -1, 3)
    camera = _frame_camera(
        everything,
        _middle(everything),
        points.new_tensor([azimuth]),
        elevation,
        width,
        height=height,
    )
    count = points.shape[0]
    return Camera(
        camera.K.expand(count, 3, 3), camera.T_camera_world.expand(count, 4, 4), width, height
    )


def orbit_path(
    points: Tensor,
    *,
    width: int,
    height: int,
    start_azimuth: float = 0.0,
    turns: float = 1.0,
    elevation: float = ELEVATION,
) -> Camera:
    """A camera that circles a moving person ``turns`` times and keeps them in the middle.

    It follows the person's smoothed way at one distance, so that it neither shakes nor zooms.

    Args:
        points: (N, P, 3) metres, what must be seen in each of N frames.
        width: pixels.
        height: pixels.
        start_azimuth: where the camera stands in the first frame.
        turns: full circles over the motion, counter-clockwise from above; may be negative.
        elevation: how far above the horizon it stands.
    """
    _check(points, 3)
    centers = _smooth(_middle(points))
    azimuth = _circle(points, start_azimuth, turns)
    return _frame_camera(points, centers, azimuth, elevation, width, height=height)


def turntable_path(
    points: Tensor,
    num_frames: int,
    *,
    width: int,
    height: int,
    start_azimuth: float = 0.0,
    turns: float = 1.0,
    elevation: float = ELEVATION,
) -> Camera:
    """A camera that circles a person who stands still.

    Args:
        points: (P, 3) metres, what must be seen.
        num_frames: cameras N; the last stands one step before the first, so that it loops.
        width: pixels.
        height: pixels.
        start_azimuth: where the first camera stands.
        turns: full circles, counter-clockwise from above; may be negative.
        elevation: how far above the horizon it stands.
    """
    _check(points, 2)
    if num_frames < 1:
        raise PearError(f"a turntable needs at least 1 frame, got {num_frames}")
    still = points.expand(num_frames, *points.shape)
    azimuth = _circle(still, start_azimuth, turns)
    return _frame_camera(still, _middle(still), azimuth, elevation, width, height=height)


def resized_path(camera: Camera, width: int, height: int) -> Camera:
    """The same cameras (batched or not) for pictures of another size: all stays in view, centred.

    ``camera`` is a clip's own, as a track holds them.
    """
    scale = min(width / camera.width, height / camera.height)
    offset_x = (camera.width - width / scale) / 2
    offset_y = (camera.height - height / scale) / 2
    return crop_camera(camera, scale, offset_x, offset_y, width, height=height)


def _check(points: Tensor, dims: int) -> None:
    if points.dim() != dims or points.shape[-1] != 3 or 0 in points.shape:
        wanted = "(N, P, 3)" if dims == 3 else "(P, 3)"
        raise ValueError(f"points must have shape {wanted}, got {tuple(points.shape)}")
    if not bool(torch.isfinite(points).all()):
        raise PearError("points hold NaN or infinity: there is nothing to frame")


def _middle(points: Tensor) -> Tensor:
    """(N, P, 3) -> centres (N, 3) of the bounding boxes."""
    return (points.amin(1) + points.amax(1)) / 2


def _circle(points: Tensor, start: float, turns: float) -> Tensor:
    count = points.shape[0]
    step = torch.arange(count, dtype=points.dtype, device=points.device) / count
    return start + 2 * math.pi * turns * step


def _smooth(centers: Tensor) -> Tensor:
    """(N, 3) after a Gaussian of N / 12 frames, ends held."""
    sigma = max(centers.shape[0] / 12, 0.5)
    half = math.ceil(2.5 * sigma)
    t = torch.arange(-half, half + 1, dtype=centers.dtype, device=centers.device)
    kernel = torch.exp(-0.5 * (t / sigma) ** 2)
    padded = torch.cat([centers[:1].expand(half, 3), centers, centers[-1:].expand(half, 3)]).t()[
        :, None
    ]
    smooth = torch.nn.functional.conv1d(padded, (kernel / kernel.sum())[None, None])
    return smooth[:, 0].t()


def _frame_camera(
    points: Tensor, centers: Tensor, azimuth: Tensor, elevation: float, width: int, *, height: int
) -> Camera:
    """Cameras (N,) at ``azimuth`` (N,) aimed at ``centers`` (N, 3).

    All stand at one distance, from which each sees its own ``points`` (N, P, 3).
    """
    if not abs(elevation) < math.pi / 2:
        raise ValueError(f"elevation must lie strictly within +-pi/2 radians, got {elevation}")
    focal = height / 2 / math.tan(FIELD_OF_VIEW / 2)
    outward = torch.stack(
        [
            torch.sin(azimuth) * math.cos(elevation),
            torch.full_like(azimuth, math.sin(elevation)),
            torch.cos(azimuth) * math.cos(elevation),
        ],
        -1,
    )
    aim = look_at(outward, torch.zeros_like(outward))[:, :3, :3]
    x, y, z = ((points - centers[:, None]) @ aim.transpose(-1, -2)).unbind(-1)
    # A point fits if focal * |x| / (distance + z) <= fill * width / 2, and likewise in y.
    across = x.abs() * (2 * focal / (_FILL * width)) - z
    along = y.abs() * (2 * focal / (_FILL * height)) - z
    distance = max(float(across.max()), float(along.max()), 0.3)
    T = look_at(centers + distance * outward, centers)
    K = intrinsics(focal, width, height).to(points)
    return Camera(K.expand(len(T), 3, 3), T, int(width), int(height))
