"""WHAM's ``wham_output.pkl``: for each person SMPL poses in the world and in the camera."""

from __future__ import annotations

from pear_avatar.motion.formats.axes import PELVIS_SMPLH
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.layouts.amass import rotations_of_poses
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import SmplPoses, motion_of_poses, read_transl


def sniff(content: Content) -> bool:
    """Whether there is a pose of SMPL with a translation, in the world or not."""
    arrays = content.arrays
    in_camera = "pose" in arrays and "trans" in arrays and arrays.shape("pose")[-1:] == (72,)
    return in_camera or ("pose_world" in arrays and "trans_world" in arrays)


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion in WHAM's world, or with ``camera_space`` in the camera's."""
    arrays = content.arrays
    world = "pose_world" in arrays and not (options.camera_space and "pose" in arrays)
    ending = "_world" if world else ""
    rotations = rotations_of_poses(arrays, f"pose{ending}")
    transl = read_transl(arrays, (f"trans{ending}",), len(rotations))
    poses = SmplPoses(rotations, transl, PELVIS_SMPLH, up="y" if world else None)
    return MotionFile(motion_of_poses(arrays, poses, options), FORMAT.name)


FORMAT = Format(
    name="wham",
    files="WHAM's `wham_output.pkl` (joblib), or the folder it lies in",
    notes="of several people the one seen longest; the world's motion, or with `--camera-space` "
    "the camera's; gaps in `frame_ids` stay",
    endings=(".pkl", ".pth"),
    sniff=sniff,
    read=read,
    rank=40,
)
