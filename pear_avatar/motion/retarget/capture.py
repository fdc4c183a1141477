"""A skeleton in motion as capture files hold it, before anything is made of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.formats.arrays import (
    MAX_FRAMES,
)

__all__ = ["MAX_JOINTS", "CaptureMotion", "axis_turns", "check_capture_size"]

MAX_JOINTS = 1000

#: Joint rotations above this many are refused before memory is asked for: half an hour at 120
#: frames a second of a skeleton with fingers, a gigabyte.
_MAX_ROTATIONS = MAX_FRAMES * 64


@dataclass(frozen=True)
class CaptureMotion:
    """A skeleton of J joints in N frames, in the file's own units and axes.

    names:       joint names; end sites are not joints.
    parents:     each joint's parent, -1 for the root; parents come before their children.
    offsets:     (J, 3) position in the parent's frame at rest.
    end_offsets: for joints with an end site, its (3,) offset; None for the others.
    rotations:   (N, J, 3, 3) local rotations.
    positions:   (N, J, 3) local positions: the offsets, or what the file says instead.
    frame_time:  seconds between frames.
    source:      the file's name, for messages.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    end_offsets: tuple[np.ndarray | None, ...]
    rotations: np.ndarray
    positions: np.ndarray
    frame_time: float
    source: str

    @property
    def num_frames(self) -> int:
        """N."""
        return int(self.rotations.shape[0])

    def rest(self) -> np.ndarray:
        """(J, 3) positions of the joints with every rotation at zero."""
        points = np.array(self.offsets, np.float64)
        for j, parent in enumerate(self.parents):
            if parent >= 0:
                points[j] += points[parent]
        return points

    def world(self) -> tuple[np.ndarray, np.ndarray]:
        """World rotations (N, J, 3, 3) and positions (N, J, 3) of all joints."""
        R, p = np.empty_like(self.rotations), np.empty_like(self.positions)
        for j, parent in enumerate(self.parents):
            if parent < 0:
                R[:, j], p[:, j] = self.rotations[:, j], self.positions[:, j]
            else:
                R[:, j] = R[:, parent] @ self.rotations[:, j]
                p[:, j] = p[:, parent] + (R[:, parent] @ self.positions[:, j, :, None])[..., 0]
        return R, p


def check_capture_size(source: str, frames: int, joints: int) -> None:
    """Refuse what no capture needs, before memory for it is asked for.

    Raises MotionFileError for no frames, too many frames, or too many frames times joints.
    """
    if frames < 1:
        raise MotionFileError(f"{source}: the motion has no frames")
    if frames > MAX_FRAMES:
        raise MotionFileError(
            f"{source}: {frames} frames are more than the {MAX_FRAMES} that are read; "
            "cut the motion"
        )
    if frames * joints > _MAX_ROTATIONS:
        raise MotionFileError(
            f"{source}: {frames} frames of {joints} joints are more than are read at once "
            f"({_MAX_ROTATIONS} rotations); cut the motion"
        )


def axis_turns(axis: int, angle: np.ndarray) -> np.ndarray:
    """(N,) radians about coordinate axis 0, 1 or 2 -> (N, 3, 3)."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    out = np.zeros((len(angle), 3, 3))
    out[:, axis, axis] = 1
    out[:, a, a] = out[:, b, b] = np.cos(angle)
    out[:, b, a] = np.sin(angle)
    out[:, a, b] = -out[:, b, a]
    return out
