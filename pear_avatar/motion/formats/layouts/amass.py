"""AMASS and what writes like it: ``poses`` and ``trans`` of SMPL, SMPL-H or SMPL-X."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.axes import PELVIS_SMPLH, PELVIS_SMPLX
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.encodings import read_rotations
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import (
    SmplPoses,
    has_own_shape,
    identity,
    motion_of_poses,
    read_transl,
)

#: Joints in ``poses`` -> whose they are.
_BODIES = {22: "SMPL body", 24: "SMPL", 52: "SMPL-H", 55: "SMPL-X"}

#: The parts of ``poses`` in the order of SMPL-X, by name: first joint and how many.
_PARTS = {
    "root_orient": (0, 1),
    "pose_body": (1, 21),
    "pose_jaw": (22, 1),
    "pose_eye": (23, 2),
    "pose_hand": (25, 30),
}


def sniff(content: Content) -> bool:
    """Whether there are ``poses`` or their named parts."""
    arrays = content.arrays
    return "poses" in arrays or ("pose_body" in arrays and "root_orient" in arrays)


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion, from whole poses or from their parts."""
    arrays = content.arrays
    if "poses" in arrays:
        rotations = rotations_of_poses(arrays, "poses")
        rest = PELVIS_SMPLX if arrays.shape("poses")[-1] in (165, 3) else PELVIS_SMPLH
    else:
        rotations, rest = _rotations_of_parts(arrays), PELVIS_SMPLX
    transl = read_transl(arrays, ("trans", "transl"), len(rotations))
    poses = SmplPoses(rotations, transl, rest, up="z")
    own = has_own_shape(arrays, options.keep_coefficients)
    return MotionFile(motion_of_poses(arrays, poses, options), FORMAT.name, own_shape=own)


def rotations_of_poses(arrays: PoseArrays, key: str) -> Tensor:
    """(N, 55, 3, 3) from whole poses of any body of the family, distinguished by their width.

    Raises MotionFileError where the width is none of them.
    """
    shape = arrays.shape(key)
    width = int(np.prod(shape[1:])) if len(shape) > 1 else 0
    J = next((J for J in _BODIES for size in (3, 9) if width == J * size), 0)
    if shape[-2:] in ((55, 3), (52, 3)) and len(shape) == 2:  # a single frame
        J, width = shape[0], 3 * shape[0]
    if J == 0:
        known = ", ".join(f"(N, {3 * J}) {name}" for J, name in _BODIES.items())
        raise arrays.error(f"{key} must have shape {known}; got {shape}")
    found = read_rotations(arrays, key, J)
    if J == 55:
        return found
    out = identity(len(found))
    out[:, :22] = found[:, :22]  # SMPL's joints 22 and 23 are the whole hands: left flat
    if J == 52:
        out[:, 25:] = found[:, 22:]
    return out


def _rotations_of_parts(arrays: PoseArrays) -> Tensor:
    body = read_rotations(arrays, "pose_body", 21)
    out = identity(len(body))
    for name, (start, joints) in _PARTS.items():
        if name in arrays:
            found = read_rotations(arrays, name, joints, len(body))
            out[:, start : start + joints] = found
    return out


FORMAT = Format(
    name="amass",
    files="AMASS npz: SMPL, SMPL-H, SMPL-X (stageii), under any file name",
    notes="z up, unless the body stands along another axis (a warning says so) or `--up` says it",
    endings=(".npz",),
    sniff=sniff,
    read=read,
    rank=60,
)
