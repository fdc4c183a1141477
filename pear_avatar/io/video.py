"""Videos in and out, streaming: upright RGB frames with their true times, and H.264 files.

A still picture counts as a clip of one frame. Frames are numbered in the order they are shown;
a frame that cannot be decoded leaves a gap in the numbers, never a shift.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from pear_avatar.errors import MediaError, PearError
from pear_avatar.io.images import (
    check_media_file,
    is_image_path,
    read_image,
)

__all__ = ["MediaError", "VideoInfo", "VideoWriter", "pick_frames", "probe_video", "read_frames"]

_log = logging.getLogger(__name__)

#: Above this many lines an untagged video is taken for HD, as players do.
_HD_LINES = 720
#: Share of odd time steps above which the rate is called variable: a cut or a dropped frame
#: does not make it so.
_UNSTEADY_SHARE = 0.02
#: H.273's matrix coefficients -> libswscale's; anything else counts as untagged.
_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
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
    truncated:     the file declares more than it holds.
    variable_rate: the time between frames changes.
    """

    width: int
    height: int
    fps: float
    num_frames: int
    duration: float
    rotation: int = 0
    truncated: bool = False
    variable_rate: bool = False

    def scaled_size(self, max_side: int | None) -> tuple[int, int]:
        """(width, height) of a frame whose longer side is at most ``max_side``."""
        longest = max(self.width, self.height)
        if max_side is None or longest <= max_side:
            return self.width, self.height
        scale = max_side / longest
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))


@dataclass(frozen=True)
class _Timeline:
    """Presentation times of a stream, read from its packets without decoding.

    pts:       (N,) int64 increasing; empty when the container gives none, and then frames are
               simply counted as they come.
    keyframes: (K,) int64 times from which decoding can start.
    count:     number of packets that show a frame.
    """

    pts: np.ndarray
    keyframes: np.ndarray
    count: int


def probe_video(path: str | os.PathLike[str]) -> VideoInfo:
    """Open a clip, read its timeline and decode one frame.

    Raises:
        MediaError: missing file, folder, not a video, no picture in it, nothing decodes.
    """
    file = check_media_file(path)
    if is_image_path(file):
        height, width = read_image(file).shape[:2]
        return VideoInfo(width, height, fps=30.0, num_frames=1, duration=1 / 30)
    timeline = _scan_timeline(file)
    with _open_container(file) as container:
        return _describe(file, container, container.streams.video[0], timeline)


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
        path: a video, or a still picture as a clip of one frame.
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
    if max_frames is not None and indices is not None:
        raise ValueError("give max_frames or indices, not both")
    if max_side is not None and max_side < 2:
        raise PearError(f"max_side must be at least 2 pixels, got {max_side}")
    file = check_media_file(path)
    if is_image_path(file):
        wanted = _wanted_frames(file, 1, max_frames, indices)
        return _still_frame(file, max_side) if len(wanted) else iter(())
    timeline = _scan_timeline(file)
    wanted = _wanted_frames(file, timeline.count, max_frames, indices)
    return _stream(file, timeline, wanted, max_side)


class VideoWriter:
    """Writes an mp4 (H.264, yuv420p) that plays everywhere; the file appears when it is whole.

    Use as a context manager; an exception inside leaves no file. Odd sizes are padded by
    repeating the last row or column, since 4:2:0 needs even ones.

    Args:
        path: where the mp4 goes; its folder is made.
        fps:  frames a second, more than 0.
        crf:  x264's quality: 18 is visually lossless, larger is smaller.
    """

    def __init__(self, path: str | os.PathLike[str], fps: float, *, crf: int = 18) -> None:
        if not (np.isfinite(fps) and fps > 0):
            raise PearError(f"fps must be a positive number, got {fps}")
        self.path = Path(path)
        self._fps = Fraction(fps).limit_denominator(1001)
        self._crf = crf
        self._part = self.path.with_name(f".{self.path.stem}.{os.getpid()}.part.mp4")
        self._container: Any = None
        self._stream: Any = None
        self._shape: tuple[int, ...] | None = None
        self.num_frames = 0

    def __enter__(self) -> VideoWriter:
        return self

    def write(self, rgb: np.ndarray) -> None:
        """Append one (H, W, 3) uint8 frame; every frame has the size of the first."""
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise ValueError(f"expected an (H, W, 3) uint8 frame, got {rgb.shape} {rgb.dtype}")
        if self._shape is None:
            self._start(rgb.shape)
        if rgb.shape != self._shape:
            raise ValueError(f"frame {self.num_frames} is {rgb.shape}, the first {self._shape}")
        pad = (rgb.shape[0] % 2, rgb.shape[1] % 2)
        if any(pad):
            rgb = np.pad(rgb, ((0, pad[0]), (0, pad[1]), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)
        frame.colorspace, frame.color_range = Colorspace.ITU709, ColorRange.MPEG
        frame.pts, frame.time_base = self.num_frames, 1 / self._fps
        self._mux(frame)
        self.num_frames += 1

    def _start(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(self._part), "w", options={"movflags": "+faststart"})
        stream: Any = self._container.add_stream("libx264", rate=self._fps)
        stream.width, stream.height = shape[1] + shape[1] % 2, shape[0] + shape[0] % 2
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(self._crf), "preset": "veryfast"}
        context = stream.codec_context
        context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
        context.color_primaries = context.color_trc = 1  # BT.709
        self._stream = stream

    def _mux(self, frame: Any) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux(packet)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._container is None:
                raise MediaError(f"there are no frames for {self.path}: nothing to write")
            if self._container is not None:
                if kind is None:
                    self._mux(None)
                self._container.close()
            if kind is None:
                os.replace(self._part, self.path)
        finally:
            self._part.unlink(missing_ok=True)


