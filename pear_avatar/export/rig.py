"""The skeleton that other programs get: names, a root on the floor, bones along the limbs.

A joint of SMPL-X has the world's axes at rest. Programs that draw a bone along the joint's own +Y
(Blender's glTF importer does, Mixamo's files do) then show every bone pointing up. Here each joint
gets rest axes ``W`` with +Y along its limb; a local rotation ``R`` becomes ``W_parent^T R W``, so
the skin moves exactly as before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS
from pear_avatar.body.model import BodyModel
from pear_avatar.choices import BoneNames, RootKind, Travel
from pear_avatar.errors import PearError
from pear_avatar.export.bone_names import bone_names, root_name
from pear_avatar.types import Motion

__all__ = ["AT_PELVIS", "Rig", "RigStyle", "RootPath", "root_path"]

#: Joints with several children point to one of them; those without any, along the world.
_TOWARDS = {"pelvis": "spine1", "spine3": "neck", "left_wrist": "left_middle1",
            "right_wrist": "right_middle1"}  # fmt: skip
_ENDS = {"head": (0.0, 1.0, 0.0), "jaw": (0.0, 0.0, 1.0), "left_eye": (0.0, 0.0, 1.0),
         "right_eye": (0.0, 0.0, 1.0), "left_foot": (0.0, 0.0, 1.0),
         "right_foot": (0.0, 0.0, 1.0)}  # fmt: skip

#: +Z of a bone points forward, or up where the bone itself points more forward than this cosine.
_FORWARD = 0.7

#: The floor lies where the lowest point of the skin is in this share of the frames (in up to so
#: many of them, posed so many at a time): one frame that sinks does not lift all others.
_FLOOR_SHARE, _FLOOR_FRAMES, _BATCH = 0.05, 200, 16


@dataclass(frozen=True)
class RigStyle:
    """How the skeleton of a file is built.

    root:   "floor": the body stands on the floor at the origin under a root joint, bones point
            along the limbs; "pelvis": the pelvis is the first joint, the body lies where its
            template does (about the pelvis), joints have the world's axes.
    bones:  whose names the joints carry.
    travel: with "floor", what carries a motion's way over the floor: the "root" joint (root
            motion), the "pelvis", or nothing ("in-place").
    """

    root: RootKind = "floor"
    bones: BoneNames = "smplx"
    travel: Travel = "root"

    def __post_init__(self) -> None:
        for name, value, kinds in (
            ("root", self.root, RootKind),
            ("bones", self.bones, BoneNames),
            ("travel", self.travel, Travel),
        ):
            if value not in get_args(kinds):
                raise PearError(f"{name} must be one of {get_args(kinds)}, got {value!r}")


#: The skeleton of SMPL-X as it is.
AT_PELVIS = RigStyle(root="pelvis")


@dataclass(frozen=True)
class Rig:
    """A skeleton of J joints at rest.

    style:   what was asked for.
    names:   J names.
    root:    name of the joint above the pelvis, if there is one.
    parents: (J,) index of each joint's parent, -1 for the pelvis.
    shift:   (3,) metres from the body's template to where the file's stands.
    joints:  (J, 3) metres, float64, shifted.
    axes:    (J, 3, 3) float64; columns are the axes of a joint in the world.
    """

    style: RigStyle
    names: tuple[str, ...]
    root: str | None
    parents: tuple[int, ...]
    shift: np.ndarray
    joints: np.ndarray
    axes: np.ndarray

    @classmethod
    def of(cls, body: BodyModel, betas: Tensor | None, style: RigStyle) -> Rig:
        """The skeleton of a body with the shape ``betas`` (S,)."""
        shaped = body.shape(betas)
        joints = shaped.joints.detach().double().cpu().numpy()
        names = bone_names(body.num_joints, style.bones)
        parents = tuple(body.parents)
        if style.root == "pelvis":
            axes = np.tile(np.eye(3), (len(joints), 1, 1))
            return cls(style, names, None, parents, shift=np.zeros(3), joints=joints, axes=axes)
        lowest = float(shaped.vertices()[:, 1].min())
        shift = -np.array([joints[0, 0], lowest, joints[0, 2]])
        return cls(
            style,
            names,
            root_name(style.bones),
            parents,
            shift=shift,
            joints=joints + shift,
            axes=_bone_axes(joints, parents),
        )

    @property
    def parent_axes(self) -> np.ndarray:
        """(J, 3, 3) axes of each joint's parent; the world's for the pelvis."""
        axes = self.axes[list(self.parents)].copy()
        axes[0] = np.eye(3)
        return axes

    @property
    def local_rotations(self) -> np.ndarray:
        """(J, 3, 3) rotation of each joint in its parent, at rest."""
        turned: np.ndarray = np.swapaxes(self.parent_axes, 1, 2) @ self.axes
        return turned

    @property
    def local_offsets(self) -> np.ndarray:
        """(J, 3) metres of each joint in its parent's axes, at rest."""
        offsets = self.joints.copy()
        offsets[1:] -= self.joints[list(self.parents[1:])]
        return self.in_parent(offsets)

    @property
    def world(self) -> np.ndarray:
        """(J, 4, 4) joint -> world at rest."""
        T = np.tile(np.eye(4), (len(self.joints), 1, 1))
        T[:, :3, :3], T[:, :3, 3] = self.axes, self.joints
        return T

    def in_parent(self, offsets: np.ndarray) -> np.ndarray:
        """(*B, J, 3) offsets along the axes of a parent of SMPL-X -> along those of ours."""
        turned: np.ndarray = np.einsum("jba,...jb->...ja", self.parent_axes, offsets)
        return turned

    def turned(self, rotations: Tensor) -> np.ndarray:
        """(N, J, 3, 3) local rotations of the body -> of these joints, float64."""
        R = rotations.detach().double().cpu().numpy()
        local: np.ndarray = np.swapaxes(self.parent_axes, 1, 2) @ R @ self.axes
        return local


