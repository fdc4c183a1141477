"""``track.npz``: a tracked person and the clip's cameras, readable by others as AMASS-like.

The motion's keys are those of AMASS for SMPL-X (``poses``, ``trans``, ``betas``, ...), with
``up_axis`` saying that y is up and ``pelvis_rest`` that ``trans`` is where the pelvis is. Where
the person's proportions were estimated, ``head_scale`` and ``hand_scale`` (3,) hold them, with
``head_betas`` (H,) and ``joint_offsets`` (55, 3) where there are any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from pear_avatar.body.joints import NUM_JOINTS
from pear_avatar.errors import MotionFileError, PearError
from pear_avatar.io.npz import save_npz
from pear_avatar.motion.formats.arrays import (
    PoseArrays,
    read_pose_arrays,
)
from pear_avatar.motion.formats.registry import SHAPE_SPACE, load_motion
from pear_avatar.motion.write_poses import motion_arrays
from pear_avatar.types import Camera, Motion, Proportions, Track

__all__ = ["TRACK_VERSION", "is_track", "load_track", "save_track", "track_pelvis"]

TRACK_VERSION = 1

#: The person's proportions and their shapes; None stands for any size.
_PROPORTIONS: dict[str, tuple[int | None, ...]] = {
    "head_scale": (3,),
    "hand_scale": (3,),
    "head_betas": (None,),
    "joint_offsets": (NUM_JOINTS, 3),
}
_NEEDED = ("K", "T_camera_world", "width", "height", "frame_index", "trusted", "landmark_error")


def save_track(
    path: str | Path, track: Track, *, pelvis_rest: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0)
) -> None:
    """Write a track; the whole file appears at once or not at all.

    Args:
        path: the file.
        track: of one person.
        pelvis_rest: (3,) metres, where the pelvis of the person's body rests; the open body's is
            the origin.
    """
    params, camera = track.motion.params, track.camera
    count = params.num_frames
    for name, found in (
        ("camera.K", camera.K.shape[:-2]),
        ("camera.T_camera_world", camera.T_camera_world.shape[:-2]),
        ("frame_index", track.frame_index.shape),
        ("trusted", track.trusted.shape),
        ("landmark_error", track.landmark_error.shape),
    ):
        if tuple(found) != (count,):
            raise ValueError(f"{name} must have {count} frames like the motion, got {tuple(found)}")
    arrays = {
        **motion_arrays(track.motion, params.rotations, params.transl),
        "up_axis": np.array("y"),
        "pelvis_rest": np.asarray(pelvis_rest, np.float64),
        "pear_track_version": np.array(TRACK_VERSION),
        "name": np.array(track.motion.name),
        "K": camera.K.detach().double().cpu().numpy(),
        "T_camera_world": camera.T_camera_world.detach().double().cpu().numpy(),
        "width": np.array(camera.width),
        "height": np.array(camera.height),
        "frame_index": np.asarray(track.frame_index, np.int64),
        "trusted": np.asarray(track.trusted, bool),
        "landmark_error": np.asarray(track.landmark_error, np.float64),
    }
    if track.proportions is not None:
        arrays |= _proportion_arrays(track.proportions)
    save_npz(path, arrays)


def load_track(path: str | Path) -> Track:
    """Read what :func:`save_track` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        MotionFileError: not a track, damaged, or of a newer version.
    """
    arrays = read_pose_arrays(path)
    if "pear_track_version" not in arrays:
        raise arrays.error("holds a motion but no track (cameras); render it with --pose instead")
    version = arrays.whole_number("pear_track_version")
    if version > TRACK_VERSION:
        raise arrays.error(
            f"written by a newer program (track version {version}, this one reads "
            f"{TRACK_VERSION}); update pear-avatar"
        )
    missing = [key for key in _NEEDED if key not in arrays]
    if missing:
        raise arrays.error(f"lacks {', '.join(missing)}; run the fit again")
    motion = replace(_motion(path, arrays), name=arrays.text("name", ""))
    count = motion.params.num_frames
    return Track(
        motion,
        _camera(arrays, count),
        _per_frame(arrays, "frame_index", count).astype(np.int64),
        _per_frame(arrays, "trusted", count).astype(bool),
        _per_frame(arrays, "landmark_error", count).astype(np.float64),
        _proportions(arrays),
    )


def is_track(path: str | Path) -> bool:
    """Whether a file is a track; False also where it cannot be read."""
    try:
        return "pear_track_version" in read_pose_arrays(path)
    except (OSError, PearError):
        return False


def track_pelvis(path: str | Path) -> np.ndarray:
    """(3,) metres, where the pelvis of a track's body rests."""
    arrays = read_pose_arrays(path)
    found: np.ndarray = arrays.numbers("pelvis_rest").reshape(3)
    return found


def _motion(path: str | Path, arrays: PoseArrays) -> Motion:
    """The motion in the terms of its own body, which another reader would leave behind."""
    space = arrays.text("shape_space", SHAPE_SPACE)
    if space == SHAPE_SPACE:
        return load_motion(path)
    motion = load_motion(path, keep_coefficients=True)
    rest = torch.from_numpy(arrays.numbers("pelvis_rest").reshape(3)).to(motion.params.transl)
    params = replace(motion.params, transl=motion.params.transl - rest)
    return replace(motion, params=params, body=space)


def _proportion_arrays(proportions: Proportions) -> dict[str, np.ndarray]:
    found = {}
    for name, trailing in _PROPORTIONS.items():
        value = getattr(proportions, name)
        if value is None:
            continue
        if value.dim() != len(trailing):
            raise ValueError(
                f"a track has one set of proportions: {name} must have no batch axes, got shape "
                f"{tuple(value.shape)}"
            )
        found[name] = value.detach().double().cpu().numpy()
    return found


def _proportions(arrays: PoseArrays) -> Proportions | None:
    """The person's proportions; None in files of bodies without any."""
    if "head_scale" not in arrays and "hand_scale" not in arrays:
        return None
    found: dict[str, torch.Tensor] = {}
    for name, trailing in _PROPORTIONS.items():
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
        raise MotionFileError(
            f"{arrays.name}: {key} must be ({count},) numbers, got {found.dtype} {found.shape}"
        )
    return found
