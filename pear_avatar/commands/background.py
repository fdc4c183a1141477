"""Work beside the main thread that ends with it: a failure or Ctrl-C there stops it at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from pear_avatar.io.closing import Closing

__all__ = ["Background", "StoppedError"]


class StoppedError(Exception):
    """Raised inside the work where it goes on after it was stopped."""


class Background(Closing):
    """Runs functions beside a ``with`` block; leaving the block by an exception stops them.

    Each function gets a callback ``progress`` and calls it after every step; the callback raises
    :class:`StoppedError` once the work is no longer needed, so that the function cleans up as after
    any other error.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._started: list[Future[None]] = []

    def start(self, function: Callable[..., None], *args: object) -> None:
        """Run a function in a thread of its own."""
        pool = ThreadPoolExecutor(max_workers=1)
        self._started.append(pool.submit(function, *args, progress=self._step))
        pool.shutdown(wait=False)

    def finish(self) -> None:
        """Wait for what runs, and raise what it raised."""
        for future in self._started:
            future.result()

    def close(self) -> None:
        """Stop what still runs."""
        self._stop.set()

    def _step(self, stage: str, done: int, total: int) -> None:
        if self._stop.is_set():
            raise StoppedError(stage)
