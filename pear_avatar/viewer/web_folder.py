"""A folder that any static web host can serve: the viewer, avatars, and a camera to drive them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from pear_avatar.errors import PearError, ViewerFileError
from pear_avatar.viewer.app import INDEX, read_pages
from pear_avatar.viewer.library import MAX_UPLOAD_BYTES, Library, ShownAvatar
from pear_avatar.viewer.live_files import LIVE_MODEL, live_files
from pear_avatar.viewer.schema import SCHEMA_VERSION, Session, SessionAvatar, SessionMotion
from pear_avatar.viewer.single_file import session_element

__all__ = ["write_web_folder"]

#: As the server's own policy, for hosts that send none.
_POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
    "script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self' blob:; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'\" />"
)


def write_web_folder(library: Library, static: Path, out: Path) -> int:
    """Write the folder; it appears whole or not at all.

    Args:
        library: what to show.
        static: the folder of the built web files.
        out: must not exist, or be an empty folder.

    Returns:
        the bytes written.

    Raises:
        PearError: ``out`` holds something already. MissingFileError: the web files are not there.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise PearError(f"{out} is not empty: name a new folder")
    pages = read_pages(static)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as temporary:
        folder = Path(temporary) / "web"
        for name, data in pages.items():
            _write(folder / name, data)
        _write(folder / INDEX, _index(pages[INDEX], _session(library, folder)))
        live = live_files(library.live_model)
        _write(folder / "live" / LIVE_MODEL, live.model())
        for name, path in live.files.items():
            shutil.copyfile(path, folder / "live" / name)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if out.exists():
            out.rmdir()
        folder.rename(out)
    return size


def _index(page: bytes, session: Session) -> bytes:
    text = page.decode("utf-8")
    if text.count("</head>") != 1:
        raise ViewerFileError("the built page has no head to put the avatars into")
    return text.replace("</head>", f"{_POLICY}{session_element(session)}</head>").encode()


def _session(library: Library, folder: Path) -> Session:
    """The session of the avatars, whose files are written beside."""
    return Session(
        version=SCHEMA_VERSION,
        title=library.title,
        kind="export",
        avatars=tuple(_add_avatar(avatar, folder) for avatar in library.avatars),
        convert=None,
        convert_endings=(),
        max_upload_bytes=MAX_UPLOAD_BYTES,
        live=live_files(library.live_model).session("live"),
    )


def _add_avatar(avatar: ShownAvatar, folder: Path) -> SessionAvatar:
    base = f"avatars/{avatar.id}"
    payload = avatar.load().plain
    _write(folder / base / "avatar.pav", payload)
    _write(folder / base / "thumbnail.webp", avatar.thumbnail())
    for motion in avatar.motions:
        _write(folder / base / f"{motion.id}.pmo", motion.load().plain)
    return SessionAvatar(
        id=avatar.id,
        name=avatar.name,
        splats=avatar.splats,
        payload=f"{base}/avatar.pav",
        payload_bytes=len(payload),
        thumbnail=f"{base}/thumbnail.webp",
        details=avatar.details,
        video=None,
        motions=tuple(
            SessionMotion(m.id, m.name, f"{base}/{m.id}.pmo", m.frames, m.fps, m.has_camera)
            for m in avatar.motions
        ),
    )


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