def _open_container(file: Path) -> Any:
    """A libav container with at least one picture stream."""
    try:
        container = av.open(str(file), metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(
            f"{file} is not a video that can be read ({_reason(error)}): "
            "use mp4, mov, mkv or webm, or copy it again if it was cut off"
        ) from None
    if not container.streams.video:
        container.close()
        raise MediaError(f"{file} has no picture in it (sound only?): choose a video file")
    container.streams.video[0].thread_type = "AUTO"
    return container


def _reason(error: Exception) -> str:
    """FFmpeg's own words, without the file name that they end with."""
    return str(getattr(error, "strerror", None) or error).split(":")[0].strip().rstrip(".")


def _scan_timeline(file: Path) -> _Timeline:
    """Read every packet's time; no decoding, so minutes of 4K take well under a second."""
    times: list[int | None] = []
    keys: list[int] = []
    with _open_container(file) as container:
        stream = container.streams.video[0]
        try:
            for packet in container.demux(stream):
                if packet.size == 0 or packet.is_discard:
                    continue
                times.append(packet.pts)
                if packet.is_keyframe and packet.pts is not None:
                    keys.append(packet.pts)
        except (av.error.FFmpegError, OSError) as error:
            _log.warning("%s breaks off after %d frames (%s)", file, len(times), _reason(error))
    if not times:
        raise MediaError(f"{file} has zero frames: record or export it again")
    known = [t for t in times if t is not None]
    ordered = np.unique(np.array(known, dtype=np.int64))
    if len(ordered) != len(times):  # no times, or the same time twice: count instead
        ordered = np.empty(0, np.int64)
    return _Timeline(ordered, np.array(sorted(keys), dtype=np.int64), len(times))


def _describe(file: Path, container: Any, stream: Any, timeline: _Timeline) -> VideoInfo:
    """Size from the first decoded frame, times from the timeline."""
    frame = next((f for f in _decode(container, stream)), None)
    if frame is None:
        raise MediaError(f"{file} holds no frame that decodes: copy or export it again")
    width, height = _upright_size(frame, stream)
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
    truncated = _is_truncated(container, stream, timeline, duration)
    if truncated:
        _log.warning(
            "%s breaks off early: %d frames (%.1f s) can be used", file, timeline.count, duration
        )
    return VideoInfo(
        width,
        height,
        fps=rate,
        num_frames=timeline.count,
        duration=duration,
        rotation=_rotation(frame),
        truncated=truncated,
        variable_rate=variable,
    )


def _is_truncated(container: Any, stream: Any, timeline: _Timeline, duration: float) -> bool:
    """Whether the header promises frames or seconds that are not there."""
    if stream.frames > timeline.count + 2:
        return True
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
    rgb = read_image(file)
    info = VideoInfo(rgb.shape[1], rgb.shape[0], 30.0, 1, 1 / 30)
    size = info.scaled_size(max_side)
    if size != (info.width, info.height):
        frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        rgb = _resample(frame, *size)
    yield 0, 0.0, rgb


def _stream(
    file: Path, timeline: _Timeline, wanted: np.ndarray, max_side: int | None
) -> Iterator[tuple[int, float, np.ndarray]]:
    """Decode and deliver ``wanted``; jump over long gaps where the container allows it."""
    delivered, size = 0, None
    with _open_container(file) as container:
        stream = container.streams.video[0]
        tick = float(stream.time_base)
        for group in _seek_groups(timeline, wanted):
            if group.seek_to is not None:
                container.seek(int(group.seek_to), stream=stream)
            todo = set(group.wanted.tolist())
            for count, frame in enumerate(_decode(container, stream)):
                index = _frame_number(frame, timeline, count)
                if index not in todo:
                    if index > group.wanted[-1]:
                        break
                    continue
                if len(timeline.pts):
                    time = float(frame.pts - timeline.pts[0]) * tick
                else:
                    time = index / float(stream.average_rate or stream.guessed_rate or 30)
                if size is None:  # a stream that changes its size keeps that of its start
                    stored = VideoInfo(_square_width(frame, stream), frame.height, 30.0, 1, 1.0)
                    size = stored.scaled_size(max_side)
                yield index, time, _to_upright_rgb(frame, size)
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


@dataclass(frozen=True)
class _Group:
    """Frames decoded in one run; ``seek_to`` is the keyframe's time to jump to first."""

    seek_to: int | None
    wanted: np.ndarray


def _seek_groups(timeline: _Timeline, wanted: np.ndarray) -> Iterable[_Group]:
    """Split the wanted frames wherever a later keyframe saves decoding what lies between."""
    if len(wanted) == 0:
        return []
    if len(timeline.pts) == 0 or len(timeline.keyframes) < 2:
        return [_Group(None, wanted)]
    key_numbers = np.searchsorted(timeline.pts, timeline.keyframes)
    before = np.searchsorted(key_numbers, wanted, side="right") - 1
    groups, start = [], 0
    for i in range(1, len(wanted) + 1):
        # A jump pays only if it skips more than the decoder's own start-up costs.
        skips = i < len(wanted) and (
            before[i] > before[i - 1] and key_numbers[before[i]] - wanted[i - 1] > 8
        )
        if i == len(wanted) or skips:
            first = before[start]
            jump = start > 0 or (first > 0 and key_numbers[first] > 8)
            seek = int(timeline.keyframes[first]) if jump else None
            groups.append(_Group(seek, wanted[start:i]))
            start = i
    return groups


def _decode(container: Any, stream: Any) -> Iterator[Any]:
    """Frames in presentation order; packets that do not decode are passed over."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.error.FFmpegError, OSError) as error:
            _log.debug("reading stopped: %s", error)
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            _log.debug("a packet at %s did not decode: %s", packet.pts, error)
            continue
        yield from frames


def _frame_number(frame: Any, timeline: _Timeline, count: int) -> int:
    """Number of a decoded frame in the clip; -1 for one that the timeline does not show."""
    if len(timeline.pts) == 0:
        return count
    if frame.pts is None:
        return -1
    i = int(np.searchsorted(timeline.pts, frame.pts))
    return i if i < len(timeline.pts) and timeline.pts[i] == frame.pts else -1


def _rotation(frame: Any) -> int:
    """Counter-clockwise degrees to upright, to the nearest quarter turn."""
    return round(frame.rotation / 90.0) * 90 % 360


def _square_width(frame: Any, stream: Any) -> int:
    """Width with square pixels (anamorphic recordings store fewer columns than they show)."""
    aspect = stream.sample_aspect_ratio
    return frame.width if not aspect else max(1, round(frame.width * float(aspect)))


def _upright_size(frame: Any, stream: Any) -> tuple[int, int]:
    width, height = _square_width(frame, stream), frame.height
    return (height, width) if _rotation(frame) % 180 else (width, height)


def _to_upright_rgb(frame: Any, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) uint8: scaled to (width, height) from the decoder's own pixels, then turned."""
    rgb = _resample(frame, *size)
    turns = _rotation(frame) // 90
    return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


def _resample(frame: Any, width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8 RGB from any pixel format."""
    smaller = width < frame.width or height < frame.height
    untagged = Colorspace.ITU709 if frame.height >= _HD_LINES else Colorspace.ITU601
    is_rgb = frame.format.is_rgb
    scaled = frame.reformat(
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=None if is_rgb else _MATRICES.get(int(frame.colorspace), untagged),
        interpolation=Interpolation.AREA if smaller else Interpolation.BICUBIC,
    )
    return scaled.to_ndarray()
