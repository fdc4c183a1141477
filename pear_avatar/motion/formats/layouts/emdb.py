"""EMDB's recordings: SMPL in the world, and the camera that filmed them."""

from __future__ import annotations

import numpy as np

from pear_avatar.motion.formats.axes import PELVIS_SMPLH
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.encodings import read_rotations
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import (
    SmplPoses,
    fill,
    identity,
    motion_of_poses,
    read_transl,
)

_BODY, _ROOT, _K = "smpl/poses_body", "smpl/poses_root", "camera/intrinsics"


def sniff(content: Content) -> bool:
    """Whether there are EMDB's poses of a body and its root."""
    return _BODY in content.arrays and _ROOT in content.arrays


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion, with the camera's intrinsics; EMDB has 30 frames a second."""
    arrays = content.arrays
    body = read_rotations(arrays, _BODY, (23, 21))
    count = len(body)
    rotations = identity(count)
    fill(rotations, "body_pose", body[:, :21])
    fill(rotations, "global_orient", read_rotations(arrays, _ROOT, 1, count))
    transl = read_transl(arrays, ("smpl/trans",), count)
    poses = SmplPoses(rotations, transl, PELVIS_SMPLH, rate=30.0)
    motion = motion_of_poses(arrays, poses, options, betas_keys=("smpl/betas",))
    K = None
    if arrays.shape(_K) in ((3, 3), (count, 3, 3)):
        K = np.broadcast_to(arrays.numbers(_K), (count, 3, 3)).copy()
    return MotionFile(motion, FORMAT.name, intrinsics=K)


FORMAT = Format(
    name="emdb",
    files="EMDB's `*_data.pkl`",
    notes="30 frames a second; the world's motion, upright as its body shows; the camera's "
    "intrinsics",
    endings=(".pkl",),
    sniff=sniff,
    read=read,
    rank=20,
)
