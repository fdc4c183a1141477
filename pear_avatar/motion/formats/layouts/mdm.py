"""MDM's ``*_smpl_params.npy`` and its kin: SMPL in six numbers a joint, frames last.

The six numbers are the first two rows of a rotation, as PyTorch3D writes them, in files of MDM
itself; some of its successors write the first two columns. The wrong one inverts every rotation,
so that knees and elbows bend against their joints.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.geometry.rotations import matrix_to_axis_angle
from pear_avatar.motion.formats.axes import PELVIS_SMPLH
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.encodings import matrices_of_six
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import SmplPoses, identity, motion_of_poses

_RATE = 20.0
#: Hinges of SMPL: the axis about which each bends, and the sign there.
_HINGES = {
    "left_knee": (0, 1.0),
    "right_knee": (0, 1.0),
    "left_elbow": (1, -1.0),
    "right_elbow": (1, 1.0),
}
#: Radians of bend below which the axis is not determined.
_DOUBT = 0.02


def sniff(content: Content) -> bool:
    """Whether there are thetas (J, 6, N)."""
    shape = content.arrays.shape("thetas")
    return len(shape) == 3 and shape[0] in (22, 24, 25) and shape[1] == 6


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion at MDM's 20 frames a second."""
    arrays = content.arrays
    thetas = np.moveaxis(arrays.numbers("thetas"), -1, 0)
    arrays.check_count("thetas", len(thetas))
    if (np.linalg.norm(thetas[:, :22, :3], axis=-1) < 1e-6).any():
        raise arrays.error("thetas must hold two rows of rotations, got rows of zeros")
    rotations = identity(len(thetas))
    rotations[:, :22] = matrices_of_six(thetas[:, :22], rows=True)
    if _bend(rotations) < -_DOUBT:
        rotations = rotations.transpose(-1, -2).clone()
    transl = None
    if "root_translation" in arrays:
        transl = np.moveaxis(arrays.numbers("root_translation"), -1, 0)
        if transl.shape != (len(thetas), 3):
            raise arrays.error(f"root_translation must have shape (3, {len(thetas)})")
    poses = SmplPoses(rotations, transl, PELVIS_SMPLH, up="y", rate=_RATE)
    return MotionFile(motion_of_poses(arrays, poses, options), FORMAT.name)


def _bend(rotations: Tensor) -> float:
    """Mean radians by which knees and elbows bend the way that they can."""
    turns = {name: matrix_to_axis_angle(rotations[:, JOINT_INDEX[name]]) for name in _HINGES}
    bends = [turns[name][:, axis] * sign for name, (axis, sign) in _HINGES.items()]
    return float(torch.stack(bends).mean())


FORMAT = Format(
    name="mdm",
    files="MDM's `*_smpl_params.npy`",
    notes="y up, 20 frames a second",
    endings=(".npy",),
    sniff=sniff,
    read=read,
    rank=20,
)
