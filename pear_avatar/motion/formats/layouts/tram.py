"""TRAM's and VIMO's ``hps_track_0.npy``: SMPL as matrices in the camera."""

from __future__ import annotations

from pear_avatar.motion.formats.axes import PELVIS_SMPLH
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.layouts.amass import rotations_of_poses
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import SmplPoses, motion_of_poses, read_transl


def sniff(content: Content) -> bool:
    """Whether there are predicted rotation matrices."""
    return "pred_rotmat" in content.arrays


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion, upright as its body shows."""
    arrays = content.arrays
    rotations = rotations_of_poses(arrays, "pred_rotmat")
    transl = read_transl(arrays, ("pred_trans",), len(rotations))
    poses = SmplPoses(rotations, transl, PELVIS_SMPLH)
    return MotionFile(motion_of_poses(arrays, poses, options), FORMAT.name)


FORMAT = Format(
    name="tram",
    files="TRAM's and VIMO's `hps_track_0.npy`, with NumPy arrays or torch tensors",
    notes="camera axes; gaps in `frame` stay",
    endings=(".npy",),
    sniff=sniff,
    read=read,
    rank=20,
)
