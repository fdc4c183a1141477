"""What a user may recover people from: a picture, a folder of them, a video, a camera, a stream."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pear_avatar.errors import (
    PearError,
    require_file,
)
from pear_avatar.io.images import IMAGE_SUFFIXES, is_image_path

__all__ = ["RecoverInput", "pictures_in", "resolve_input"]

InputKind = Literal["picture", "folder", "video", "camera", "stream"]

_STREAM_SCHEMES = ("rtsp://", "rtmp://", "http://", "https://", "udp://", "tcp://")


@dataclass(frozen=True)
class RecoverInput:
    """One input: its kind, its path, camera number or address as text, and a name for results."""

    kind: InputKind
    source: str
    name: str

    @property
    def is_live(self) -> bool:
        """Whether it runs until it is stopped."""
        return self.kind in ("camera", "stream")


def resolve_input(text: str) -> RecoverInput:
    """Say what an argument names.

    Raises:
        PearError: nothing that can be read.
    """
    if text.isdigit() and not Path(text).exists():
        return RecoverInput("camera", text, f"camera{text}")
    if text.lower().startswith(_STREAM_SCHEMES):
        return RecoverInput("stream", text, "stream")
    path = Path(text)
    if path.is_dir():
        if not pictures_in(path):
            raise PearError(
                f"{path} holds no pictures ({', '.join(sorted(IMAGE_SUFFIXES))}): name another "
                "folder, or a video file"
            )
        return RecoverInput("folder", text, path.resolve().name)
    require_file(path, "picture, folder or video")
    kind: InputKind = "picture" if is_image_path(path) else "video"
    return RecoverInput(kind, text, path.stem)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder and its sub-folders, by name; hidden ones are left out."""
    found = []
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        found += [
            Path(where) / f for f in sorted(files) if is_image_path(f) and not f.startswith(".")
        ]
    return found
