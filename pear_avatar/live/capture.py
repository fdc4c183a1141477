"""Frames of a camera, a stream or a file in real time: only the newest is kept.

A reader that cannot keep up never falls behind: frames that it did not take are dropped, and
each frame carries the time at which the source made it, so that a recording has the speed of
the source and not of the reader.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import av
import cv2
import numpy as np

from pear_avatar.errors import MediaError
from pear_avatar.io.closing import Closing
from pear_avatar.io.video import read_frames

__all__ = ["CaptureCounts", "LiveCapture", "LiveFrame", "LiveSource", "SourceKind"]

_log = logging.getLogger(__name__)

#: Longer side in pixels that frames are brought to; the networks look at less.
_MAX_SIDE = 960
#: Seconds without a packet after which a stream counts as broken off.
_STREAM_TIMEOUT = 10.0
#: Frames in a row that fail to decode before a stream counts as undecodable.
_MOST_FAILURES = 90

SourceKind = Literal["camera", "stream", "file"]


@dataclass(frozen=True)
class LiveSource:
    """Where frames come from.

    kind: "camera" (``address`` is its number), "stream" (a URL) or "file" (a video, played at
        its own speed).
    loop: begin a file again at its end.
    """

    kind: SourceKind
    address: str
    loop: bool = False


@dataclass(frozen=True)
class LiveFrame:
    """One frame.

    number:  0, 1, 2, ... of the frames that the source gave.
    time:    seconds of the source's clock since its first frame.
    arrived: :func:`time.monotonic` when the frame could first be read.
    rgb:     (H, W, 3) uint8, upright, at most 960 pixels long.
    """

    number: int
    time: float
    arrived: float
    rgb: np.ndarray


@dataclass(frozen=True)
class CaptureCounts:
    """Frames that the source delivered, and those that were dropped for a newer one."""

    read: int
    dropped: int


class LiveCapture(Closing):
    """Reads a source on a thread of its own; a ``with`` block starts and stops it.

    Args:
        source: what to read.
        clock, sleep: time that passes; others than the real ones are for tests.
    """

    def __init__(
        self,
        source: LiveSource,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source, self._clock, self._sleep = source, clock, sleep
        self._changed = threading.Condition()
        self._newest: LiveFrame | None = None
        self._taken = -1
        self._dropped = 0
        self._stopping = threading.Event()
        self._ended = False
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="live-capture", daemon=True)

    def __enter__(self) -> LiveCapture:
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop reading."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(timeout=2.0)

    @property
    def counts(self) -> CaptureCounts:
        """How many frames came, and how many of them were dropped."""
        with self._changed:
            read = 0 if self._newest is None else self._newest.number + 1
            return CaptureCounts(read, self._dropped)

    @property
    def newest(self) -> LiveFrame | None:
        """The newest frame, taken or not; None before the first."""
        with self._changed:
            return self._newest

    def take(self, timeout: float = 0.5) -> LiveFrame | None:
        """The newest frame that was not taken yet.

        Returns:
            None if no new frame came within ``timeout`` seconds, or the source has ended (see
            :attr:`ended`).

        Raises:
            MediaError: the source cannot be opened, broke off, or cannot be decoded.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._has_new() or self._ended, timeout)
            if self._failure is not None:
                raise self._failure
            if not self._has_new():
                return None
            assert self._newest is not None
            self._taken = self._newest.number
            return self._newest

    @property
    def ended(self) -> bool:
        """Whether the source gives no more frames; a failure is raised by :meth:`take` first."""
        with self._changed:
            return self._ended and self._failure is None and not self._has_new()

    def _has_new(self) -> bool:
        return self._newest is not None and self._newest.number > self._taken

    def _run(self) -> None:
        try:
            for number, (seconds, rgb) in enumerate(self._frames()):
                if self._stopping.is_set():
                    break
                self._publish(LiveFrame(number, seconds, self._clock(), rgb))
            else:
                if self._newest is None:
                    raise MediaError(
                        f"{self._source.address} gave no frame: check that it sends a video"
                    )
        except Exception as error:  # handed over: take() raises it in the reader's thread
            self._failure = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _publish(self, frame: LiveFrame) -> None:
        with self._changed:
            self._dropped += int(self._has_new())
            self._newest = frame
            self._changed.notify_all()

    def _frames(self) -> Iterator[tuple[float, np.ndarray]]:
        readers = {"camera": self._camera, "stream": self._stream, "file": self._file}
        return readers[self._source.kind]()

    def _camera(self) -> Iterator[tuple[float, np.ndarray]]:
        number = int(self._source.address)
        capture = cv2.VideoCapture(number)
        try:
            if not capture.isOpened():
                raise MediaError(
                    f"camera {number} cannot be opened: check that it is connected, allowed, and "
                    "not in use by another program"
                )
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            start = self._clock()
            while not self._stopping.is_set():
                ok, bgr = capture.read()
                if not ok:
                    return
                yield self._clock() - start, _shrunk(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))
        finally:
            capture.release()

    def _stream(self) -> Iterator[tuple[float, np.ndarray]]:
        address = self._source.address
        options = {"fflags": "nobuffer", "flags": "low_delay"}
        try:
            container: Any = av.open(address, options=options, timeout=_STREAM_TIMEOUT)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise MediaError(f"stream {address} cannot be opened ({error})") from None
        with container:
            if not container.streams.video:
                raise MediaError(f"stream {address} carries no picture")
            yield from _decoded(container, container.streams.video[0], address, self._clock)

    def _file(self) -> Iterator[tuple[float, np.ndarray]]:
        """A file at its own speed; frames that are already late are read but come at once."""
        begin, offset = self._clock(), 0.0
        while True:
            last, step = 0.0, 1.0 / 30.0
            for _, seconds, rgb in read_frames(self._source.address, max_side=_MAX_SIDE):
                step = seconds - last if seconds > last else step
                last = seconds
                wait = offset + seconds - (self._clock() - begin)
                if wait > 0:
                    self._sleep(wait)
                if self._stopping.is_set():
                    return
                yield offset + seconds, rgb
            if not self._source.loop:
                return
            offset += last + step


def _decoded(
    container: Any, stream: Any, address: str, clock: Callable[[], float]
) -> Iterator[tuple[float, np.ndarray]]:
    """Decoded frames of an open stream with the times that their sender gave them.

    Raises:
        MediaError: nothing decodes, or the stream breaks off.
    """
    stream.thread_type = "SLICE"  # frame threads would each hold a frame back
    begin, first, failures = clock(), None, 0
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                failures += 1
                if failures > _MOST_FAILURES:
                    raise MediaError(f"stream {address} cannot be decoded ({error})") from None
                continue
            for frame in frames:
                failures = 0
                arrived = clock() - begin
                seconds = arrived if frame.time is None else float(frame.time)
                first = seconds if first is None else first
                yield seconds - first, _shrunk(frame.to_ndarray(format="rgb24"))
    except av.error.FFmpegError as error:
        if first is None:
            raise MediaError(f"stream {address} cannot be decoded ({error})") from None
        _log.warning("stream %s broke off: %s", address, error)
    if first is None and failures:
        raise MediaError(f"stream {address} cannot be decoded: none of {failures} packets could be")


def _shrunk(rgb: np.ndarray) -> np.ndarray:
    zoom = _MAX_SIDE / max(rgb.shape[:2])
    if zoom >= 1.0:
        return np.ascontiguousarray(rgb)
    return np.asarray(cv2.resize(rgb, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA))
