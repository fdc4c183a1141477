"""H.264 files that play everywhere, written whole or not at all."""

from __future__ import annotations

import os
import struct
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from pear_avatar.errors import MediaError, PearError
from pear_avatar.io.atomic import partial_path, put_in_place
from pear_avatar.io.replacing import MARK

__all__ = ["VideoWriter"]

#: A box that players skip, at the end of the file: who made it.
_MARK_BOX = struct.pack(">I4s", 8 + len(MARK), b"free") + MARK.encode()


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
        self._part: Path | None = None
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
        self._part = partial_path(self.path)
        self._container = av.open(
            f"file:{self._part}", "w", format="mp4", options={"movflags": "+faststart"}
        )
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
            if kind is None and self._part is not None:
                with self._part.open("ab") as file:
                    file.write(_MARK_BOX)
                put_in_place(self._part, self.path)
        finally:
            if self._part is not None:
                self._part.unlink(missing_ok=True)
