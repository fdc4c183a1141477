"""The live page: pictures arrive, and only at those who know the token."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from pear_avatar.viewer.live_page import LivePage


@pytest.fixture
def page() -> Iterator[LivePage]:
    with LivePage() as served:
        yield served


def status(url: str, host: str | None = None) -> int:
    request = urllib.request.Request(url, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_page_shows_the_stream(page: LivePage) -> None:
    with urllib.request.urlopen(page.url, timeout=5) as answer:
        text = answer.read().decode()
        policy = answer.headers["Content-Security-Policy"]
    assert f"/stream?token={page.token}" in text
    assert "default-src 'none'" in policy
    assert page.url.startswith("http://127.0.0.1:")


def test_without_the_token_or_under_another_name_nothing_is_told(page: LivePage) -> None:
    root = page.url.split("?")[0]
    assert status(root) == 403
    assert status(f"{root}?token=wrong") == 403
    assert status(f"{root}stream?token=") == 403
    assert status(page.url, host="evil.example:80") == 403
    assert status(f"{root}../../etc/passwd?token={page.token}") == 404


def test_the_newest_picture_arrives_as_it_was_shown(page: LivePage) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, 32:] = (255, 128, 0)
    page.show(np.zeros_like(picture))
    page.show(picture)
    url = page.url.replace("/?", "/stream?")
    with urllib.request.urlopen(url, timeout=5) as answer:
        assert answer.readline().startswith(b"--")
        size = 0
        while line := answer.readline().strip():
            name, _, value = line.partition(b": ")
            if name == b"Content-Length":
                size = int(value)
        jpeg = answer.read(size)
    seen = cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1), cv2.COLOR_BGR2RGB)
    assert seen.shape == picture.shape
    assert np.abs(seen[:, 40:].astype(int) - picture[:, 40:]).max() < 12  # JPEG
    assert seen[:, :24].max() < 12
