"""The real application behind its guard on a real port, and requests written by hand."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn

from pear_avatar.viewer.app import create_app
from pear_avatar.viewer.guard import Guard
from pear_avatar.viewer.library import Library
from pear_avatar.viewer.server import host_policy, server_config

TOKEN = "sesame-and-32-more-random-letters"
PAGES = {
    "index.html": b"<!doctype html><title>viewer</title>",
    "assets/app.js": b"export {};",
    "assets/kernel.wasm": b"\0asm",
}


@dataclass(frozen=True)
class Answer:
    """Status, headers by lower-case name, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class LiveServer:
    """A running server on 127.0.0.1."""

    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> Answer:
        """GET under the token."""
        return self.ask(f"GET /{TOKEN}/{path} HTTP/1.1", headers)

    def post(self, path: str, body: bytes, **headers: str) -> Answer:
        """POST under the token."""
        length = {"Content-Length": str(len(body)), **headers}
        return self.ask(f"POST /{TOKEN}/{path} HTTP/1.1", length, body)

    def ask(self, line: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
        """Send a request line as it is, with a right ``Host`` unless another is given."""
        named = {"Host": self.host, "Connection": "close"}
        named |= {k.replace("_", "-"): v for k, v in (headers or {}).items()}
        text = "\r\n".join([line, *(f"{k}: {v}" for k, v in named.items()), "", ""])
        return self.send(text.encode("latin-1") + body)

    def send(self, data: bytes) -> Answer:
        """Send bytes and read until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(data)
            received = bytearray()
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(1 << 16):
                    received += part
        head, _, rest = bytes(received).partition(b"\r\n\r\n")
        if not head:
            return Answer(0, {}, b"")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v for k, _, v in (item.partition(": ") for item in lines)}
        return Answer(int(first.split()[1]), headers, rest)


@contextlib.contextmanager
def running(library: Library) -> Iterator[LiveServer]:
    """Serve a library with small made-up pages."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    app = Guard(create_app(library, PAGES), TOKEN, host_policy("127.0.0.1", port))
    server = uvicorn.Server(server_config(app))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    for _ in range(500):
        if server.started:
            break
        time.sleep(0.01)
    try:
        yield LiveServer(port)
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
