"""Videos in, streaming: upright RGB frames with their true times.

A still picture counts as a clip of one frame, an animated picture as a clip. Frames are numbered
in the order they are shown; a frame that cannot be decoded leaves a gap in the numbers, never a
shift.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import numpy as np

from pear_avatar.errors import MediaError, PearError
from pear_avatar.io.animation import AnimationInfo, animation_frames, probe_animation
from pear_avatar.io.frame_pixels import (
    orientation,
    resample,
    square_width,
    to_upright_rgb,
    transfer_of,
    upright_size,
)
from pear_avatar.io.images import check_media_file, read_image
from pear_avatar.io.media_kind import media_kind
from pear_avatar.io.video_stream import (
    Timeline,
    decode,
    frame_number,
    open_container,
    picture_stream,
    scan_timeline,
    seek_groups,
)
from pear_avatar.io.video_writer import VideoWriter

__all__ = [
    "MediaError",
    "VideoInfo",
    "VideoReader",
    "VideoWriter",
    "pick_frames",
    "probe_video",
    "read_frames",
]

_log = logging.getLogger(__name__)

#: Share of odd time steps above which the rate is called variable: a cut or a dropped frame
#: does not make it so.
_UNSTEADY_SHARE = 0.02
#: A clip that stops this share (and this many seconds) before its declared end is truncated.
_TRUNCATED_SHARE, _TRUNCATED_SECONDS = 0.02, 0.25


@dataclass(frozen=True)
class VideoInfo:
    """What a clip holds.

    width, height: pixels of the upright picture with square pixels.
    fps:           frame rate: of the steady steps, or the mean where the rate is variable.
    num_frames:    frames that are in the file (counted, not taken from its header).
    duration:      seconds, the last frame's own duration included.
    rotation:      degrees counter-clockwise by which stored frames are turned to be upright.
    mirrored:      whether they are reflected, too.
    truncated:     the file declares more than it holds.
    variable_rate: the time between frames changes.
    """

    width: int
    height: int
    fps: float
    num_frames: int
    duration: float
    rotation: int = 0
    mirrored: bool = False
    truncated: bool = False
    variable_rate: bool = False

    def scaled_size(self, max_side: int | None) -> tuple[int, int]:
        """(width, height) of a frame whose longer side is at most ``max_side``."""
        longest = max(self.width, self.height)
        if max_side is None or longest <= max_side:
            return self.width, self.height
        scale = max_side / longest
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))


class VideoReader:
    """One clip, opened as often as it is read; its timeline is scanned once.

    Args:
        path: a video, an animated picture, or a still picture as a clip of one frame.

    Raises:
        MediaError: missing file, a folder, or nothing that shows a picture.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = check_media_file(path)
        self._kind = media_kind(self.path)

    @cached_property
    def _timeline(self) -> Timeline:
        return scan_timeline(self.path)

    @cached_property
    def _animation(self) -> AnimationInfo:
        return probe_animation(self.path)

    @cached_property
    def _first(self) -> tuple[VideoInfo, int | None]:
        """What the container and its first frame say: the clip, and its high-range transfer."""
        with open_container(self.path) as container:
            stream = picture_stream(container, self.path)
            frame = next(decode(container, stream), None)
            if frame is None:
                raise MediaError(
                    f"{self.path} holds no frame that decodes: copy or export it again"
                )
            info = _describe(container, stream, self._timeline, frame)
            return info, transfer_of(frame)

    @cached_property
    def info(self) -> VideoInfo:
        """Size, rate, length and flaws; decodes one frame.

        Raises:
            MediaError: nothing decodes.
        """
        if self._kind in ("picture", "heif"):
            height, width = read_image(self.path).shape[:2]
            return VideoInfo(width, height, fps=30.0, num_frames=1, duration=1 / 30)
        if self._kind == "animation":
            return _of_animation(self._animation)
        info = self._first[0]
        if info.truncated:
            _log.warning(
                "%s breaks off early: %d frames (%.1f s) can be used",
                self.path, info.num_frames, info.duration,
            )  # fmt: skip
        return info

    @property
    def num_frames(self) -> int:
        """Frames in the clip."""
        if self._kind in ("picture", "heif"):
            return 1
        if self._kind == "animation":
            return len(self._animation.times)
        return self._timeline.count

    def frames(
        self,
        *,
        max_frames: int | None = None,
        max_side: int | None = None,
        indices: Sequence[int] | np.ndarray | None = None,
    ) -> Iterator[tuple[int, float, np.ndarray]]:
        """Stream frames; see :func:`read_frames`."""
        if max_frames is not None and indices is not None:
            raise ValueError("give max_frames or indices, not both")
        if max_side is not None and max_side < 2:
            raise PearError(f"max_side must be at least 2 pixels, got {max_side}")
        wanted = _wanted_frames(self.path, self.num_frames, max_frames, indices)
        if self._kind in ("picture", "heif"):
            return _still_frame(self.path, max_side) if len(wanted) else iter(())
        if self._kind == "animation":
            return _of_an_animation(self.path, wanted, max_side)
        return _stream(self.path, self._timeline, wanted, max_side, self._first[1])


