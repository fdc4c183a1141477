"""AIST++'s dances: SMPL poses at 60 frames a second, with the scale of its world."""

from __future__ import annotations

from pear_avatar.motion.formats.axes import PELVIS_SMPLH
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.layouts.amass import rotations_of_poses
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import SmplPoses, motion_of_poses, read_transl


def sniff(content: Content) -> bool:
    """Whether there are AIST++'s poses."""
    return "smpl_poses" in content.arrays


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion; its world is as many times larger than the body as ``smpl_scaling`` says."""
    arrays = content.arrays
    rotations = rotations_of_poses(arrays, "smpl_poses")
    transl = read_transl(arrays, ("smpl_trans",), len(rotations))
    if transl is not None and "smpl_scaling" in arrays:
        scale = arrays.numbers("smpl_scaling").reshape(-1)
        if scale.size != 1 or scale[0] <= 0:
            raise arrays.error(f"smpl_scaling must be one positive number, got {scale.tolist()}")
        transl = transl / scale[0]
    poses = SmplPoses(rotations, transl, PELVIS_SMPLH, up="y", rate=60.0)
    return MotionFile(motion_of_poses(arrays, poses, options), FORMAT.name)


FORMAT = Format(
    name="aist",
    files="AIST++'s pkl (`smpl_poses`, `smpl_trans`, `smpl_scaling`)",
    notes="y up, 60 frames a second, positions divided by `smpl_scaling`",
    endings=(".pkl",),
    sniff=sniff,
    read=read,
    rank=20,
)
