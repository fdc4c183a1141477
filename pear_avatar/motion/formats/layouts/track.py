"""Our own ``track.npz``: a tracked person with the clip's cameras, under AMASS names.

``up_axis`` says that y is up, ``trans`` is the translation of the body that was tracked, whose
pelvis rests at ``pelvis_rest``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from pear_avatar.body.joints import NUM_JOINTS
from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.layouts.amass import rotations_of_poses
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import (
    SHAPE_SPACE,
    SmplPoses,
    has_own_shape,
    motion_of_poses,
    read_transl,
)
from pear_avatar.types import Camera, Motion, Proportions, Track

TRACK_VERSION = 1

#: The person's proportions and their shapes; None stands for any size.
PROPORTIONS: dict[str, tuple[int | None, ...]] = {
    "head_scale": (3,),
    "hand_scale": (3,),
    "head_betas": (None,),
    "joint_offsets": (NUM_JOINTS, 3),
}
_NEEDED = ("K", "T_camera_world", "width", "height", "frame_index", "trusted", "landmark_error")


def sniff(content: Content) -> bool:
    """Whether our tracker wrote the file."""
    return "pear_track_version" in content.arrays


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion for any body, and the track in the terms of its own body."""
    arrays = content.arrays
    version = arrays.whole_number("pear_track_version")
    if version > TRACK_VERSION:
        raise arrays.error(
            f"written by a newer program (track version {version}, this one reads "
            f"{TRACK_VERSION}); update pear-avatar"
        )
    missing = [key for key in (*_NEEDED, "poses", "pelvis_rest") if key not in arrays]
    if missing:
        raise arrays.error(f"lacks {', '.join(missing)}; run the fit again")
    own = _own_motion(arrays)
    count = own.params.num_frames
    track = Track(
        own,
        _camera(arrays, count),
        _per_frame(arrays, "frame_index", count).astype(np.int64),
        _per_frame(arrays, "trusted", count).astype(bool),
        _per_frame(arrays, "landmark_error", count).astype(np.float64),
        _proportions(arrays),
    )
    motion, rest = replace(own, name=arrays.name), arrays.numbers("pelvis_rest").reshape(-1)
    if rest.shape != (3,):
        raise arrays.error(f"pelvis_rest must have shape (3,), got {rest.shape}")
    keep = options.keep_coefficients
    if own.body != "open" or keep or options.up_axis is not None:
        motion = _motion(arrays, options, rest if own.body != "open" else np.zeros(3))
    return MotionFile(
        motion,
        FORMAT.name,
        intrinsics=track.camera.K.double().numpy(),
        own_shape=has_own_shape(arrays, keep),
        track=track,
        pelvis_rest=rest,
    )


def _own_motion(arrays: PoseArrays) -> Motion:
    """The motion in the terms of the body that was tracked: coefficients and translation."""
    space = arrays.text("shape_space", SHAPE_SPACE)
    keep = ReadOptions(keep_coefficients=space != SHAPE_SPACE)
    motion = _motion(arrays, keep, np.zeros(3))
    body = "open" if space == SHAPE_SPACE else space
    return replace(motion, name=arrays.text("name", ""), body=body)


def _motion(arrays: PoseArrays, options: ReadOptions, rest: np.ndarray) -> Motion:
    rotations = rotations_of_poses(arrays, "poses")
    transl = read_transl(arrays, ("trans",), len(rotations))
    with_pelvis = arrays.with_arrays({"pelvis_rest": rest})
    return motion_of_poses(with_pelvis, SmplPoses(rotations, transl, up="y"), options)


def _proportions(arrays: PoseArrays) -> Proportions | None:
    """The person's proportions; None in files of bodies without any."""
    if "head_scale" not in arrays and "hand_scale" not in arrays:
        return None
    found: dict[str, torch.Tensor] = {}
    for name, trailing in PROPORTIONS.items():
        if name not in arrays:
            if name in ("head_scale", "hand_scale"):
                raise arrays.error(f"lacks {name}; run the fit again")
            continue
        value = arrays.numbers(name)
        fits = value.ndim == len(trailing) and all(
            wanted in (None, size) for wanted, size in zip(trailing, value.shape, strict=True)
        )
        if not fits:
            text = ", ".join("H" if n is None else str(n) for n in trailing)
            raise arrays.error(f"{name} must have shape ({text}), got {value.shape}")
        found[name] = torch.from_numpy(value).float()
    return Proportions(**found)


def _camera(arrays: PoseArrays, count: int) -> Camera:
    K, T = arrays.numbers("K"), arrays.numbers("T_camera_world")
    for key, found, shape in (("K", K, (count, 3, 3)), ("T_camera_world", T, (count, 4, 4))):
        if found.shape != shape:
            raise arrays.error(f"{key} must have shape {shape}, got {found.shape}")
    width, height = (arrays.whole_number(key) for key in ("width", "height"))
    if width < 1 or height < 1:
        raise arrays.error(f"width and height must be positive, got {width} x {height}")
    return Camera(torch.from_numpy(K).float(), torch.from_numpy(T).float(), width, height)


def _per_frame(arrays: PoseArrays, key: str, count: int) -> np.ndarray:
    found = arrays.arrays[key]  # landmark_error is NaN where nothing was observed
    if found.shape != (count,) or found.dtype.kind not in "fiub":
        raise arrays.error(f"{key} must be ({count},) numbers, got {found.dtype} {found.shape}")
    return found


FORMAT = Format(
    name="track",
    files="our `track.npz`",
    notes="y up; with the clip's cameras, the person's shape and proportions",
    endings=(".npz",),
    sniff=sniff,
    read=read,
    rank=10,
)
