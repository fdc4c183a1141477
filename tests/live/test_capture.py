"""Frames in real time: stale ones are dropped, times are the source's, failures are named."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from pear_avatar.errors import MediaError
from pear_avatar.io.video import VideoWriter
from pear_avatar.live.capture import LiveCapture, LiveFrame, LiveSource


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Half a second whose grey level is the frame's number times four."""
    path = tmp_path / "take:1.mp4"
    with VideoWriter(path, 30.0) as writer:
        for number in range(15):
            writer.write(np.full((48, 64, 3), 20 + 8 * number, np.uint8))
    return path


def taken(capture: LiveCapture, pause: float) -> list[LiveFrame]:
    frames = []
    while not capture.ended:
        frame = capture.take(0.5)
        if frame is not None:
            frames.append(frame)
            time.sleep(pause)
    return frames


def test_a_quick_reader_gets_every_frame_at_its_own_time(clip: Path) -> None:
    with LiveCapture(LiveSource("file", str(clip))) as capture:
        begin = time.monotonic()
        frames = taken(capture, 0.0)
    assert [f.number for f in frames] == list(range(15))
    assert np.allclose([f.time for f in frames], np.arange(15) / 30, atol=1e-3)
    # Played at its own speed: the last frame cannot come before its time.
    assert frames[-1].arrived - begin > 14 / 30 - 0.02
    assert capture.counts.dropped == 0


def test_a_slow_reader_skips_frames_and_stays_at_the_newest(clip: Path) -> None:
    with LiveCapture(LiveSource("file", str(clip))) as capture:
        frames = taken(capture, 0.15)
        counts = capture.counts
    assert len(frames) < 8
    assert counts.read == 15
    assert counts.dropped == 15 - len(frames)
    numbers = [f.number for f in frames]
    assert numbers == sorted(set(numbers))
    # Times are the source's: they go with the frames' numbers, not with the reader.
    assert np.allclose([f.time for f in frames], np.array(numbers) / 30, atol=1e-3)


def test_a_looped_file_goes_on_with_growing_times(clip: Path) -> None:
    seen: list[LiveFrame] = []
    with LiveCapture(LiveSource("file", str(clip), loop=True)) as capture:
        while len(seen) < 20:
            frame = capture.take(2.0)
            assert frame is not None
            seen.append(frame)
    times = np.array([f.time for f in seen])
    assert (np.diff(times) > 0).all()
    assert times[-1] > 15 / 30


def test_a_stream_that_cannot_be_opened_says_so() -> None:
    source = LiveSource("stream", "tcp://127.0.0.1:9")
    with LiveCapture(source) as capture, pytest.raises(MediaError, match=r"127\.0\.0\.1:9"):
        taken(capture, 0.0)


def test_a_stream_that_cannot_be_decoded_is_not_an_empty_room() -> None:
    """A server that sends bytes which are no video."""
    import socket

    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def serve() -> None:
        connection, _ = server.accept()
        connection.sendall(bytes(range(256)) * 800)
        connection.close()

    threading.Thread(target=serve, daemon=True).start()
    source = LiveSource("stream", f"tcp://127.0.0.1:{port}")
    with LiveCapture(source) as capture, pytest.raises(MediaError, match="stream"):
        taken(capture, 0.0)
    server.close()


def test_a_camera_that_is_not_there_says_so() -> None:
    with (
        LiveCapture(LiveSource("camera", "93")) as capture,
        pytest.raises(MediaError, match="camera 93 cannot be opened"),
    ):
        taken(capture, 0.0)
