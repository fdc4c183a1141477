"""A pose file, opened and decoded once; every format looks at what is here."""

from __future__ import annotations

import bz2
import io
import json
import lzma
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.formats.archives import ZIP_ERRORS, read_npy, read_npz
from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.dicts import decode_pickle, load_torch
from pear_avatar.motion.formats.folders import find_result, read_frame_folder
from pear_avatar.motion.formats.trees import BARE, MAX_BYTES, Budget, views_of_tree

__all__ = ["BARE", "Content", "open_content"]

_SNIFFED = 4096
_MAX_TEXT_BYTES = 512 << 20
_MAX_JSON_BYTES = 128 << 20

_TORCH_ENDINGS = (".pt", ".pth")
_PICKLE_ENDINGS = (".pkl", ".pickle", ".pk", ".joblib")


@dataclass(frozen=True)
class Content:
    """One view of a decoded file: either text, or bytes of a binary layout, or arrays.

    path:   the file; only its name and neighbours are looked at again.
    arrays: arrays by name, empty for texts and binary layouts.
    text:   the whole text of a text file.
    data:   the bytes of a binary layout that is neither NumPy's, torch's nor a pickle.
    """

    path: Path
    arrays: PoseArrays
    text: str = ""
    data: bytes = field(default=b"", repr=False)

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self.path.name

    def error(self, message: str) -> MotionFileError:
        """A complaint about this file."""
        return self.arrays.error(message)


def open_content(path: Path) -> list[Content]:
    """Every view of a pose file or folder; the file is read and decoded here and nowhere else.

    Raises:
        FileNotFoundError: there is no such file.
        MotionFileError: damaged, too large, or of no kind that holds poses.
    """
    if path.is_dir():
        result = find_result(path)
        if result is None:
            name, arrays = path.name, read_frame_folder(path, tree_of_bytes)
            return [Content(path, view) for view in views_of_tree(name, arrays)]
        path = result
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such pose file")
    return _views(path, path)


def tree_of_bytes(data: bytes, name: str) -> Any:
    """The decoded arrays of a file's bytes, for folders with one small file a frame."""
    if data.startswith(b"PK"):
        return read_npz(io.BytesIO(data), name, decode_pickle)
    if data.startswith(b"\x80"):
        return decode_pickle(data, name)
    return _json(decode_text(data), name)


def _views(path: Path, source: Path | io.BytesIO) -> list[Content]:
    head = _head(source)
    name = path.name
    if head[:2] in (b"\x78\x01", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b", b"BZ") or head.startswith(
        b"\xfd7zXZ"
    ):
        return _views(path, io.BytesIO(_inflated(source, name)))
    kind = _container(path, head, source)
    budget = Budget(name)
    if kind == "npz":
        tree: Any = read_npz(source, name, decode_pickle, budget)
    elif kind == "npy":
        _check_size(source, name)
        tree = read_npy(source, name, decode_pickle)
        tree = {BARE: tree} if hasattr(tree, "dtype") else tree
    elif kind == "torch":
        _check_size(source, name)
        tree = load_torch(source, name)
    elif kind == "pickle":
        tree = decode_pickle(_bytes(source, name, MAX_BYTES), name)
    elif kind == "unknown":
        return [Content(path, PoseArrays(name, {}))]
    elif kind == "binary":
        data = _bytes(source, name, _MAX_TEXT_BYTES)
        return [Content(path, PoseArrays(name, {}), data=data)]
    else:
        text = decode_text(_bytes(source, name, _MAX_TEXT_BYTES))
        if text.lstrip()[:1] not in ("{", "["):
            return [Content(path, PoseArrays(name, {}), text=text)]
        tree = _json(text, name)
    return [Content(path, view) for view in views_of_tree(name, tree, budget)]


