"""The page of a live run: two picture streams, switches, rates. Served like the viewer: on
loopback, behind its guard."""

from __future__ import annotations

import json
import math
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import cv2
import numpy as np
import uvicorn
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from pear_avatar.errors import PearError
from pear_avatar.io.closing import Closing
from pear_avatar.viewer.guard import Guard
from pear_avatar.viewer.server import (
    LOOPBACK,
    host_policy,
    listen,
    page_url,
    server_config,
)

__all__ = ["LivePage", "PictureStream"]

_BOUNDARY = "pear-avatar-frame"
_QUALITY = 85
#: Seconds a viewer waits for the next picture before it looks whether the run has ended.
_PATIENCE = 0.5
_MAX_BODY = 4096
_HTML = "text/html; charset=utf-8"
_FILES = {
    "live.css": ("live.css", "text/css; charset=utf-8"),
    "live.js": ("live.js", "text/javascript; charset=utf-8"),
}


@dataclass(frozen=True)
class _Newest:
    jpeg: bytes
    number: int


class PictureStream:
    """The newest picture of a stream, as JPEG, for any number of viewers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._newest = _Newest(b"", 0)
        self._ended = False
        self._viewers = 0

    @property
    def watched(self) -> bool:
        """Whether any viewer is connected: without one, nothing needs to be encoded."""
        return self._viewers > 0

    def show(self, rgb: np.ndarray) -> None:
        """Replace the picture, (H, W, 3) uint8."""
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        ok, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not ok:
            raise ValueError(f"a picture of shape {rgb.shape} cannot be encoded as JPEG")
        with self._changed:
            self._newest = _Newest(jpeg.tobytes(), self._newest.number + 1)
            self._changed.notify_all()

    def end(self) -> None:
        """No more pictures will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _next(self, after: int) -> _Newest | None:
        """The next picture; one of an old number after half a second, None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._newest.number > after, _PATIENCE)
            return None if self._ended else self._newest

    async def parts(self) -> AsyncIterator[bytes]:
        """The parts of a ``multipart/x-mixed-replace`` answer."""
        self._viewers += 1
        seen = 0
        try:
            while (newest := await run_sync(self._next, seen)) is not None:
                if newest.number == seen:
                    continue
                seen = newest.number
                head = (
                    f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                    f"Content-Length: {len(newest.jpeg)}\r\n\r\n"
                )
                yield head.encode() + newest.jpeg + b"\r\n"
        finally:
            self._viewers -= 1


class LivePage(Closing):
    """Serves the page at :attr:`url` on a thread of its own; a ``with`` block stops it.

    Args:
        status: what the page shows, as JSON values; None serves a page with the camera's picture
            and nothing else.
        control: takes what the user switched, checked to be a JSON object.
        port: 0 takes any free one.

    Raises:
        PearError: the port is taken.
    """

    def __init__(
        self,
        status: Callable[[], Mapping[str, Any]] | None = None,
        control: Callable[[Mapping[str, Any]], None] | None = None,
        port: int = 0,
    ) -> None:
        self.avatar, self.camera = PictureStream(), PictureStream()
        self._status, self._control = status or dict, control
        self._socket = listen(LOOPBACK, port)
        number = int(self._socket.getsockname()[1])
        token = secrets.token_urlsafe(24)
        self.url = page_url(LOOPBACK, number, token)
        index = "preview.html" if status is None else "live.html"
        folder = resources.files("pear_avatar.live").joinpath("page")
        self._files = {
            path: (folder.joinpath(name).read_bytes(), kind)
            for path, (name, kind) in {**_FILES, "": (index, _HTML)}.items()
        }
        app = Guard(self._app(), token, host_policy(LOOPBACK, number))
        self._server = uvicorn.Server(server_config(app))
        self._thread = threading.Thread(target=self._serve, name="live-page", daemon=True)

    def __enter__(self) -> LivePage:
        self._thread.start()
        return self

    def close(self) -> None:
        """End the pictures and stop serving."""
        self.avatar.end()
        self.camera.end()
        self._server.should_exit = True
        self._thread.join(timeout=3.0)
        self._socket.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/avatar.mjpg", self._stream_of(self.avatar)),
                Route("/camera.mjpg", self._stream_of(self.camera)),
                Route("/status", self._get_status),
                Route("/control", self._post_control, methods=["POST"]),
                Route("/{path:path}", self._page),
            ]
        )

    def _stream_of(self, stream: PictureStream) -> Callable[[Request], Any]:
        async def answer(_: Request) -> Response:
            return StreamingResponse(
                stream.parts(),
                media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}",
                headers={"Cache-Control": "no-store"},
            )

        return answer

    async def _page(self, request: Request) -> Response:
        found = self._files.get(request.path_params["path"])
        if found is None:
            return _json({"error": "there is no such page"}, 404)
        body, kind = found
        return Response(body, headers={"Content-Type": kind, "Cache-Control": "no-store"})

    async def _get_status(self, _: Request) -> Response:
        return _json(await run_sync(self._status))

    async def _post_control(self, request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _MAX_BODY:
                return _json({"error": "the request is too long"}, 413)
        try:
            wanted = json.loads(bytes(body))
        except ValueError:
            wanted = None
        if not isinstance(wanted, dict) or self._control is None:
            return _json({"error": "a JSON object with switches of this page is expected"}, 400)
        try:
            await run_sync(self._control, wanted)
        except PearError as error:
            return _json({"error": str(error)}, 422)
        return _json(await run_sync(self._status))


def _json(values: Mapping[str, Any], status: int = 200) -> Response:
    known = {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()
    }
    return Response(
        json.dumps(known),
        status,
        headers={"Content-Type": "application/json", "Cache-Control": "no-store"},
    )
