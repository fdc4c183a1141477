"""Folders that trackers leave behind -> the file in them, or their frames side by side.

A folder of one tracker's run holds its result under a known name; SMPLer-X, LHM and others write
one small file for each frame and person: ``00012_0.npz``, ``smplx_params/00012.json``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.formats.arrays import MAX_FRAMES

__all__ = ["find_result", "read_frame_folder"]

logger = logging.getLogger(__name__)

#: What trackers call their result, the most processed first.
_RESULTS = (
    "track.npz",
    "optim_tracking_ehm.pkl",
    "hmr4d_results.pt",
    "wham_output.pkl",
    "output_data/mediapipe_body_3d_xyz.npy",
    "output_data/mediaPipeSkel_3d_body_hands_face.npy",
)
#: Folders in which trackers keep their frames.
_FRAME_FOLDERS = ("smplx_params", "smplx", "smpl", "params")

_FRAME = re.compile(
    r"(?P<stem>.*?)(?P<frame>\d{1,12})(?:_(?P<person>\d+))?\.(?P<kind>npz|json|pkl)", re.IGNORECASE
)
_MAX_FRAME_BYTES = 16 << 20
_MAX_FOLDER_BYTES = 1 << 30


def find_result(folder: Path) -> Path | None:
    """The result file of a tracker's folder, if there is one."""
    return next((folder / name for name in _RESULTS if (folder / name).is_file()), None)


def read_frame_folder(folder: Path, decode: Callable[[bytes, str], Any]) -> dict[int, Any]:
    """Frame number -> the decoded file of one person in that frame.

    Where there are several people, the one with the most frames, and of those the first.

    Args:
        folder: holds the files itself, or in one of the folders that trackers use.
        decode: a small file's bytes and name -> its content.

    Raises MotionFileError where the folder holds no such files.
    """
    inner = next((folder / n for n in _FRAME_FOLDERS if (folder / n).is_dir()), folder)
    files = _frame_files(inner) or _frame_files(folder)
    if not files:
        raise MotionFileError(
            f"{folder.name}: a folder without poses; expected {', '.join(_RESULTS)} or one npz or "
            "JSON file for each frame (00000_0.npz, smplx_params/00000.json)"
        )
    frames, left = {}, _MAX_FOLDER_BYTES
    for number, path in files:
        size = path.stat().st_size
        left -= size
        if size > _MAX_FRAME_BYTES or left < 0:
            raise MotionFileError(f"{folder.name}: {path.name} is larger than any frame; refused")
        frames[number] = decode(path.read_bytes(), path.name)
    return frames


def _frame_files(folder: Path) -> list[tuple[int, Path]]:
    """Numbers and files of one person in the order of the numbers."""
    people: dict[tuple[str, str, str], dict[int, Path]] = {}
    for path in sorted(folder.iterdir()):
        match = _FRAME.fullmatch(path.name)
        if match and path.is_file():
            key = match["stem"], match["person"] or "", match["kind"].lower()
            people.setdefault(key, {})[int(match["frame"])] = path
    if not people:
        return []
    chosen = max(sorted(people), key=lambda key: len(people[key]))
    frames = sorted(people[chosen].items())
    if len(people) > 1:
        logger.warning(
            "%s: %d people or takes; read is the one of %s",
            folder.name,
            len(people),
            frames[0][1].name,
        )
    if len(frames) > MAX_FRAMES:
        raise MotionFileError(f"{folder.name}: more than the {MAX_FRAMES} frames that are read")
    return frames