def probe_video(path: str | os.PathLike[str]) -> VideoInfo:
    """Open a clip, read its timeline and decode one frame.

    Raises:
        MediaError: missing file, folder, not a video, no picture in it, nothing decodes.
    """
    return VideoReader(path).info


def pick_frames(num_frames: int, max_frames: int | None) -> np.ndarray:
    """Frame numbers at an even stride over the whole clip, at most ``max_frames`` of them.

    Returns (M,) int64. The stride is a whole number, so the time step stays constant.
    """
    if max_frames is None or num_frames <= max_frames:
        return np.arange(num_frames, dtype=np.int64)
    if max_frames < 1:
        raise PearError(f"max_frames must be at least 1, got {max_frames}")
    return np.arange(0, num_frames, -(-num_frames // max_frames), dtype=np.int64)


def read_frames(
    path: str | os.PathLike[str],
    *,
    max_frames: int | None = None,
    max_side: int | None = None,
    indices: Sequence[int] | np.ndarray | None = None,
) -> Iterator[tuple[int, float, np.ndarray]]:
    """Stream a clip's frames, upright, in the order they are shown.

    Args:
        path: a video, an animated picture, or a still picture as a clip of one frame.
        max_frames: keep at most so many, at an even stride over the whole clip.
        max_side: scale down, while streaming, so that the longer side is at most this.
        indices: these frames only (sorted and made unique); not together with ``max_frames``.

    Yields:
        (index, time, rgb): frame number in the clip, seconds since the first frame,
        (H, W, 3) uint8.

    Raises:
        MediaError: as :func:`probe_video`; also when an index is not in the clip. A clip that
            breaks off gives the frames that decode, and a warning in the log.
    """
    return VideoReader(path).frames(max_frames=max_frames, max_side=max_side, indices=indices)


def _of_animation(found: AnimationInfo) -> VideoInfo:
    count = len(found.times)
    steps = np.diff(found.times)
    varies = bool(count > 2 and np.ptp(steps) > 0.1 * float(np.median(steps)))
    return VideoInfo(
        found.width,
        found.height,
        fps=count / found.duration,
        num_frames=count,
        duration=found.duration,
        variable_rate=varies,
    )


def _of_an_animation(
    file: Path, wanted: np.ndarray, max_side: int | None
) -> Iterator[tuple[int, float, np.ndarray]]:
    todo = set(wanted.tolist())
    for index, time, rgb in animation_frames(file):
        if index in todo:
            yield index, time, _scaled(rgb, max_side)
        if len(wanted) and index >= wanted[-1]:
            return


def _describe(container: Any, stream: Any, timeline: Timeline, frame: Any) -> VideoInfo:
    """Size from the first decoded frame, times from the timeline."""
    width, height = upright_size(frame, stream)
    rate = float(stream.average_rate or stream.guessed_rate or 30)
    step, variable = 1 / rate, False
    duration = timeline.count * step
    if len(timeline.pts) > 1:
        seconds = timeline.pts * float(stream.time_base)
        gaps = np.diff(seconds)
        step = float(np.median(gaps))
        steady = np.abs(gaps - step) <= max(0.1 * step, 2 * float(stream.time_base))
        variable = bool(np.mean(~steady) > _UNSTEADY_SHARE)
        duration = float(seconds[-1] - seconds[0]) + step
        rate = 1 / float(gaps.mean() if variable else gaps[steady].mean())
    return VideoInfo(
        width,
        height,
        fps=rate,
        num_frames=timeline.count,
        duration=duration,
        rotation=_rotation(frame),
        mirrored=orientation(frame).mirrored,
        truncated=_is_truncated(container, stream, timeline, duration),
        variable_rate=variable,
    )


def _is_truncated(container: Any, stream: Any, timeline: Timeline, duration: float) -> bool:
    """Whether the header promises frames or seconds that are not there."""
    if stream.frames > timeline.stored + 2:
        return True
    if timeline.stored > timeline.count:
        return False  # an edit list leaves frames out on purpose, and with them time
    if stream.duration:
        declared = float(stream.duration * stream.time_base)
    elif container.duration and len(container.streams) == 1:
        declared = container.duration / av.time_base
    else:
        return False
    return declared - duration > max(_TRUNCATED_SECONDS, _TRUNCATED_SHARE * declared)


def _wanted_frames(
    file: Path, count: int, max_frames: int | None, indices: Sequence[int] | np.ndarray | None
) -> np.ndarray:
    """Sorted frame numbers to deliver."""
    if indices is None:
        return pick_frames(count, max_frames)
    wanted = np.unique(np.asarray(indices, dtype=np.int64))
    if len(wanted) and (wanted[0] < 0 or wanted[-1] >= count):
        bad = wanted[0] if wanted[0] < 0 else wanted[-1]
        raise MediaError(f"frame {bad} is not in {file}, which has frames 0 to {count - 1}")
    return wanted


def _still_frame(file: Path, max_side: int | None) -> Iterator[tuple[int, float, np.ndarray]]:
    yield 0, 0.0, _scaled(read_image(file), max_side)


def _scaled(rgb: np.ndarray, max_side: int | None) -> np.ndarray:
    info = VideoInfo(rgb.shape[1], rgb.shape[0], 30.0, 1, 1 / 30)
    size = info.scaled_size(max_side)
    if size == (info.width, info.height):
        return rgb
    return resample(av.VideoFrame.from_ndarray(rgb, format="rgb24"), *size)


def _stream(
    file: Path,
    timeline: Timeline,
    wanted: np.ndarray,
    max_side: int | None,
    transfer: int | None,
) -> Iterator[tuple[int, float, np.ndarray]]:
    """Decode and deliver ``wanted``; jump over long gaps where the container allows it."""
    delivered, size = 0, None
    with open_container(file) as container:
        stream = picture_stream(container, file)
        tick = float(stream.time_base)
        for group in seek_groups(timeline, wanted):
            if group.seek_to is not None:
                container.seek(int(group.seek_to), stream=stream)
            todo = set(group.wanted.tolist())
            for count, frame in enumerate(decode(container, stream)):
                index = frame_number(frame, timeline, count)
                if index not in todo:
                    if index > group.wanted[-1]:
                        break
                    continue
                if len(timeline.pts):
                    time = float(frame.pts - timeline.pts[0]) * tick
                else:
                    time = index / float(stream.average_rate or stream.guessed_rate or 30)
                if size is None:  # a stream that changes its size keeps that of its start
                    stored = VideoInfo(square_width(frame, stream), frame.height, 30.0, 1, 1.0)
                    size = stored.scaled_size(max_side)
                yield index, time, to_upright_rgb(frame, size, transfer)
                delivered += 1
                todo.discard(index)
                if not todo:
                    break
    if delivered == 0 and len(wanted):
        raise MediaError(f"{file} holds no frame that decodes: copy or export it again")
    if delivered < len(wanted):
        _log.warning(
            "%s is damaged: %d of %d frames could be decoded", file, delivered, len(wanted)
        )


def _rotation(frame: Any) -> int:
    """Counter-clockwise degrees to upright, to the nearest quarter turn."""
    return round(frame.rotation / 90.0) * 90 % 360
