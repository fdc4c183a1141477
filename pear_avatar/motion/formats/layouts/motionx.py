"""Motion-X: one array (N, 322) of SMPL-X parameters and the shape of a FLAME face."""

from __future__ import annotations

import numpy as np
import torch

from pear_avatar.body.joints import PARAM_SLICES
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.motion.formats.content import BARE, Content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import SmplPoses, identity, motion_of_poses

_WIDTH = 322
#: Columns of each parameter; the face's expression and shape between them mean nothing here.
_COLUMNS = {
    "global_orient": (0, 3),
    "body_pose": (3, 66),
    "left_hand_pose": (66, 111),
    "right_hand_pose": (111, 156),
    "jaw_pose": (156, 159),
}
_EXPRESSION, _TRANSL, _BETAS = (159, 209), (309, 312), (312, 322)


def sniff(content: Content) -> bool:
    """Whether there is one array of 322 columns."""
    shape = content.arrays.shape(BARE)
    return len(shape) in (2, 3) and shape[-1] == _WIDTH and (len(shape) == 2 or shape[0] == 1)


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion; 30 frames a second, y up unless the body stands otherwise."""
    arrays = content.arrays
    values = arrays.frames(BARE, _WIDTH)
    if np.abs(values[:, :159]).max() > 8 * np.pi:
        raise arrays.error("its first 159 columns are no axis-angle vectors in radians")
    rotations = identity(len(values))
    for name, (start, stop) in _COLUMNS.items():
        turns = torch.from_numpy(values[:, start:stop].reshape(len(values), -1, 3))
        rotations[:, PARAM_SLICES[name]] = axis_angle_to_matrix(turns)
    named = arrays.with_arrays(
        {"betas": values[:, slice(*_BETAS)], "expression": values[:, slice(*_EXPRESSION)]}
    )
    poses = SmplPoses(rotations, values[:, slice(*_TRANSL)], up="y", rate=30.0)
    motion = motion_of_poses(named, poses, options, expression_keys=())
    return MotionFile(motion, FORMAT.name)


FORMAT = Format(
    name="motionx",
    files="Motion-X npy of 322 columns",
    notes="30 frames a second; y up, unless the body stands along another axis",
    endings=(".npy",),
    sniff=sniff,
    read=read,
    rank=20,
)
