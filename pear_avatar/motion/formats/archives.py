"""NumPy's files: npz archives and npy arrays, read without ever unpickling anything."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any

import numpy as np

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.formats.arrays import MAX_FRAMES
from pear_avatar.motion.formats.trees import MAX_BYTES, Budget

__all__ = ["ZIP_ERRORS", "PickleDecoder", "read_npy", "read_npz"]

#: Arrays above this many bytes are refused before they are unpacked: a small zip file can hold
#: any amount of zeros.
_MAX_ENTRY = MAX_FRAMES * 55 * 9 * 8

#: What files carry beside the motion, some of it large or pickled; it is never opened.
_IGNORED_STARTS = ("marker", "label", "latent_label", "dmpl", "stageii_debug")
_IGNORED = frozenset(("verts", "vertices", "faces", "v3d", "smplx_verts", "verts_cam"))

#: What the standard library raises for damaged archives, by what is damaged.
ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    OSError,
    EOFError,
    RuntimeError,
    UnicodeDecodeError,
    OverflowError,
)

#: What NumPy raises for an array's header that is no Python literal, which headers should be.
_HEADER_ERRORS = (ValueError, SyntaxError, TypeError, KeyError, RecursionError, TokenError)

#: Reads a pickle as data, never executing it; the second argument names it in messages.
PickleDecoder = Callable[[bytes, str], Any]


def read_npz(
    source: Path | IO[bytes], name: str, decode: PickleDecoder, budget: Budget | None = None
) -> dict[str, Any]:
    """Every array of an npz file, and what its object arrays hold, by name.

    Args:
        source: the file.
        name: of the file, for messages.
        decode: reads the pickles in object arrays as data.
        budget: counts what is unpacked.

    Raises:
        MotionFileError: damaged, too large, or with objects that are no data.
    """
    budget = budget or Budget(name)
    found: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(source) as archive:
            for entry in archive.infolist():
                key = entry.filename.removesuffix(".npy")
                if key == entry.filename or key.startswith(_IGNORED_STARTS) or key in _IGNORED:
                    continue
                budget.take(entry.file_size)
                found[key] = _read_entry(name, archive, entry, decode)
    except zipfile.BadZipFile as error:
        raise MotionFileError(
            f"{name}: the file is truncated or damaged ({error}); copy it again"
        ) from error
    except ZIP_ERRORS as error:
        raise MotionFileError(f"{name}: the file is damaged ({error}); copy it again") from error
    if not found:
        raise MotionFileError(f"{name}: the archive holds no arrays")
    return found


def read_npy(source: Path | IO[bytes], name: str, decode: PickleDecoder) -> Any:
    """The array of an npy file, or what its pickled object holds, decoded as data.

    Raises MotionFileError for damaged files.
    """
    stream = source.open("rb") if isinstance(source, Path) else source
    with stream:
        if _is_object_array(name, Path(name).stem, stream):
            return decode(stream.read(), name)
        stream.seek(0)
        return _plain_array(name, Path(name).stem, stream)


def _read_entry(
    name: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, decode: PickleDecoder
) -> Any:
    """An array, or the decoded content of an object array."""
    key = entry.filename.removesuffix(".npy")
    if entry.file_size > min(_MAX_ENTRY, MAX_BYTES):
        raise MotionFileError(
            f"{name}: {key} unpacks to {entry.file_size / 1e6:.0f} MB, more than any motion "
            f"of {MAX_FRAMES} frames needs; the file is refused"
        )
    with archive.open(entry) as stream:
        if _is_object_array(name, key, stream):
            return decode(stream.read(), f"{name}: {key}")
    with archive.open(entry) as stream:
        return _plain_array(name, key, stream)


def _plain_array(name: str, key: str, stream: IO[bytes]) -> np.ndarray:
    try:
        array: np.ndarray = np.lib.format.read_array(stream, allow_pickle=False)
    except MemoryError as error:
        raise MotionFileError(f"{name}: {key} claims more memory than there is") from error
    except _HEADER_ERRORS as error:
        what = " ".join(str(error).split())[:120]
        raise MotionFileError(f"{name}: {key} is not a readable array ({what})") from error
    return array


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
