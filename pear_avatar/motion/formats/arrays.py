"""Arrays of pose files, checked one by one so that every complaint names its array."""

from __future__ import annotations

import lzma
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from pear_avatar.errors import MotionFileError

__all__ = [
    "MAX_FRAMES",
    "ZIP_ERRORS",
    "MotionFileError",
    "PickleDecoder",
    "PoseArrays",
    "parse_numbers",
    "read_npy_tree",
    "read_pose_arrays",
]

#: Longer motions are refused: half an hour at 120 frames a second.
MAX_FRAMES = 216_000

#: Arrays above this many bytes are refused before they are unpacked: a small zip file can hold
#: any amount of zeros.
_MAX_BYTES = MAX_FRAMES * 55 * 9 * 8

#: Arrays that AMASS files carry beside the motion, some of them pickled; they are never opened.
_IGNORED_STARTS = ("marker", "label", "latent_label", "dmpl", "stageii_debug")

#: Axis-angle vectors longer than this are taken for degrees.
_MAX_ANGLE = 8 * np.pi


#: What the standard library raises for damaged archives, by what is damaged.
ZIP_ERRORS = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError, RuntimeError,
    UnicodeDecodeError, OverflowError,
)  # fmt: skip

#: What NumPy raises for an array's header that is no Python literal, which headers should be.
_HEADER_ERRORS = (ValueError, SyntaxError, TypeError, KeyError, RecursionError, TokenError)

#: Reads a pickle as data, never executing it; the second argument names it in messages.
PickleDecoder = Callable[[bytes, str], Any]


class PoseArrays:
    """The arrays of one file by name.

    name:   the file's name, for messages.
    arrays: every array of the file that could be read.
    trees:  what the file's object arrays held, decoded as data.
    """

    def __init__(
        self, name: str, arrays: dict[str, np.ndarray], trees: dict[str, Any] | None = None
    ) -> None:
        self.name = name
        self.arrays = arrays
        self.trees = trees or {}

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def error(self, message: str) -> MotionFileError:
        """A complaint about this file."""
        return MotionFileError(f"{self.name}: {message}")

    def first_of(self, keys: Iterable[str]) -> str | None:
        """The first of these keys that the file has."""
        return next((key for key in keys if key in self.arrays), None)

    def text(self, key: str, default: str) -> str:
        """A string, or the default where there is none."""
        return str(self.arrays[key]) if key in self.arrays else default

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

    def frame_rate(self, default: float = 30.0) -> float:
        """Frames a second under any of the names in use."""
        key = self.first_of(("mocap_frame_rate", "mocap_framerate", "fps", "frame_rate"))
        if key is None:
            return default
        value = self.numbers(key)
        if value.size != 1 or not 0.1 <= float(value.reshape(-1)[0]) <= 10_000:
            raise self.error(f"{key} must be one rate in frames a second, got {value.tolist()}")
        return float(value.reshape(-1)[0])


def parse_numbers(text: str) -> np.ndarray | None:
    """Numbers between white space, or None if anything else stands there."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # NumPy's word for "not a number"
        try:
            return np.fromstring(text, dtype=np.float64, sep=" ")
        except (DeprecationWarning, ValueError):
            return None


def read_pose_arrays(path: str | Path, decode: PickleDecoder | None = None) -> PoseArrays:
    """Every array of an npz file, without ever unpickling anything.

    Args:
        path: the file.
        decode: reads the pickles in object arrays as data; without it they are refused.

    Raises:
        FileNotFoundError: there is no such file.
        MotionFileError: not an npz file, damaged, too large, or with pickled objects inside.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such pose file")
    arrays: dict[str, np.ndarray] = {}
    trees: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                key = entry.filename.removesuffix(".npy")
                if key == entry.filename or key.startswith(_IGNORED_STARTS):
                    continue
                value = _read_entry(path.name, archive, entry, decode)
                if isinstance(value, np.ndarray):
                    arrays[key] = value
                else:
                    trees[key] = value
    except zipfile.BadZipFile as error:
        head = path.open("rb").read(4)
        if head.startswith(b"PK"):
            raise MotionFileError(
                f"{path.name}: the file is truncated or damaged ({error}); copy it again"
            ) from error
        raise MotionFileError(
            f"{path.name}: not an npz file, nor any other that poses are read from: npz, bvh, "
            "amc, pt, pkl, npy"
        ) from error
    except ZIP_ERRORS as error:
        raise MotionFileError(
            f"{path.name}: the file is damaged ({error}); copy it again"
        ) from error
    if not arrays and not trees:
        raise MotionFileError(f"{path.name}: the archive holds no arrays")
    return PoseArrays(path.name, arrays, trees)


def read_npy_tree(path: str | Path, decode: PickleDecoder) -> Any:
    """What the pickled object in an .npy file holds, decoded as data.

    Raises FileNotFoundError, or MotionFileError for damaged files and those of plain numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such pose file")
    if path.stat().st_size > _MAX_BYTES:
        raise MotionFileError(f"{path.name}: larger than any motion needs; the file is refused")
    with path.open("rb") as stream:
        if _is_object_array(path.name, path.stem, stream):
            return decode(stream.read(), path.name)
    raise MotionFileError(
        f"{path.name}: one array without names; save it as npz under the name of what it holds"
    )


def _read_entry(
    name: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, decode: PickleDecoder | None
) -> Any:
    """An array, or the decoded content of an object array."""
    key = entry.filename.removesuffix(".npy")
    if entry.file_size > _MAX_BYTES:
        raise MotionFileError(
            f"{name}: {key} unpacks to {entry.file_size / 1e6:.0f} MB, more than any motion "
            f"of {MAX_FRAMES} frames needs; the file is refused"
        )
    if decode is not None:
        with archive.open(entry) as stream:
            if _is_object_array(name, key, stream):
                return decode(stream.read(), f"{name}: {key}")
    try:
        with archive.open(entry) as stream:
            return np.lib.format.read_array(stream, allow_pickle=False)
    except ValueError as error:
        if "pickle" in str(error).lower() or "object" in str(error).lower():
            raise MotionFileError(
                f"{name}: contains pickled objects, which could run code: {key}; save the file "
                "again with plain arrays only"
            ) from error
        raise MotionFileError(f"{name}: {key} is not a readable array ({error})") from error
    except MemoryError as error:
        raise MotionFileError(f"{name}: {key} claims more memory than there is") from error
    except _HEADER_ERRORS as error:
        raise MotionFileError(f"{name}: {key} is not a readable array") from error


def _is_object_array(name: str, key: str, stream: IO[bytes]) -> bool:
    """Whether Python objects follow; the stream is left where they start."""
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            return bool(np.lib.format.read_array_header_1_0(stream)[2].hasobject)
        if version == (2, 0):
            return bool(np.lib.format.read_array_header_2_0(stream)[2].hasobject)
        return False  # version 3 is for structures with fancy names; refused where it is read
    except _HEADER_ERRORS as error:
        what = " ".join(str(error).split())[:120]
        raise MotionFileError(f"{name}: {key} is not a readable array ({what})") from error
