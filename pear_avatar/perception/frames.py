"""The processed frames of one clip, decoded ahead in a thread."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pear_avatar.io.video import VideoReader

__all__ = ["Frames"]


class Frames:
    """The processed frames of one clip, read as often as a pass needs them.

    Args:
        path: the clip. wanted: (N,) frame numbers in it. max_side: as in
            :func:`~pear_avatar.io.video.read_frames`.
    """

    def __init__(self, path: str | os.PathLike[str], wanted: np.ndarray, max_side: int | None):
        self.path = Path(path)
        self.wanted = wanted
        self._reader, self._max_side = VideoReader(path), max_side
        self._row = {int(k): i for i, k in enumerate(wanted)}

    def __len__(self) -> int:
        return len(self.wanted)

    def read(self, rows: np.ndarray, ahead: int = 4) -> Iterator[tuple[int, int, float, Any]]:
        """(row, frame number, time, rgb) of the given rows, decoded in a separate thread."""
        if len(rows) == 0:
            return
        frames = self._reader.frames(indices=self.wanted[rows], max_side=self._max_side)
        for index, time, rgb in _ahead(frames, ahead):
            yield self._row[index], index, time, rgb


def _ahead(items: Iterator[Any], depth: int) -> Iterator[Any]:
    """Run an iterator in a thread, ``depth`` items ahead; its errors are raised here."""
    ready: queue.Queue[Any] = queue.Queue(maxsize=depth)
    stop = threading.Event()
    end = object()

    def put(item: Any) -> bool:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(end)
        except BaseException as error:  # handed over: the reader raises it
            put(error)

    worker = threading.Thread(target=work, name="decode", daemon=True)
    worker.start()
    try:
        while (item := ready.get()) is not end:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        worker.join()
