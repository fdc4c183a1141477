"""SMPL-X parameter names, as SMPLer-X, OSX, smplify-x and many more write them."""

from __future__ import annotations

from pear_avatar.body.joints import PARAM_SLICES
from pear_avatar.motion.formats.axes import PELVIS_SMPLH, PELVIS_SMPLX
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.encodings import read_rotations
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import (
    SmplPoses,
    fill,
    hand_angles,
    has_own_shape,
    identity,
    motion_of_poses,
    read_transl,
)

#: Names of one parameter, SMPL-X's own first.
_NAMES: dict[str, tuple[str, ...]] = {
    "global_orient": ("global_orient", "root_orient", "root_pose", "global_pose"),
    "left_hand_pose": ("left_hand_pose", "lhand_pose"),
    "right_hand_pose": ("right_hand_pose", "rhand_pose"),
    "jaw_pose": ("jaw_pose",),
    "leye_pose": ("leye_pose", "left_eye_pose"),
    "reye_pose": ("reye_pose", "right_eye_pose"),
}


def sniff(content: Content) -> bool:
    """Whether there is a ``body_pose``."""
    return "body_pose" in content.arrays


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion; rotations may be axis-angle, matrices or quaternions."""
    arrays = content.arrays
    body = read_rotations(arrays, "body_pose", (21, 23))
    rest = PELVIS_SMPLX if body.shape[1] == 21 else PELVIS_SMPLH
    rotations = identity(len(body))
    fill(rotations, "body_pose", body[:, :21])  # SMPL's last two are the whole hands: left flat
    for name, known in _NAMES.items():
        key = arrays.first_of(known)
        if key is None:
            continue
        if name.endswith("hand_pose"):
            fill(rotations, name, hand_angles(arrays, key, options.hands, len(body)))
        else:
            joints = PARAM_SLICES[name].stop - PARAM_SLICES[name].start
            fill(rotations, name, read_rotations(arrays, key, joints, len(body)))
    transl = read_transl(arrays, ("transl", "trans", "translation"), len(body))
    poses = SmplPoses(rotations, transl, rest)
    own = has_own_shape(arrays, options.keep_coefficients)
    motion = motion_of_poses(
        arrays,
        poses,
        options,
        betas_keys=("betas", "shape"),
        expression_keys=("expression", "expr"),
    )
    return MotionFile(motion, FORMAT.name, own_shape=own)


FORMAT = Format(
    name="smplx",
    files="SMPL-X parameter names (SMPLer-X, OSX, LHM, ...), also with SMPL's 23 body joints: "
    "npz, pt, pkl, npy, json, or a folder with one npz or JSON file for each frame and person",
    notes="rotations as axis-angle, matrices or quaternions; the axis along which the body "
    "stands is seen, or said with `--up` (`-y` are camera axes); gaps between frame numbers stay",
    endings=(".npz", ".pt", ".pth", ".pkl", ".pickle", ".npy", ".json"),
    sniff=sniff,
    read=read,
    rank=70,
)
