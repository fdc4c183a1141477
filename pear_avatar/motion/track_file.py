"""``track.npz``: a tracked person and the clip's cameras, readable by others as AMASS-like.

The motion's keys are those of AMASS for SMPL-X (``poses``, ``trans``, ``betas``, ...), with
``up_axis`` saying that y is up and ``pelvis_rest`` that ``trans`` is where the pelvis is. Where
the person's proportions were estimated, ``head_scale`` and ``hand_scale`` (3,) hold them, with
``head_betas`` (H,) and ``joint_offsets`` (55, 3) where there are any.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pear_avatar.errors import MotionFileError
from pear_avatar.io.npz import save_npz
from pear_avatar.motion.formats.format import MotionFile
from pear_avatar.motion.formats.layouts.track import PROPORTIONS, TRACK_VERSION
from pear_avatar.motion.formats.registry import read_motion
from pear_avatar.motion.write_poses import motion_arrays
from pear_avatar.types import Proportions, Track

__all__ = ["TRACK_VERSION", "load_track", "save_track", "track_of"]


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
    return track_of(read_motion(path))


def track_of(found: MotionFile) -> Track:
    """The track in a file that was read.

    Raises MotionFileError where it holds a motion alone.
    """
    if found.track is None:
        raise MotionFileError(
            f"{found.motion.name}: holds a motion but no track (cameras); render it with --pose "
            "instead"
        )
    return found.track


def _proportion_arrays(proportions: Proportions) -> dict[str, np.ndarray]:
    found = {}
    for name, trailing in PROPORTIONS.items():
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
