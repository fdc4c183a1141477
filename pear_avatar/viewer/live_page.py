"""A page that shows the newest picture of a live run: a window that works on any machine."""

from __future__ import annotations

import hmac
import secrets
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

import cv2
import numpy as np

__all__ = ["LivePage"]

_BOUNDARY = "pear-avatar-frame"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>pear-avatar live</title>
<meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="/style.css"></head>
<body><img src="/stream?token={token}" alt="The camera's picture with the recovered body"></body>
</html>
"""
_STYLE = """html{background:#18181b;height:100%}body{margin:0;height:100%;display:grid;
place-items:center}img{max-width:100vw;max-height:100vh}"""
_POLICY = "default-src 'none'; img-src 'self'; style-src 'self'; frame-ancestors 'none'"
_QUALITY = 85
#: Seconds a viewer waits for the next picture before looking whether the run has ended.
_PATIENCE = 0.5


@dataclass
class _Newest:
    """The newest picture as JPEG, its number, and whether more will come."""

    jpeg: bytes = b""
    number: int = 0
    ended: bool = False


class LivePage:
    """Serves the newest picture on loopback at :attr:`url`; a ``with`` block stops it.

    Args:
        port: 0 takes any free one.
    """

    def __init__(self, port: int = 0) -> None:
        self._newest = _Newest()
        self._changed = threading.Condition()
        self.token = secrets.token_urlsafe(16)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """What to open in a browser; the token keeps other pages and users out."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/?token={self.token}"

    def __enter__(self) -> LivePage:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._newest.ended = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def show(self, rgb: np.ndarray) -> None:
        """Replace the picture, (H, W, 3) uint8."""
        bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        ok, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not ok:
            raise ValueError(f"a picture of shape {rgb.shape} cannot be encoded as JPEG")
        with self._changed:
            self._newest = _Newest(jpeg.tobytes(), self._newest.number + 1)
            self._changed.notify_all()

    def _next(self, after: int) -> _Newest:
        with self._changed:
            self._changed.wait_for(
                lambda: self._newest.ended or self._newest.number > after, _PATIENCE
            )
            return self._newest

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        page = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:
                """Requests are nobody's business."""

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                if url.path == "/style.css":
                    self._reply(200, "text/css", _STYLE.encode())
                elif not page.allows(url.query, self.headers.get("Host", "")):
                    self._reply(403, "text/plain", b"wrong or missing token")
                elif url.path == "/":
                    text = _PAGE.format(token=page.token)
                    self._reply(200, "text/html; charset=utf-8", text.encode())
                elif url.path == "/stream":
                    self._stream()
                else:
                    self._reply(404, "text/plain", b"no such page")

            def _reply(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                for name, value in {
                    "Content-Type": kind,
                    "Content-Length": str(len(body)),
                    "Content-Security-Policy": _POLICY,
                    "Referrer-Policy": "no-referrer",
                    "X-Content-Type-Options": "nosniff",
                    "Cache-Control": "no-store",
                }.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def _stream(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                seen = 0
                try:
                    while not (newest := page._next(seen)).ended:
                        if newest.number == seen:
                            continue
                        seen = newest.number
                        head = (
                            f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                            f"Content-Length: {len(newest.jpeg)}\r\n\r\n"
                        )
                        self.wfile.write(head.encode() + newest.jpeg + b"\r\n")
                except (BrokenPipeError, ConnectionResetError):
                    return  # the viewer closed the page

        return Handler

    def allows(self, query: str, host: str) -> bool:
        """Whether a request carries the token and names this machine (no DNS rebinding)."""
        token = parse_qs(query).get("token", [""])[0]
        name = host.rsplit(":", 1)[0]
        return hmac.compare_digest(token.encode(), self.token.encode()) and name in (
            "127.0.0.1",
            "localhost",
        )
