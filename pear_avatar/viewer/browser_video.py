"""Videos as browsers want them: upright, H.264 in mp4, starting at time zero."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from pear_avatar.errors import MediaError
from pear_avatar.io.atomic import atomic_path
from pear_avatar.io.video import read_frames
from pear_avatar.io.video_stream import open_container, picture_stream

_CONTAINERS = (".mp4", ".m4v", ".webm")
_CODECS = ("h264", "vp8", "vp9", "av1")
_TICK = Fraction(1, 90000)
#: A keyframe this often: jumping to any frame decodes at most so many.
_KEYFRAME_EVERY = 12


def plays_in_browsers(path: str | Path) -> bool:
    """Whether browsers show this file's frames at the times that this package sees them."""
    if Path(path).suffix.lower() not in _CONTAINERS:
        return False
    try:
        with open_container(Path(path)) as container:
            stream = picture_stream(container, Path(path))
            start = float((stream.start_time or 0) * (stream.time_base or 0))
            plain = stream.codec_context.pix_fmt in ("yuv420p", "yuvj420p")
            return stream.codec_context.name in _CODECS and plain and abs(start) < 1e-3
    except (MediaError, av.error.FFmpegError, OSError):
        return False


def write_browser_video(
    source: str | Path,
    target: str | Path,
    *,
    max_side: int | None = None,
    crf: int = 20,
) -> Path:
    """Encode a video anew with the same frames at the same times; whole or not at all.

    Args:
        source: any video that can be read.
        target: an ``.mp4`` file.
        max_side: scale down so that the longer side is at most this.
        crf: x264's quality: 18 is visually lossless, larger is smaller.

    Raises:
        MediaError: the source cannot be read.
    """
    frames = read_frames(source, max_side=max_side)
    with atomic_path(target) as temporary:
        options = {"movflags": "+faststart"}
        with av.open(str(temporary), "w", format="mp4", options=options) as container:
            if not _encode(container, ((time, rgb) for _, time, rgb in frames), crf):
                raise MediaError(f"{source} has no frames: choose another video")
    return Path(target)


def _encode(container: Any, frames: Iterable[tuple[float, np.ndarray]], crf: int) -> int:
    """Encode (seconds, (H, W, 3) uint8) frames; returns how many there were."""
    stream: Any = None
    count = 0
    for time, rgb in frames:
        rgb = rgb[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2]  # 4:2:0 needs even sides
        if stream is None:
            stream = container.add_stream("libx264", rate=30)
            stream.height, stream.width = rgb.shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.time_base = _TICK
            stream.codec_context.gop_size = _KEYFRAME_EVERY
            # Frames are stored in the order they are shown, so the first one's time is zero.
            stream.codec_context.max_b_frames = 0
            stream.options = {"crf": str(crf), "preset": "veryfast"}
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame = frame.reformat(format="yuv420p")
        frame.pts, frame.time_base = round(time / _TICK), _TICK
        container.mux(stream.encode(frame))
        count += 1
    if stream is not None:
        container.mux(stream.encode(None))
    return count
