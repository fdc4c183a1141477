"""One fixed set of anny bone rotations that brings every shape into SMPL-X's T-pose.

anny's identity pose is an A-pose with bent fingers that does not depend on the shape. The
rotations are found once, on the default phenotype: arms and fingers 2-5 straight along +-x with
the palm down, legs two degrees outwards, feet flat.
"""

from __future__ import annotations

import numpy as np
import torch

from pear_avatar.geometry.rotations import axis_angle_to_matrix, rotation_between
from tools.build_body.anny_source import Source

_CLAVICLE_RAISE = np.deg2rad(8.0)
_LEG_SPREAD = np.deg2rad(2.0)
_TWIST_CHAIN = ("upperarm02", "lowerarm01", "lowerarm02", "wrist")
_FINGER_SPREAD = 0.5  # of the splay of anny's identity pose


def _about(axis: np.ndarray, angle: float) -> np.ndarray:
    return axis_angle_to_matrix(torch.as_tensor(axis * angle)).numpy()


def _between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    unit = [torch.as_tensor(v / np.linalg.norm(v)) for v in (a, b)]
    return rotation_between(*unit).numpy()


class _Poser:
    """Bone rotations under construction; directions are in anny's axes (z up, face to -y)."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.local = np.tile(np.eye(3), (len(source.bone_names), 1, 1))
        self.reference = source.model.reference_bone_orientations.numpy().reshape(-1, 3, 3)
        self._refresh()

    def _refresh(self) -> None:
        poses = self.source.forward(self.local, self.source.default_phenotype())["bone_poses"][0]
        self.heads = poses[:, :3, 3]
        self.world = poses[:, :3, :3] @ self.reference.transpose(0, 2, 1)

    def index(self, bone: str) -> int:
        return self.source.bone_names.index(bone)

    def direction(self, start: str, end: str) -> np.ndarray:
        return self.heads[self.index(end)] - self.heads[self.index(start)]

    def turn(self, bone: str, R_world: np.ndarray) -> None:
        """Rotate a bone and everything below it by a rotation in world axes."""
        i = self.index(bone)
        parent = self.world[self.source.bone_parents[i]]
        self.local[i] = parent.T @ R_world @ self.world[i]
        self._refresh()


def tpose_rotations(source: Source) -> np.ndarray:
    """(B, 3, 3) rotations local to anny's reference pose that make the T-pose."""
    poser = _Poser(source)
    for side, sign in (("L", 1.0), ("R", -1.0)):
        _raise_arm(poser, side, sign)
        _straighten_fingers(poser, side, sign)
        _place_leg(poser, side, sign)
    return poser.local


def _raise_arm(poser: _Poser, side: str, sign: float) -> None:
    out = np.array([sign, 0.0, 0.0])
    poser.turn(f"clavicle.{side}", _about(np.array([0.0, -sign, 0.0]), _CLAVICLE_RAISE))
    for bone, end in (
        ("upperarm01", "lowerarm01"),
        ("lowerarm01", "wrist"),
        ("wrist", "finger3-1"),
    ):
        direction = poser.direction(f"{bone}.{side}", f"{end}.{side}")
        poser.turn(f"{bone}.{side}", _between(direction, out))
    across = poser.direction(f"finger2-1.{side}", f"finger5-1.{side}")
    backwards = np.array([0.0, 1.0, 0.0])
    x_axis = np.array([1.0, 0.0, 0.0])
    twist = float(np.arctan2(np.cross(across, backwards) @ x_axis, across @ backwards))
    for bone in _TWIST_CHAIN:
        poser.turn(f"{bone}.{side}", _about(x_axis, twist / len(_TWIST_CHAIN)))


def _straighten_fingers(poser: _Poser, side: str, sign: float) -> None:
    for finger in range(2, 6):
        splay = poser.direction(f"finger{finger}-1.{side}", f"finger{finger}-3.{side}")
        splay = splay / np.hypot(splay[0], splay[1])
        target = np.array([sign, _FINGER_SPREAD * splay[1] / abs(splay[0]), 0.0])
        for k in (1, 2):
            bone, end = (f"finger{finger}-{k + i}.{side}" for i in (0, 1))
            poser.turn(bone, _between(poser.direction(bone, end), target))


def _place_leg(poser: _Poser, side: str, sign: float) -> None:
    foot = poser.index(f"foot.{side}")
    flat = poser.world[foot].copy()
    target = np.array([sign * np.sin(_LEG_SPREAD), 0.0, -np.cos(_LEG_SPREAD)])
    direction = poser.direction(f"upperleg01.{side}", f"foot.{side}")
    poser.turn(f"upperleg01.{side}", _between(direction, target))
    poser.turn(f"foot.{side}", flat @ poser.world[foot].T)
