"""One HTML file that holds the viewer, an avatar and its motions, and needs nothing else."""

from __future__ import annotations

import base64
import dataclasses
import json
from pathlib import Path

from pear_avatar.errors import MissingFileError, ViewerFileError
from pear_avatar.viewer.app import TEMPLATE
from pear_avatar.viewer.library import MAX_UPLOAD_BYTES, Packed, ShownAvatar
from pear_avatar.viewer.schema import (
    SCHEMA_VERSION,
    Session,
    SessionAvatar,
    SessionMotion,
    SessionVideo,
)

MARKER = "<!--pear:data-->"


@dataclasses.dataclass(frozen=True)
class EmbeddedVideo:
    """An H.264 mp4 to put into the file, with its size and frames."""

    data: bytes
    width: int
    height: int
    fps: float
    frames: int


def single_file_html(avatar: ShownAvatar, video: EmbeddedVideo | None, static: Path) -> str:
    """The page of one avatar with all its motions.

    Args:
        avatar: what to show; every motion of it is embedded.
        video: the input video to compare with, or None.
        static: the folder of the built web files.

    Raises:
        MissingFileError: the web files were not built.
    """
    template = static / TEMPLATE
    if not template.is_file():
        raise MissingFileError(
            f"the viewer's web files are not in {static}: in a source checkout run "
            "`npm ci && npm run build` in viewer/, otherwise install pear-avatar again"
        )
    page = template.read_text("utf-8")
    if page.count(MARKER) != 1:
        raise ViewerFileError(f"{template} must hold {MARKER} once, found {page.count(MARKER)}")
    elements = [_session_element(avatar, video), _packed_element("avatar", avatar.load())]
    elements += [_packed_element(f"motion-{m.id}", m.load()) for m in avatar.motions]
    if video is not None:
        elements.append(_element("video", "none", video.data, ' data-mime="video/mp4"'))
    return page.replace(MARKER, "\n".join(elements))


def _session_element(avatar: ShownAvatar, video: EmbeddedVideo | None) -> str:
    shown = SessionAvatar(
        id=avatar.id,
        name=avatar.name,
        splats=avatar.splats,
        payload="embedded:avatar",
        payload_bytes=len(avatar.load().plain),
        thumbnail=None,
        details=avatar.details,
        video=None
        if video is None
        else SessionVideo("embedded:video", video.width, video.height, video.fps, video.frames),
        motions=tuple(
            SessionMotion(m.id, m.name, f"embedded:motion-{m.id}", m.frames, m.fps, m.has_camera)
            for m in avatar.motions
        ),
    )
    session = Session(version=SCHEMA_VERSION, title=avatar.name, kind="export", avatars=(shown,), convert=None, convert_endings=(), max_upload_bytes=MAX_UPLOAD_BYTES, live=None)
    return session_element(session)


def session_element(session: Session) -> str:
    """The session as an element of a page."""
    # "<" could end the element early or open a comment; JSON can say it otherwise.
    text = json.dumps(dataclasses.asdict(session)).replace("<", "\\u003c")
    return f'<script type="application/json" id="pear-session">{text}</script>'


def _packed_element(element_id: str, packed: Packed) -> str:
    return _element(element_id, "gzip", Packed.of(packed.plain, level=9).gzipped)


def _element(element_id: str, encoding: str, data: bytes, more: str = "") -> str:
    text = base64.b64encode(data).decode("ascii")
    return (
        f'<script type="text/plain" id="{element_id}" data-encoding="{encoding}"{more}>'
        f"{text}</script>"
    )
