"""GVHMR's ``hmr4d_results.pt``: one motion in the world and one seen from the camera."""

from __future__ import annotations

import numpy as np

from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.encodings import read_rotations
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import SmplPoses, fill, identity, motion_of_poses


def sniff(content: Content) -> bool:
    """Whether there is either of GVHMR's two motions."""
    starts = ("smpl_params_global/", "smpl_params_incam/")
    return any(key.startswith(starts) for key in content.arrays.arrays)


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion, and the clip's intrinsics (N, 3, 3) in pixels where the file has them.

    With ``camera_space`` our world is the camera's, turned upright; else it is GVHMR's world,
    whose y axis points against gravity. GVHMR resamples its videos to 30 frames a second.
    """
    arrays = content.arrays
    part = "smpl_params_incam" if options.camera_space else "smpl_params_global"
    needed = [f"{part}/body_pose", f"{part}/global_orient", f"{part}/transl"]
    missing = [key for key in needed if key not in arrays]
    if missing:
        raise arrays.error(f"lacks {', '.join(missing)}")
    body = read_rotations(arrays, needed[0], 21)
    rotations = identity(len(body))
    fill(rotations, "body_pose", body)
    fill(rotations, "global_orient", read_rotations(arrays, needed[1], 1, len(body)))
    transl = arrays.frames(needed[2], 3, len(body))
    up = "-y" if options.camera_space else "y"
    fixed = arrays.with_arrays({"up_axis": np.array(up)})
    poses = SmplPoses(rotations, transl, rate=30.0)
    motion = motion_of_poses(fixed, poses, options, betas_keys=(), expression_keys=())
    return MotionFile(motion, FORMAT.name, intrinsics=_intrinsics(arrays, len(body)))


def _intrinsics(arrays: PoseArrays, count: int) -> np.ndarray | None:
    if "K_fullimg" not in arrays:
        return None
    K = arrays.numbers("K_fullimg")
    if K.shape not in ((3, 3), (count, 3, 3)):
        raise arrays.error(f"K_fullimg must have shape ({count}, 3, 3), got {K.shape}")
    return np.broadcast_to(K, (count, 3, 3)).copy()


FORMAT = Format(
    name="gvhmr",
    files="GVHMR's `hmr4d_results.pt`, or the folder it lies in",
    notes="the world's motion (y up), or with `--camera-space` the camera's; 30 frames a second",
    endings=(".pt",),
    sniff=sniff,
    read=read,
    rank=20,
)
