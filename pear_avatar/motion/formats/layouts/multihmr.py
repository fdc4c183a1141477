"""Multi-HMR: for each picture all people in it, 53 rotations of SMPL-X in the camera."""

from __future__ import annotations

import numpy as np
import torch

from pear_avatar.body.joints import JOINT_INDEX, PARENTS
from pear_avatar.body.open_body import load_body
from pear_avatar.body.skinning import KinematicTree, forward_kinematics
from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.encodings import read_rotations
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import SmplPoses, fill, identity, motion_of_poses

#: Joints of each parameter among the 53.
_JOINTS = {
    "global_orient": (0, 1),
    "body_pose": (1, 22),
    "left_hand_pose": (22, 37),
    "right_hand_pose": (37, 52),
    "jaw_pose": (52, 53),
}


def sniff(content: Content) -> bool:
    """Whether there are 53 rotations."""
    return content.arrays.shape("rotvec")[-2:] == (53, 3)


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion of one person, in the camera's axes turned upright.

    ``transl`` is where the head is, ``transl_pelvis``, which newer files have, the pelvis.
    """
    arrays = content.arrays
    found = read_rotations(arrays, "rotvec", 53)
    rotations = identity(len(found))
    for name, (start, stop) in _JOINTS.items():
        fill(rotations, name, found[:, start:stop])
    poses = SmplPoses(rotations, _pelvis(arrays, rotations), (0.0, 0.0, 0.0))
    motion = motion_of_poses(arrays, poses, options, betas_keys=("shape",))
    return MotionFile(motion, FORMAT.name)


def _pelvis(arrays: PoseArrays, rotations: torch.Tensor) -> np.ndarray | None:
    count = len(rotations)
    if "transl_pelvis" in arrays:
        return arrays.frames("transl_pelvis", 3, count)
    if "transl" not in arrays:
        return None
    joints = load_body().joint_template.double()
    posed = forward_kinematics(rotations, joints, KinematicTree.from_parents(PARENTS))[..., :3, 3]
    head = (posed[:, JOINT_INDEX["head"]] - posed[:, 0]).numpy()
    pelvis: np.ndarray = arrays.frames("transl", 3, count) - head
    return pelvis


FORMAT = Format(
    name="multihmr",
    files="Multi-HMR's humans, a list (one entry a picture) in pkl, npy or npz",
    notes="of several people in a picture the one nearest to the last; camera axes",
    endings=(".pkl", ".npy"),
    sniff=sniff,
    read=read,
    rank=20,
)