def _container(path: Path, head: bytes, source: Path | io.BytesIO) -> str:
    """Which decoder a file is for, from its first bytes; its ending decides only in doubt."""
    suffix = path.suffix.lower()
    if head.startswith(b"PK"):
        return "torch" if _is_torch_zip(path, source) else "npz"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"\x80") and len(head) > 1 and head[1] <= 5:
        return "torch" if suffix in _TORCH_ENDINGS else "pickle"
    if head.startswith((b"glTF", b"v ")) or _is_c3d(head):
        return "binary"
    if suffix in _TORCH_ENDINGS:
        return "torch"
    if suffix in _PICKLE_ENDINGS:
        return "pickle"
    no_text = b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff"))
    return "unknown" if no_text else "text"


def _is_c3d(head: bytes) -> bool:
    return len(head) > 8 and 2 <= head[0] < 128 and head[1] == 0x50


def _is_torch_zip(path: Path, source: Path | io.BytesIO) -> bool:
    try:
        with zipfile.ZipFile(source) as archive:
            names = archive.namelist()
    except ZIP_ERRORS:
        return path.suffix.lower() in _TORCH_ENDINGS
    return any(name.endswith("data.pkl") for name in names)


def _head(source: Path | io.BytesIO) -> bytes:
    if isinstance(source, Path):
        with source.open("rb") as stream:
            return stream.read(_SNIFFED)
    return source.getvalue()[:_SNIFFED]


def _bytes(source: Path | io.BytesIO, name: str, limit: int) -> bytes:
    if isinstance(source, io.BytesIO):
        return source.getvalue()
    size = source.stat().st_size
    if size > limit:
        raise MotionFileError(
            f"{name}: {size / 1e6:.0f} MB is more than the {limit / 1e6:.0f} MB that are read; "
            "cut the motion into shorter files"
        )
    return source.read_bytes()


def _check_size(source: Path | io.BytesIO, name: str) -> None:
    """Refuse files, and archives by what they unpack to, that are larger than any motion."""
    if isinstance(source, Path):
        size = source.stat().st_size
        try:
            if zipfile.is_zipfile(source):
                with zipfile.ZipFile(source) as archive:
                    size = max(size, sum(entry.file_size for entry in archive.infolist()))
        except ZIP_ERRORS:
            pass  # the reader says what is wrong with it
        if size > MAX_BYTES:
            raise MotionFileError(
                f"{name}: {size / 1e6:.0f} MB, more than any motion needs; the file is refused"
            )


def _inflated(source: Path | io.BytesIO, name: str) -> bytes:
    """The content of a compressed file, as joblib writes them, within bounds."""
    data = _bytes(source, name, MAX_BYTES)
    if data[:2] == b"BZ":
        unpacker: Any = bz2.BZ2Decompressor()
    elif data[:5] == b"\xfd7zXZ":
        unpacker = lzma.LZMADecompressor()
    else:
        unpacker = zlib.decompressobj(wbits=47)  # zlib or gzip, by their own headers
    try:
        out: bytes = unpacker.decompress(data, MAX_BYTES + 1)
    except (zlib.error, lzma.LZMAError, OSError, ValueError) as error:
        raise MotionFileError(f"{name}: the file is damaged ({error}); copy it again") from error
    if len(out) > MAX_BYTES:
        raise MotionFileError(
            f"{name}: unpacks to more than {MAX_BYTES >> 20} MB, more than any motion needs; "
            "the file is refused"
        )
    if not unpacker.eof:
        raise MotionFileError(f"{name}: the file is truncated; copy it again")
    return out


def decode_text(data: bytes) -> str:
    """Text in the encodings that programs write: UTF-8 and UTF-16 with their marks, Shift-JIS.

    Joint names of Japanese programs are the only place where the last matters.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace").lstrip("\ufeff")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("cp932")
    except UnicodeDecodeError:
        return data.decode("utf-8-sig", errors="replace")


def _json(text: str, name: str) -> Any:
    if len(text) > _MAX_JSON_BYTES:
        raise MotionFileError(
            f"{name}: {len(text) / 1e6:.0f} MB of JSON, more than any motion needs; save it as npz"
        )
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        what = " ".join(str(error).split())[:120]
        raise MotionFileError(f"{name}: not readable as JSON ({what})") from error
