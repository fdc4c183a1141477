"""PHC's motions for simulated humanoids: SMPL poses with the path of the pelvis, z up."""

from __future__ import annotations

from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.layouts.amass import rotations_of_poses
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import SmplPoses, motion_of_poses, read_transl


def sniff(content: Content) -> bool:
    """Whether there are poses with the root's own path."""
    return "pose_aa" in content.arrays


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion; ``root_trans_offset`` is where the pelvis is, not SMPL's translation."""
    arrays = content.arrays
    shape = arrays.shape("pose_aa")
    joints = shape[1] if len(shape) == 3 else shape[-1] // 3 if shape else 0
    if joints not in (22, 24, 52, 55):
        raise arrays.error(
            f"pose_aa has {joints} joints: the pose of a robot, not of a person; only SMPL's 24 "
            "(or 22, 52, 55) are read"
        )
    rotations = rotations_of_poses(arrays, "pose_aa")
    transl = read_transl(arrays, ("root_trans_offset", "root_trans"), len(rotations))
    poses = SmplPoses(rotations, transl, (0.0, 0.0, 0.0), up="z")
    return MotionFile(motion_of_poses(arrays, poses, options), FORMAT.name)


FORMAT = Format(
    name="phc",
    files="PHC's motion pkl (joblib; `pose_aa`, `root_trans_offset`)",
    notes="z up; of several clips the longest",
    endings=(".pkl",),
    sniff=sniff,
    read=read,
    rank=20,
)
