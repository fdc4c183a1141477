"""Work beside the main thread: its errors arrive, and it stops with the thread that started it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pear_avatar.commands.background import Background
from pear_avatar.io.atomic import atomic_path


def test_what_goes_wrong_arrives() -> None:
    def work(progress: Callable[..., None]) -> None:
        raise ValueError("bad")

    with Background() as background:
        background.start(work)
        with pytest.raises(ValueError, match="bad"):
            background.finish()


def test_it_stops_and_cleans_up_when_the_block_is_left(tmp_path: Path) -> None:
    started, ended = threading.Event(), threading.Event()

    def work(progress: Callable[..., None]) -> None:
        try:
            with atomic_path(tmp_path / "a.txt"):
                started.set()
                while True:
                    progress("overlay", 0, 1)
        finally:
            ended.set()

    def main() -> None:
        with Background() as background:
            background.start(work)
            started.wait(10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        main()
    assert ended.wait(10)
    assert not list(tmp_path.iterdir())
