"""The viewer's HTTP application: the page, the avatars' files, the conversion of motions.

No part of a URL is ever made into a path on disk: pages come from a table read at start-up,
everything else from the library by its id.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path, PurePosixPath

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from pear_avatar.errors import MissingFileError, PearError, explain
from pear_avatar.motion.formats.registry import endings
from pear_avatar.viewer.library import (
    MAX_UPLOAD_BYTES,
    Library,
    Packed,
    ShownAvatar,
    server_session,
)

from pear_avatar.viewer.live_files import LIVE_MODEL, live_files

logger = logging.getLogger(__name__)

_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
_BINARY = "application/octet-stream"
_VIDEO_KINDS = {".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm"}

#: Conversions at a time; each may need a core and some hundred megabytes.
_CONVERSIONS = 1

INDEX, TEMPLATE = "index.html", "export_template.html"


def read_pages(folder: Path) -> dict[str, bytes]:
    """The built web files by their path in the folder.

    Raises:
        MissingFileError: the folder does not hold the built page.
    """
    if not (folder / INDEX).is_file():
        raise MissingFileError(
            f"the viewer's web files are not in {folder}: in a source checkout run "
            "`npm ci && npm run build` in viewer/, otherwise install pear-avatar again"
        )
    files = (path for path in sorted(folder.rglob("*")) if path.suffix in _KINDS)
    pages = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    pages.pop(TEMPLATE, None)
    return pages


def create_app(library: Library, pages: dict[str, bytes]) -> Starlette:
    """The application; it trusts its requests, so :class:`~pear_avatar.viewer.guard.Guard` must
    stand before it.
    """
    handlers = _Handlers(library, pages)
    return Starlette(
        routes=[
            Route("/", handlers.page),
            Route("/api/session", handlers.session),
            Route("/api/avatar/{avatar}/payload", handlers.payload),
            Route("/api/avatar/{avatar}/thumbnail", handlers.thumbnail),
            Route("/api/avatar/{avatar}/video", handlers.video),
            Route("/api/avatar/{avatar}/motion/{motion}", handlers.motion),
            Route("/live/{name}", handlers.live),
            Route("/api/convert-motion", handlers.convert, methods=["POST"]),
            Route("/{path:path}", handlers.page),
        ],
        exception_handlers={
            HTTPException: _refuse,
            PearError: _fail,
            OSError: _fail,
            MemoryError: _fail,
            Exception: _fail,
        },
    )


class _Handlers:
    def __init__(self, library: Library, pages: dict[str, bytes]) -> None:
        self._library, self._pages = library, pages
        self._live = live_files(library.live_model)
        session = server_session(library, self._live.session("live"))
        self._session = json.dumps(dataclasses.asdict(session)).encode()
        self._converting = anyio.CapacityLimiter(_CONVERSIONS)

    async def page(self, request: Request) -> Response:
        name = request.path_params.get("path", "") or INDEX
        body = self._pages.get(name)
        if body is None:
            raise HTTPException(404, "there is no such page")
        kind = _KINDS.get(PurePosixPath(name).suffix, _BINARY)
        cache = "no-store" if name == INDEX else "private, max-age=3600"
        return Response(body, headers={"Content-Type": kind, "Cache-Control": cache})

    async def session(self, request: Request) -> Response:
        return Response(
            self._session,
            headers={"Content-Type": "application/json", "Cache-Control": "no-store"},
        )

    async def payload(self, request: Request) -> Response:
        return _pack(request, await run_sync(self._avatar(request).load))

    async def motion(self, request: Request) -> Response:
        motion = self._avatar(request).motion(request.path_params["motion"])
        if motion is None:
            raise HTTPException(404, "there is no such motion")
        return _pack(request, await run_sync(motion.load))

    async def thumbnail(self, request: Request) -> Response:
        picture = await run_sync(self._avatar(request).thumbnail)
        headers = {"Content-Type": "image/webp", "Cache-Control": "private, max-age=300"}
        return Response(picture, headers=headers)

    async def video(self, request: Request) -> Response:
        video = self._avatar(request).video
        if video is None:
            raise HTTPException(404, "the input video of this avatar was not found")
        path = await run_sync(video.load)
        kind = _VIDEO_KINDS.get(path.suffix.lower(), _BINARY)
        return FileResponse(path, media_type=kind, headers={"Cache-Control": "private"})

    async def live(self, request: Request) -> Response:
        name, cache = request.path_params["name"], {"Cache-Control": "private, max-age=3600"}
        if name == LIVE_MODEL:
            model = await run_sync(self._live.model)
            return Response(model, headers={"Content-Type": _BINARY, **cache})
        path = self._live.files.get(name)
        if path is None:
            raise HTTPException(404, "there is no such file")
        kind = _KINDS.get(path.suffix, _BINARY)
        return FileResponse(path, media_type=kind, headers=cache)

    async def convert(self, request: Request) -> Response:
        name = PurePosixPath(request.query_params.get("name", "").replace("\\", "/")).name
        if PurePosixPath(name).suffix.lower() not in endings():
            raise HTTPException(415, f"only {', '.join(endings())} files can be converted")
        wanted = request.query_params.get("avatar", "")
        avatar = self._library.avatar(wanted) if wanted else self._library.avatars[0]
        if avatar is None:
            raise HTTPException(404, "there is no such avatar")
        data = await _body(request)
        work = lambda: self._library.convert(avatar, name, data)  # noqa: E731
        motion = await run_sync(work, limiter=self._converting)
        return Response(motion, headers={"Content-Type": _BINARY, "Cache-Control": "no-store"})

    def _avatar(self, request: Request) -> ShownAvatar:
        avatar = self._library.avatar(request.path_params["avatar"])
        if avatar is None:
            raise HTTPException(404, "there is no such avatar")
        return avatar


async def _body(request: Request) -> bytes:
    """The whole body, given up as soon as it is too long, whatever its header says."""
    too_large = HTTPException(413, f"larger than {MAX_UPLOAD_BYTES >> 20} MB")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > MAX_UPLOAD_BYTES:
        raise too_large
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > MAX_UPLOAD_BYTES:
                raise too_large
            parts.append(part)
    except ClientDisconnect as error:
        raise HTTPException(400, "the upload was broken off") from error
    return b"".join(parts)


def _pack(request: Request, packed: Packed) -> Response:
    headers = {
        "Content-Type": _BINARY,
        "Cache-Control": "private, no-cache",
        "Vary": "Accept-Encoding",
        "X-Uncompressed-Length": str(len(packed.plain)),
    }
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(packed.gzipped, headers={**headers, "Content-Encoding": "gzip"})
    return Response(packed.plain, headers=headers)


def _error(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    body = json.dumps({"error": reason})
    return Response(body, status, headers=headers, media_type="application/json")


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    return _error(error.status_code, error.detail, headers)


async def _fail(request: Request, error: Exception) -> Response:
    """404 or 422 and the reason where a file is at fault, 500 where the program is."""
    failure = explain(error)
    if failure.is_defect:
        logger.error("%s: %s", request.url.path.rpartition("/api/")[2], failure.message)
        return _error(500, f"unexpected {type(error).__name__}; the terminal says more")
    logger.warning("%s", failure.message)
    return _error(404 if isinstance(error, FileNotFoundError) else 422, failure.message)
