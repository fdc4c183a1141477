"""Connections that ask for nothing do not keep out those that do; the token stays private."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.request import url2pathname
from unittest import mock

import pytest
from live_server import LiveServer, running
from uvicorn.protocols.http.h11_impl import H11Protocol

from pear_avatar.commands.avatar_library import open_library
from pear_avatar.viewer import open_page as opener
from pear_avatar.viewer.patience import BoundedProtocol
from pear_avatar.viewer.server import server_config


@pytest.fixture(scope="module")
def server(person_file: Path) -> Iterator[LiveServer]:
    with running(open_library(person_file.parent)) as live:
        yield live


def test_half_requests_leave_room(server: LiveServer) -> None:
    idle = []
    for k in range(200):
        connection = socket.create_connection(("127.0.0.1", server.port))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a" if k % 2 else b"")
        idle.append(connection)
    try:
        assert server.get("").status == 200
    finally:
        for connection in idle:
            connection.close()


def test_the_viewer_uses_it() -> None:
    assert server_config(lambda *_: None).http is BoundedProtocol  # type: ignore[arg-type]
    assert issubclass(BoundedProtocol, H11Protocol)


@pytest.mark.parametrize("display", [True, False])
def test_the_browsers_command_line_lacks_the_token(
    monkeypatch: pytest.MonkeyPatch, display: bool
) -> None:
    called = threading.Event()
    seen = []

    def browser(url: str) -> None:
        page = Path(url2pathname(url.removeprefix("file://")))
        seen.append((url, page.read_text(), page.stat().st_mode & 0o077))
        called.set()

    monkeypatch.setattr(opener, "_READ_WITHIN", 0.0)
    monkeypatch.setattr(opener.sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    if not display:
        monkeypatch.delenv("DISPLAY")
    with mock.patch.object(opener.webbrowser, "open", browser):
        opener.open_page("http://127.0.0.1:9/sesame/")
        assert called.wait(5.0 if display else 0.2) == display
    if display:
        url, text, others = seen[0]
        assert "sesame" not in url
        assert "http://127.0.0.1:9/sesame/" in text
        assert others == 0
