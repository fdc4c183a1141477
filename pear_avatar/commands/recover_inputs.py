"""What a user may recover people from: a picture, a folder of them, a video, a camera, a stream."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pear_avatar.errors import (
    PearError,
    require_file,
)
from pear_avatar.io.images import is_image_path, is_still_picture
from pear_avatar.io.media_kind import media_kind

__all__ = ["MediaInput", "pictures_in", "resolve_input"]

_log = logging.getLogger(__name__)

#: So many files that are left out are named.
_NAMED = 5

InputKind = Literal["picture", "folder", "video", "camera", "stream"]

_STREAM_SCHEMES = ("rtsp://", "rtmp://", "http://", "https://", "udp://", "tcp://")


@dataclass(frozen=True)
class MediaInput:
    """One input: its kind, its path, camera number or address as text, and a name for results."""

    kind: InputKind
    source: str
    name: str

    @property
    def is_live(self) -> bool:
        """Whether it runs until it is stopped."""
        return self.kind in ("camera", "stream")


def resolve_input(text: str) -> MediaInput:
    """Say what an argument names.

    Raises:
        PearError: nothing that can be read.
    """
    if text.isdigit() and not Path(text).exists():
        return MediaInput("camera", text, f"camera{text}")
    if text.lower().startswith(_STREAM_SCHEMES):
        return MediaInput("stream", text, "stream")
    path = Path(text)
    if path.is_dir():
        if not any(is_still_picture(p) for p in path.rglob("*")):
            raise PearError(
                f"{path} holds no pictures (JPEG, PNG, HEIC, AVIF, WebP, TIFF, ...): name another "
                "folder, or a video file"
            )
        return MediaInput("folder", text, path.resolve().name)
    require_file(path, "picture, folder or video")
    kind: InputKind = "picture" if is_still_picture(path) else "video"
    return MediaInput(kind, text, path.stem)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder and its sub-folders, by name; hidden ones are left out.

    What counts is the content of a file, not its ending; a warning names the other files.
    """
    found: list[Path] = []
    others: list[Path] = []
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(f for f in files if not f.startswith(".")):
            path = Path(where) / name
            # A file that claims to be a picture and is not is reported, not left out.
            broken = is_image_path(path) and media_kind(path) == "unknown"
            (found if broken or is_still_picture(path) else others).append(path)
    if others:
        names = ", ".join(p.name for p in others[:_NAMED])
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        _log.warning("%s: left out, no still pictures: %s%s", folder, names, more)
    return found
