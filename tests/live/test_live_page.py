"""The live page: pictures and switches, for those who know the token."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np
import pytest

from pear_avatar.errors import PearError
from pear_avatar.live.live_page import LivePage


class Switches:
    """What the page's controls change."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {"mirror": True, "lag_ms": float("nan")}

    def status(self) -> Mapping[str, Any]:
        return self.values

    def control(self, wanted: Mapping[str, Any]) -> None:
        if set(wanted) != {"mirror"}:
            raise PearError("unknown switch")
        self.values |= wanted


@pytest.fixture
def switches() -> Switches:
    return Switches()


@pytest.fixture
def page(switches: Switches) -> Iterator[LivePage]:
    with LivePage(switches.status, switches.control) as served:
        yield served


def call(url: str, body: bytes | None = None, host: str | None = None) -> tuple[int, bytes, str]:
    request = urllib.request.Request(url, data=body, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            policy = answer.headers["Content-Security-Policy"]
            return int(answer.status), answer.read(), policy
    except urllib.error.HTTPError as error:
        return error.code, error.read(), ""


def test_the_page_and_its_files(page: LivePage) -> None:
    code, html, policy = call(page.url)
    assert code == 200
    assert b"avatar.mjpg" in html
    assert "default-src 'none'" in policy
    assert call(page.url + "live.js")[0] == 200
    assert call(page.url + "live.css")[0] == 200
    assert page.url.startswith("http://127.0.0.1:")


def test_strangers_get_nothing(page: LivePage) -> None:
    root = page.url.rsplit("/", 2)[0]
    assert call(root + "/")[0] == 403
    assert call(root + "/guess/avatar.mjpg")[0] == 403
    assert call(page.url, host="evil.example:80")[0] == 403
    assert call(page.url + "../../etc/passwd")[0] in (403, 404)


def test_switches(page: LivePage, switches: Switches) -> None:
    code, body, _ = call(page.url + "control", b'{"mirror": false}')
    assert (code, json.loads(body)) == (200, {"mirror": False, "lag_ms": None})
    assert switches.values["mirror"] is False
    assert call(page.url + "control", b'{"other": 1}')[0] == 422
    assert call(page.url + "control", b"[1]")[0] == 400
    assert call(page.url + "control", b"{")[0] == 400
    assert call(page.url + "control", b" " * 5000)[0] == 413
    assert json.loads(call(page.url + "status")[1])["mirror"] is False


def test_the_newest_picture_arrives_as_it_was_shown(page: LivePage) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, 32:] = (255, 128, 0)
    assert not page.avatar.watched
    page.avatar.show(np.zeros_like(picture))
    page.avatar.show(picture)
    with urllib.request.urlopen(page.url + "avatar.mjpg", timeout=10) as answer:
        assert answer.readline().startswith(b"--")
        size = 0
        while line := answer.readline().strip():
            name, _, value = line.partition(b": ")
            if name == b"Content-Length":
                size = int(value)
        jpeg = answer.read(size)
        assert page.avatar.watched
    seen = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1), cv2.COLOR_BGR2RGB)
    assert seen.shape == picture.shape
    assert np.abs(seen[:, 40:].astype(int) - picture[:, 40:]).max() < 12  # JPEG
    assert seen[:, :24].max() < 12


def test_a_page_without_switches_shows_the_camera_only() -> None:
    with LivePage() as page:
        html = call(page.url)[1]
        assert b"camera.mjpg" in html
        assert b"<button" not in html
        assert call(page.url + "control", b'{"mirror": false}')[0] == 400
