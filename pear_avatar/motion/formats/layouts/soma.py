"""``fullpose`` of SOMA and MoSh++ (AMASS' makers), MoYo, and the SMPL-X add-on for Blender."""

from __future__ import annotations

from pear_avatar.motion.formats.axes import PELVIS_SMPLH, PELVIS_SMPLX
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.layouts.amass import rotations_of_poses
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import SmplPoses, motion_of_poses, read_transl


def sniff(content: Content) -> bool:
    """Whether there is a ``fullpose``."""
    return "fullpose" in content.arrays


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion, or the one pose that Blender's add-on saves."""
    arrays = content.arrays
    rotations = rotations_of_poses(arrays, "fullpose")
    shape = arrays.shape("fullpose")
    rest = PELVIS_SMPLX if shape[-1] == 165 or 55 in shape[-3:-1] else PELVIS_SMPLH
    transl = read_transl(arrays, ("trans", "transl"), len(rotations))
    poses = SmplPoses(rotations, transl, rest, up=None if transl is None else "z")
    return MotionFile(motion_of_poses(arrays, poses, options), FORMAT.name)


FORMAT = Format(
    name="soma",
    files="`fullpose` of SOMA, MoSh++ and MoYo (stageii pkl or npz) and of Blender's SMPL-X add-on",
    notes="as AMASS; a single pose becomes a motion of one frame",
    endings=(".pkl", ".npz"),
    sniff=sniff,
    read=read,
    rank=40,
)
