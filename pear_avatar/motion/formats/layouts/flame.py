"""Heads given by FLAME's parameters alone, on a body that stands at rest.

Names are those of the EHM tracker's ``flame_coeffs``, of VHAP (``expr``, ``rotation``,
``neck_pose``) and plain ones. FLAME's root is the body's neck and its neck is the body's head, as
the joints between them show.
"""

from __future__ import annotations

import numpy as np

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.motion.formats.axes import seen_up_axis, to_y_up
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.face import (
    FLAME_NAMES,
    set_face,
    with_face,
)
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import SmplPoses, identity, motion_of_poses

_MARKS = (
    "expression_params",
    "expr",
    "jaw_params",
    "flame_coeffs/jaw_params",
    "flame_coeffs/expression_params",
)
_HEAD_SETS = {"root": "neck", "neck": "head"}


def sniff(content: Content) -> bool:
    """Whether there are coefficients of a face."""
    return content.arrays.first_of(_MARKS) is not None


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The head's motion; eyelids become blinks where coefficients cannot be kept."""
    arrays = content.arrays
    key = arrays.first_of([n for names in FLAME_NAMES.values() for n in names])
    if key is None:
        raise arrays.error("holds FLAME coefficients but no pose of head, jaw, eyes or eyelids")
    found = arrays.numbers(key)
    count = 1 if found.ndim < 2 else len(found)
    arrays.check_count(key, count)
    rotations = identity(count)
    set_face(arrays, rotations)
    import torch

    for what, joint in _HEAD_SETS.items():
        name = arrays.first_of(FLAME_NAMES[what])
        if name is not None:
            angles = torch.from_numpy(arrays.angles(name, 3, count))
            rotations[:, JOINT_INDEX[joint]] = axis_angle_to_matrix(angles)
    neck = JOINT_INDEX["neck"]
    T = to_y_up(options.up_axis or seen_up_axis(rotations[:, neck]))
    rotations[:, neck] = T @ rotations[:, neck]
    upright = arrays.with_arrays({"up_axis": np.array("y")})
    still = ReadOptions(frame_rate=options.frame_rate)
    motion = motion_of_poses(
        upright, SmplPoses(rotations), still, betas_keys=(), expression_keys=()
    )
    return MotionFile(with_face(arrays, motion, options.keep_coefficients), FORMAT.name)


FORMAT = Format(
    name="flame",
    files="heads given by FLAME alone (EHM tracker, VHAP): npz, pt, pkl",
    notes="FLAME's root is the body's neck, its neck the head; eyelids become blinks",
    endings=(".npz", ".pt", ".pkl"),
    sniff=sniff,
    read=read,
    rank=90,
)
