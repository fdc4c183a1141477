"""What a viewer shows: avatars with their motions and videos; each part is made when asked for."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pear_avatar.motion.formats.registry import endings
from pear_avatar.viewer.schema import (
    SCHEMA_VERSION,
    Session,
    SessionAvatar,
    SessionLive,
    SessionMotion,
    SessionVideo,
)

_T = TypeVar("_T")

#: Motion files larger than this are not taken from the page.
MAX_UPLOAD_BYTES = 64 << 20


class Lazy(Generic[_T]):
    """A value that is made at the first call and kept; several threads may ask at once."""

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._made: list[_T] = []

    def __call__(self) -> _T:
        """The value; what making it raises comes out here, and the next call tries again."""
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]


@dataclass(frozen=True)
class Packed:
    """Bytes to send, and the same compressed."""

    plain: bytes
    gzipped: bytes

    @classmethod
    def of(cls, data: bytes, level: int = 6) -> Packed:
        """Compress once; the same input gives the same bytes."""
        return cls(data, gzip.compress(data, level, mtime=0))


@dataclass(frozen=True)
class ShownMotion:
    """A motion for one avatar; ``load`` makes its file."""

    id: str
    name: str
    frames: int
    fps: float
    has_camera: bool
    load: Callable[[], Packed]


@dataclass(frozen=True)
class ShownVideo:
    """The clip that an avatar was fitted to; ``load`` says where a file is that browsers play."""

    width: int
    height: int
    fps: float
    frames: int
    load: Callable[[], Path]


@dataclass(frozen=True)
class ShownAvatar:
    """One avatar. ``thumbnail`` makes a WebP picture; ``payload_bytes`` may be an estimate."""

    id: str
    name: str
    splats: int
    details: str
    payload_bytes: int
    load: Callable[[], Packed]
    thumbnail: Callable[[], bytes]
    video: ShownVideo | None
    motions: tuple[ShownMotion, ...]

    def motion(self, motion_id: str) -> ShownMotion | None:
        """The motion with this id."""
        return next((m for m in self.motions if m.id == motion_id), None)


@dataclass(frozen=True)
class Library:
    """All that one viewer shows.

    convert: (avatar, file name, its bytes) -> a motion file for that avatar; a PearError says in
        one sentence what is wrong with the file.
    live_model: makes the live model file, see :data:`~pear_avatar.viewer.schema.LIVE_TENSORS`.
    """

    title: str
    avatars: tuple[ShownAvatar, ...]
    convert: Callable[[ShownAvatar, str, bytes], bytes]
    live_model: Callable[[], bytes]

    def avatar(self, avatar_id: str) -> ShownAvatar | None:
        """The avatar with this id."""
        return next((a for a in self.avatars if a.id == avatar_id), None)


def server_session(library: Library, live: SessionLive | None = None) -> Session:
    """The session message of a served library; urls are relative to the page."""
    return Session(
        version=SCHEMA_VERSION,
        title=library.title,
        kind="server",
        avatars=tuple(_served_avatar(avatar) for avatar in library.avatars),
        convert="api/convert-motion",
        convert_endings=endings(),
        max_upload_bytes=MAX_UPLOAD_BYTES,
        live=live,
    )


def _served_avatar(avatar: ShownAvatar) -> SessionAvatar:
    base = f"api/avatar/{avatar.id}"
    video = avatar.video
    return SessionAvatar(
        id=avatar.id,
        name=avatar.name,
        splats=avatar.splats,
        payload=f"{base}/payload",
        payload_bytes=avatar.payload_bytes,
        thumbnail=f"{base}/thumbnail",
        details=avatar.details,
        video=None
        if video is None
        else SessionVideo(f"{base}/video", video.width, video.height, video.fps, video.frames),
        motions=tuple(
            SessionMotion(m.id, m.name, f"{base}/motion/{m.id}", m.frames, m.fps, m.has_camera)
            for m in avatar.motions
        ),
    )
