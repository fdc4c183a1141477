"""A source skeleton as tensors, with its world's upward axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.errors import MotionFileError
from pear_avatar.geometry.rotations import rotation_between
from pear_avatar.motion.formats.axes import UpAxis, to_y_up
from pear_avatar.motion.retarget.capture import CaptureMotion
from pear_avatar.motion.retarget.skeleton_map import SkeletonMap, map_skeleton

__all__ = ["LIMBS", "SIDES", "Source", "leg_length", "prepare"]

_F64 = torch.float64
SIDES = ("left", "right")

#: Bones that point exactly where the source's do, by the joints at their ends.
LIMBS = {
    f"{side}_{start}": f"{side}_{end}"
    for side in SIDES
    for start, end in (
        ("shoulder", "elbow"),
        ("elbow", "wrist"),
        ("hip", "knee"),
        ("knee", "ankle"),
    )
}


@dataclass(frozen=True)
class Source:
    """The source skeleton as tensors.

    rest:    (J, 3) positions in the zero pose; rest_up: (3,) its upward axis.
    R, p:    (N, J, 3, 3), (N, J, 3) world motion; up: (3,) the world's upward axis.
    U:       (3, 3) from the source's world to ours.
    """

    skeleton: SkeletonMap
    rest: Tensor
    rest_up: Tensor
    R: Tensor
    p: Tensor
    up: Tensor
    U: Tensor

    def at(self, name: str) -> Tensor:
        """(N, 3) positions of the source joint that drives a limb joint of the body."""
        return self.p[:, self.skeleton.limbs[name]]

    def bone(self, start: int, end: int) -> Tensor:
        """(3,) from one joint to another in the zero pose."""
        return self.rest[end] - self.rest[start]


def prepare(bvh: CaptureMotion, up_axis: UpAxis | None) -> Source:
    """Recognise a capture's skeleton and find which way it is up.

    Raises MotionFileError where the skeleton is not recognised or has no extent.
    """
    skeleton = map_skeleton(bvh)
    rest = bvh.rest()
    R, p = bvh.world()
    _check_size(bvh.source, skeleton, rest)
    feet = [skeleton.limbs[f"{side}_ankle"] for side in SIDES]
    rest_up = nearest_axis(rest[skeleton.head] - rest[feet].mean(0))
    upright = p[:, skeleton.head] - p[:, feet].mean(1)
    mean = (upright / np.linalg.norm(upright, axis=-1, keepdims=True).clip(1e-9)).mean(0)
    # A person who crawls or tumbles does not show which way is up; the zero pose does.
    up = nearest_axis(mean) if np.abs(mean).max() > 0.7 else rest_up
    if up_axis is not None:
        up = to_y_up(up_axis)[1]
    U = rotation_between(up, torch.tensor([0.0, 1.0, 0.0], dtype=_F64))
    rest_t, R_t, p_t = (torch.from_numpy(np.ascontiguousarray(a)) for a in (rest, R, p))
    return Source(skeleton=skeleton, rest=rest_t, rest_up=rest_up, R=R_t, p=p_t, up=up, U=U)


def _check_size(name: str, skeleton: SkeletonMap, rest: np.ndarray) -> None:
    limbs = skeleton.limbs
    pairs = {"hips": ("left_hip", "right_hip"), "shoulders": ("left_shoulder", "right_shoulder")}
    pairs |= {f"{s} leg": (f"{s}_hip", f"{s}_ankle") for s in SIDES}
    for what, (a, b) in pairs.items():
        if np.linalg.norm(rest[limbs[a]] - rest[limbs[b]]) < 1e-6:
            raise MotionFileError(
                f"{name}: the {what} have no extent in the file's zero pose (joints at one "
                "place); export the skeleton with its bone lengths"
            )


def nearest_axis(direction: np.ndarray) -> Tensor:
    axis = torch.zeros(3, dtype=_F64)
    strongest = int(np.abs(direction).argmax())
    axis[strongest] = 1.0 if direction[strongest] > 0 else -1.0
    return axis


def leg_length(points: Tensor, index: Callable[[str], int] = JOINT_INDEX.__getitem__) -> Tensor:
    """Mean length of both legs from hip to ankle, metres, of rest joints (J, 3).

    index: place of a joint by its name; SMPL-X's 55 joints by default.
    """
    total = points.new_zeros(())
    for side in SIDES:
        hip, knee, ankle = (points[index(f"{side}_{j}")] for j in ("hip", "knee", "ankle"))
        total = total + (knee - hip).norm() + (ankle - knee).norm()
    return total / 2
