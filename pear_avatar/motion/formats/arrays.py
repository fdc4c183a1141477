"""Arrays of pose files, checked one by one so that every complaint names its array."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pear_avatar.errors import MotionFileError

__all__ = ["MAX_FRAMES", "PoseArrays", "parse_numbers"]

logger = logging.getLogger(__name__)

#: Longer motions are refused: half an hour at 120 frames a second.
MAX_FRAMES = 216_000

#: Axis-angle vectors longer than this are taken for degrees.
_MAX_ANGLE = 8 * np.pi

#: Frames a second, under every name in use; the first that a file has counts.
_RATE_KEYS = (
    "mocap_frame_rate", "mocap_framerate", "fps", "frame_rate", "framerate", "frameRate",
    "mocap_fps", "video_fps", "target_fps", "FPS", "rate", "sampling_rate", "DataRate",
)  # fmt: skip
#: Seconds between frames.
_STEP_KEYS = ("mocap_time_length_per_frame", "frame_time", "frametime", "dt", "time_step")
_RATES = (0.1, 10_000.0)

#: Numbers of the frames in their video, under every name in use.
_NUMBER_KEYS = (
    "frame_ids",
    "frame_id",
    "frame_index",
    "frame_indices",
    "frame_numbers",
    "frame",
    "frames",
    "frame_idx",
    "img_ids",
)


class PoseArrays:
    """The arrays of one dictionary of a file by name.

    name:     the file's name, for messages.
    arrays:   every array that could be read.
    key:      where in the file the dictionary lies; "" for the outermost.
    records:  the dictionaries of single frames or people that lie side by side, with their keys.
    numbers:  (N,) numbers of the frames, where the keys or names of the frames hold them.
    group:    equal for dictionaries that lie side by side, such as two people.
    warnings: what had to be assumed or converted, in the order in which it was noticed.
    """

    def __init__(
        self,
        name: str,
        arrays: dict[str, np.ndarray],
        *,
        key: str = "",
        records: Sequence[tuple[Any, Mapping[Any, Any]]] = (),
        numbers: np.ndarray | None = None,
        group: int = -1,
    ) -> None:
        self.name = name
        self.arrays = arrays
        self.key = key
        self.records = records
        self.numbers_of_frames = numbers
        self.group = group
        self.warnings: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def with_arrays(self, more: Mapping[str, np.ndarray]) -> PoseArrays:
        """The same with some arrays added or replaced."""
        merged = {**self.arrays, **more}
        out = PoseArrays(
            self.name, merged, key=self.key, records=self.records, numbers=self.numbers_of_frames
        )
        out.warnings = self.warnings
        return out

    def error(self, message: str) -> MotionFileError:
        """A complaint about this file."""
        return MotionFileError(f"{self.name}: {message}")

    def warn(self, message: str) -> None:
        """Log what had to be assumed, and keep it for the result."""
        if message not in self.warnings:
            logger.warning("%s: %s", self.name, message)
            self.warnings.append(message)

    def longest(self) -> int:
        """The greatest number of rows in any array; who of several people is seen longest."""
        return max((len(a) for a in self.arrays.values() if a.ndim), default=0)

    def first_of(self, keys: Iterable[str]) -> str | None:
        """The first of these keys that the file has."""
        return next((key for key in keys if key in self.arrays), None)

    def text(self, key: str, default: str) -> str:
        """A string, or the default where there is none."""
        return str(self.arrays[key]) if key in self.arrays else default

    def shape(self, key: str) -> tuple[int, ...]:
        """The shape of an array; () where there is none."""
        return tuple(self.arrays[key].shape) if key in self.arrays else ()

    def numbers(self, key: str) -> np.ndarray:
        """A finite real array in float64."""
        array = self.arrays[key]
        if array.dtype.kind not in "fiub":
            raise self.error(f"{key} must hold numbers, got {array.dtype}")
        array = array.astype(np.float64)
        bad = ~np.isfinite(array)
        if bad.any():
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            raise self.error(
                f"{key} contains {int(bad.sum())} NaN or infinite values (the first at "
                f"{where}); cut these frames out or fill them"
            )
        return array

    def whole_number(self, key: str) -> int:
        """A single integer."""
        value = self.numbers(key)
        if value.size != 1:
            raise self.error(f"{key} must be one number, got shape {value.shape}")
        return int(value.reshape(-1)[0])

    def frames(self, key: str, width: int, count: int | None = None) -> np.ndarray:
        """(N, width) from (N, width), (N, width / 3, 3), or one frame of either without N."""
        array = self.numbers(key)
        if array.shape[-2:] == (width // 3, 3) and width > 3:
            array = array.reshape(*array.shape[:-2], width)
        if array.ndim == 3 and array.shape[1] == 1:  # (N, 1, 3), as some trackers save the root
            array = array[:, 0]
        if array.ndim == 3 and array.shape[0] == 1:  # a batch of one clip
            array = array[0]
        array = array[None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[1] != width:
            also = f" or (N, {width // 3}, 3)" if width > 3 else ""
            raise self.error(
                f"{key} must have shape (N, {width}){also}, got {self.arrays[key].shape}"
            )
        self.check_count(key, len(array), count)
        return array

    def angles(self, key: str, width: int, count: int | None = None) -> np.ndarray:
        """(N, width) axis-angle vectors in radians."""
        array = self.frames(key, width, count)
        largest = float(np.abs(array).max())
        if largest > _MAX_ANGLE:
            raise self.error(
                f"{key} holds axis-angle values up to {largest:.1f}, far beyond a turn; "
                "they must be radians (are these degrees?)"
            )
        return array

    def check_count(self, key: str, found: int, count: int | None = None) -> None:
        """Refuse no frames, too many frames, and a count that disagrees with the other arrays."""
        if found == 0:
            raise self.error(f"{key} has no frames; a motion needs at least one")
        if found > MAX_FRAMES:
            raise self.error(
                f"{key} has {found} frames, more than the {MAX_FRAMES} that are read; "
                "cut the motion into shorter files"
            )
        if count is not None and found != count:
            raise self.error(f"{key} has {found} frames where the poses have {count}")

    def frame_rate(self) -> float | None:
        """Frames a second under any of the names in use; None where the file does not say."""
        for keys, invert in ((_RATE_KEYS, False), (_STEP_KEYS, True)):
            key = self.first_of(keys)
            if key is None:
                continue
            value = self._rate_of(key)
            rate = 1.0 / value if invert and value > 0 else value
            if not _RATES[0] <= rate <= _RATES[1]:
                raise self.error(
                    f"{key} must be one rate in frames a second, got {self.arrays[key].tolist()}"
                )
            return rate
        return None

    def _rate_of(self, key: str) -> float:
        array = self.arrays[key]
        if array.dtype.kind in "US" and array.size == 1:  # b"120", "29.97", "30000/1001"
            top, slash, bottom = str(array.reshape(-1)[0].astype(str)).strip().partition("/")
            try:
                return float(top) / float(bottom) if slash else float(top)
            except (ValueError, ZeroDivisionError):
                return -1.0
        value = self.numbers(key)
        values = np.unique(value)
        return float(values[0]) if len(values) == 1 else -1.0

    def frame_numbers(self, count: int) -> np.ndarray | None:
        """(N,) increasing numbers of the frames in their video, where the file has them."""
        for key in _NUMBER_KEYS:
            array = self.arrays.get(key)
            if array is None or array.dtype.kind not in "fiu" or array.size != count:
                continue
            numbers = self.numbers(key).reshape(-1)
            if (np.diff(numbers) > 0).all():
                return numbers
        numbers_of_names = self.numbers_of_frames
        if numbers_of_names is not None and len(numbers_of_names) == count:
            return numbers_of_names
        return None


def parse_numbers(text: str) -> np.ndarray | None:
    """Numbers between white space, or None if anything else stands there."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # NumPy's word for "not a number"
        try:
            return np.fromstring(text, dtype=np.float64, sep=" ")
        except (DeprecationWarning, ValueError):
            return None
