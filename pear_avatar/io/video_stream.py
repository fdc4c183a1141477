"""Opening containers and decoding them: the real picture stream, its times, its frames in order."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from pear_avatar.errors import MediaError

__all__ = [
    "Timeline",
    "decode",
    "frame_number",
    "open_container",
    "picture_stream",
    "scan_timeline",
    "seek_groups",
]

_log = logging.getLogger(__name__)

#: Pictures that accompany sound, and tiles of one picture, are no videos.
_NO_VIDEO = ("attached_pic", "dependent", "still_image", "timed_thumbnails")


@dataclass(frozen=True)
class Timeline:
    """Presentation times of a stream, read from its packets without decoding.

    pts:       (N,) int64 increasing; empty when the container gives none, and then frames are
               simply counted as they come.
    keyframes: (K,) int64 times from which decoding can start.
    count:     number of packets that show a frame.
    stored:    number of all packets: an edit list may leave some out.
    """

    pts: np.ndarray
    keyframes: np.ndarray
    count: int
    stored: int


def open_container(file: Path) -> Any:
    """A libav container with at least one picture stream; a name is never taken for a protocol.

    Raises:
        MediaError: not a video that can be read, or one without a picture.
    """
    try:
        container = av.open(f"file:{file}", metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(
            f"{file} is not a video that can be read ({_reason(error)}): "
            "use mp4, mov, mkv or webm, or copy it again if it was cut off"
        ) from None
    try:
        picture_stream(container, file).thread_type = "AUTO"
    except MediaError:
        container.close()
        raise
    return container


def picture_stream(container: Any, file: Path) -> Any:
    """The stream that shows the video: of several, the default one, then the largest.

    Raises:
        MediaError: there is none; cover art of sound does not count.
    """
    streams = [s for s in container.streams.video if not _has(s, _NO_VIDEO)]
    if not streams:
        art = " but cover art" if container.streams.video else ""
        raise MediaError(f"{file} has no picture in it{art} (sound only?): choose a video file")
    streams = [s for s in streams if s.codec_context is not None]
    if not streams:
        raise MediaError(f"{file} is damaged or of an unknown kind: copy or export it again")
    return max(streams, key=lambda s: (_has(s, ("default",)), s.width * s.height, -s.index))


def _has(stream: Any, names: tuple[str, ...]) -> bool:
    given = getattr(stream, "disposition", None)
    return given is not None and any(
        bool(given & flag) for n in names if (flag := getattr(type(given), n, None)) is not None
    )


def _reason(error: Exception) -> str:
    """FFmpeg's own words, without the file name that they end with."""
    return str(getattr(error, "strerror", None) or error).split(":")[0].strip().rstrip(".")


def scan_timeline(file: Path) -> Timeline:
    """Read every packet's time; no decoding, so minutes of 4K take well under a second.

    Raises:
        MediaError: the file cannot be read, or holds no frame.
    """
    times: list[int | None] = []
    keys: list[int] = []
    stored = 0
    with open_container(file) as container:
        stream = picture_stream(container, file)
        try:
            for packet in container.demux(stream):
                if packet.size == 0:
                    continue
                stored += 1
                if packet.is_discard:
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
    return Timeline(ordered, np.array(sorted(keys), dtype=np.int64), len(times), stored)


@dataclass(frozen=True)
class Group:
    """Frames decoded in one run; ``seek_to`` is the keyframe's time to jump to first."""

    seek_to: int | None
    wanted: np.ndarray


def seek_groups(timeline: Timeline, wanted: np.ndarray) -> Iterable[Group]:
    """Split the wanted frames wherever a later keyframe saves decoding what lies between."""
    if len(wanted) == 0:
        return []
    if len(timeline.pts) == 0 or len(timeline.keyframes) < 2:
        return [Group(None, wanted)]
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
            groups.append(Group(seek, wanted[start:i]))
            start = i
    return groups


def decode(container: Any, stream: Any) -> Iterator[Any]:
    """Frames in presentation order, whole pictures of interlaced material; packets that do not
    decode are passed over."""
    deinterlacer: _Deinterlacer | None = None
    for frame in _decoded(container, stream):
        if deinterlacer is None and frame.interlaced_frame:
            deinterlacer = _Deinterlacer(stream, frame)
        if deinterlacer is None:
            yield frame
        else:
            yield from deinterlacer.push(frame)
    if deinterlacer is not None:
        yield from deinterlacer.push(None)


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
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


class _Deinterlacer:
    """FFmpeg's bwdif, one picture a frame; frames that are not interlaced pass unchanged."""

    def __init__(self, stream: Any, frame: Any) -> None:
        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=stream.time_base,
        )
        filter_ = self._graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        sink = self._graph.add("buffersink")
        source.link_to(filter_)
        filter_.link_to(sink)
        self._graph.configure()
        self._time_base = stream.time_base

    def push(self, frame: Any) -> Iterator[Any]:
        """Pictures that are ready; None flushes."""
        self._graph.push(frame)
        while True:
            try:
                ready = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            if ready.pts is not None and ready.time_base:
                # The filter counts in half frames; its caller knows the stream's own times.
                ready.pts = round(ready.pts * ready.time_base / self._time_base)
                ready.time_base = self._time_base
            yield ready


def frame_number(frame: Any, timeline: Timeline, count: int) -> int:
    """Number of a decoded frame in the clip; -1 for one that the timeline does not show."""
    if len(timeline.pts) == 0:
        return count
    if frame.pts is None:
        return -1
    i = int(np.searchsorted(timeline.pts, frame.pts))
    return i if i < len(timeline.pts) and timeline.pts[i] == frame.pts else -1