@dataclass(frozen=True)
class RootPath:
    """Where a motion goes: (N, 3) metres of the root (None: it rests) and of the pelvis in it."""

    root: np.ndarray | None
    pelvis: np.ndarray


def root_path(rig: Rig, body: BodyModel, betas: Tensor | None, motion: Motion) -> RootPath:
    """A motion's way in the file: from the origin, on the floor.

    The pelvis (N, 3) of a rig without a root goes where the motion says.
    """
    rest = body.shape(betas).joints[0].detach().double().cpu().numpy()
    pelvis = rest + motion.params.transl.detach().double().cpu().numpy()
    if rig.root is None:
        return RootPath(None, pelvis)
    floor = np.array([pelvis[0, 0], _floor_height(body, betas, motion), pelvis[0, 2]])
    pelvis = pelvis - floor
    if rig.style.travel == "pelvis":
        return RootPath(None, pelvis)
    level = np.array([1.0, 0.0, 1.0])
    root = None if rig.style.travel == "in-place" else pelvis * level
    return RootPath(root, pelvis * (1 - level))


def _floor_height(body: BodyModel, betas: Tensor | None, motion: Motion) -> float:
    """Metres: the height that the lowest point of the skin touches in the motion."""
    params = motion.params
    count = params.num_frames
    rows = torch.linspace(0, count - 1, min(count, _FLOOR_FRAMES)).round().long()
    lowest = []
    with torch.no_grad():
        for chunk in rows.split(_BATCH):
            p = params[chunk]
            posed = body.shape(betas, p.expression).pose(p.rotations, p.transl)
            lowest.append(posed.vertices()[..., 1].amin(-1))
    return float(np.quantile(torch.cat(lowest).double().cpu().numpy(), _FLOOR_SHARE))


def _bone_axes(joints: np.ndarray, parents: tuple[int, ...]) -> np.ndarray:
    """(J, 3, 3) axes with +Y along the limb, alike on both sides of the body."""
    axes = np.tile(np.eye(3), (len(joints), 1, 1))
    for joint, along in enumerate(_directions(joints, parents)):
        forward, up = np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])
        towards = up if abs(along @ forward) > _FORWARD else forward
        z = towards - (towards @ along) * along
        z /= np.linalg.norm(z)
        axes[joint] = np.stack([np.cross(along, z), along, z], axis=1)
    return axes


def _directions(joints: np.ndarray, parents: tuple[int, ...]) -> np.ndarray:
    """(J, 3) unit vectors from each joint along its limb."""
    known = len(joints) == NUM_JOINTS
    towards = {JOINT_INDEX[a]: JOINT_INDEX[b] for a, b in _TOWARDS.items()} if known else {}
    ends = {JOINT_INDEX[a]: b for a, b in _ENDS.items()} if known else {}
    out = np.tile([0.0, 1.0, 0.0], (len(joints), 1))
    for joint, parent in enumerate(parents):
        children = [child for child, p in enumerate(parents) if p == joint]
        if joint in ends:
            out[joint] = ends[joint]
            continue
        aim = towards.get(joint, children[0] if children else None)
        limb = np.zeros(3) if aim is None else joints[aim] - joints[joint]
        length = np.linalg.norm(limb)
        if length > 1e-6:
            out[joint] = limb / length
        elif parent >= 0:
            out[joint] = out[parent]
    return out
