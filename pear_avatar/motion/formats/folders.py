"""Folders that trackers leave behind -> the file in them, or their frames stacked.

A folder of one tracker's run holds its result under a known name; SMPLer-X and others write one
small npz for each frame and person, ``00012_0.npz``.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.formats.arrays import (
    MAX_FRAMES,
    PickleDecoder,
    PoseArrays,
    read_pose_arrays,
)

__all__ = ["find_result", "frame_files", "read_frame_files"]

logger = logging.getLogger(__name__)

#: What trackers call their result, the most processed first.
_RESULTS = ("track.npz", "optim_tracking_ehm.pkl", "hmr4d_results.pt")

_FRAME = re.compile(r"(?P<stem>.*?)(?P<frame>\d+)(?:_(?P<person>\d+))?\.npz", re.IGNORECASE)


def find_result(folder: Path) -> Path | None:
    """The result file of a tracker's folder, if there is one."""
    return next((folder / name for name in _RESULTS if (folder / name).is_file()), None)


def frame_files(folder: Path) -> list[Path]:
    """The frames of one person in a folder of npz files, in the order of their numbers.

    Where there are several people, the one with the most frames, and of those the first.

    Raises MotionFileError where the folder holds no such files.
    """
    people: dict[tuple[str, str], list[tuple[int, Path]]] = {}
    for path in folder.iterdir():
        match = _FRAME.fullmatch(path.name)
        if match and path.is_file():
            key = match["stem"], match["person"] or ""
            people.setdefault(key, []).append((int(match["frame"]), path))
    if not people:
        raise MotionFileError(
            f"{folder.name}: a folder without poses; expected {', '.join(_RESULTS)} or one npz "
            "for each frame (00000_0.npz)"
        )
    chosen = max(sorted(people), key=lambda key: len(people[key]))
    if len(people) > 1:
        logger.warning(
            "%s: %d people or takes; read is the one of %s",
            folder.name, len(people), min(people[chosen])[1].name,
        )  # fmt: skip
    if len(people[chosen]) > MAX_FRAMES:
        raise MotionFileError(f"{folder.name}: more than the {MAX_FRAMES} frames that are read")
    return [path for _, path in sorted(people[chosen])]


def read_frame_files(files: list[Path], decode: PickleDecoder) -> PoseArrays:
    """The arrays of many frames, stacked under the names that all of them have."""
    name = files[0].parent.name
    frames = [read_pose_arrays(path, decode).arrays for path in files]
    out: dict[str, np.ndarray] = {}
    for key, first in frames[0].items():
        if first.dtype.kind not in "fiu" or not all(key in frame for frame in frames):
            continue
        rows = [_row(frame[key]) for frame in frames]
        shapes = {row.shape for row in rows}
        if len(shapes) > 1:
            raise MotionFileError(f"{name}: {key} has different shapes in its frames: {shapes}")
        out[key] = np.stack(rows)
    if not out:
        raise MotionFileError(f"{name}: its frames have no array in common")
    return PoseArrays(name, out)


def _row(array: np.ndarray) -> np.ndarray:
    """One frame without the batch axis of one that trackers leave on it."""
    return array[0] if array.ndim > 1 and array.shape[0] == 1 else array
