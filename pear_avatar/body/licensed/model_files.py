"""npz, npy and pickle files of body models: one array at a time, checked before it is believed.

An array's shape is compared with what the layout asks before its values are read, so that a file
that names an absurd size costs nothing.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from scipy import sparse

from pear_avatar.errors import MissingFileError, ModelFileError
from pear_avatar.io.safe_pickle import RecordDecoder, read_pickle, unpickle

__all__ = ["ModelFile", "Shape", "open_model_file"]

#: Sizes of axes; a letter stands for a size that must agree wherever it is used.
Shape = tuple[int | str, ...]

_MAX_ITEMS = 1 << 29
_READ_ERRORS = (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, EOFError, ValueError, KeyError)


class ModelFile:
    """One file of named arrays.

    path:   where it is.
    remedy: closes every message: what to do about a file that is not what it should be.
    sizes:  what the letters of the shapes stand for, as found so far.
    """

    def __init__(self, path: Path, values: Mapping[str, Any], remedy: str) -> None:
        self.path = path
        self.remedy = remedy
        self.sizes: dict[str, int] = {}
        self._values = values

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of the arrays, sorted."""
        return tuple(sorted(self._values))

    def real(self, key: str, shape: Shape) -> np.ndarray:
        """An array of finite numbers as float64.

        Raises ModelFileError where the key is missing or shape, type or values are wrong.
        """
        values = self._read(key, shape)
        if values.dtype.kind not in "fiu":
            raise self._wrong(key, f"must hold real numbers, found type {values.dtype}")
        values = values.astype(np.float64)
        bad = int((~np.isfinite(values)).sum())
        if bad:
            raise self._wrong(key, f"holds {bad} values that are NaN or infinite")
        return values

    def integers(self, key: str, shape: Shape, limit: int | None = None) -> np.ndarray:
        """An array of whole numbers as int64, each in [0, limit) if there is a limit."""
        values = self._read(key, shape)
        exact = values.dtype.kind in "iu" or (
            values.dtype.kind == "f" and bool((np.rint(values) == values).all())
        )
        if not exact:
            raise self._wrong(key, f"must hold whole numbers, found type {values.dtype}")
        values = values.astype(np.int64)
        if limit is not None and values.size and not 0 <= values.min() <= values.max() < limit:
            found = f"[{values.min()}, {values.max()}]"
            raise self._wrong(key, f"must lie in [0, {limit}), found {found}")
        return values

    def wrong(self, key: str, text: str) -> ModelFileError:
        """An error about one array, to be raised by a loader that knows more."""
        return self._wrong(key, text)

    def _read(self, key: str, shape: Shape) -> np.ndarray:
        if key not in self._values:
            raise ModelFileError(
                f"{self.path}: {key} is missing (found {', '.join(self.keys) or 'nothing'}); "
                f"{self.remedy}"
            )
        value = self._values[key]
        if isinstance(value, _Member):
            found = value.header()[0]
            if found is not None:
                self._check_shape(key, found, shape)
            value = value.read()
        decoded = RecordDecoder(f"{self.path}: {key}")(value)
        if sparse.issparse(decoded):
            self._check_shape(key, decoded.shape, shape)
            decoded = decoded.toarray()
        if not isinstance(decoded, np.ndarray):
            decoded = self._as_array(key, decoded)
        self._check_shape(key, decoded.shape, shape)
        return decoded

    def _as_array(self, key: str, value: Any) -> np.ndarray:
        """Nested lists of numbers, as some landmark tables are written."""
        if isinstance(value, (list, tuple, int, float, np.number)):
            try:
                return np.asarray(value)
            except ValueError:
                raise self._wrong(key, "is a ragged list, not an array") from None
        raise self._wrong(key, f"must be an array, found {type(value).__name__}")

    def _check_shape(self, key: str, found: tuple[int, ...], shape: Shape) -> None:
        wanted = tuple(self.sizes.get(n, n) if isinstance(n, str) else n for n in shape)
        fits = len(found) == len(wanted) and all(
            isinstance(w, str) or w == f for w, f in zip(wanted, found, strict=True)
        )
        if not fits or math.prod(found) > _MAX_ITEMS:
            text = ", ".join(map(str, wanted))
            raise self._wrong(key, f"must have shape ({text}), found {tuple(found)}")
        self.sizes.update({n: f for n, f in zip(shape, found, strict=True) if isinstance(n, str)})

    def _wrong(self, key: str, text: str) -> ModelFileError:
        return ModelFileError(f"{self.path}: {key} {text}; {self.remedy}")


def open_model_file(path: Path | str, remedy: str) -> ModelFile:
    """A file of named arrays; npz and npy by their ending, everything else is a pickle.

    Raises:
        MissingFileError: there is no such file.
        ModelFileError: it cannot be read, or asks for code to be run.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"no model file at {path}; {remedy}")
    if path.suffix == ".npz":
        return ModelFile(path, _npz_members(path, remedy), remedy)
    if path.suffix == ".npy":
        value = _Member(path, None, remedy).read()
        content = RecordDecoder(str(path))(value) if not isinstance(value, np.ndarray) else value
        if isinstance(content, np.ndarray):
            content = {"array": content}
    else:
        content = read_pickle(path)
    if not isinstance(content, dict):
        raise ModelFileError(
            f"{path}: must hold a dictionary of arrays, found {type(content).__name__}; {remedy}"
        )
    return ModelFile(path, {k: v for k, v in content.items() if isinstance(k, str)}, remedy)


def _npz_members(path: Path, remedy: str) -> dict[str, _Member]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except _READ_ERRORS as error:
        raise ModelFileError(f"{path}: not a readable npz file, {error}; {remedy}") from error
    return {n.removesuffix(".npy"): _Member(path, n, remedy) for n in names}


class _Member:
    """One array of an npz file (``name``), or a npy file by itself (``name`` None)."""

    def __init__(self, path: Path, name: str | None, remedy: str) -> None:
        self._path, self._name, self._remedy = path, name, remedy

    def header(self) -> tuple[tuple[int, ...] | None, np.dtype]:
        """Shape (None for an array of Python objects) and type, without the values."""
        return self._with_stream(lambda stream: self._start(stream)[:2])

    def read(self) -> Any:
        """The array, or the inert content of an array of Python objects."""
        return self._with_stream(self._values)

    def _with_stream(self, use: Any) -> Any:
        try:
            if self._name is None:
                with self._path.open("rb") as stream:
                    return use(stream)
            with zipfile.ZipFile(self._path) as archive, archive.open(self._name) as stream:
                return use(stream)
        except ModelFileError:
            raise
        except _READ_ERRORS as error:
            where = self._path if self._name is None else f"{self._path}: {self._name}"
            raise ModelFileError(
                f"{where}: cannot be read, {error or type(error).__name__}; {self._remedy}"
            ) from error

    @staticmethod
    def _start(stream: IO[bytes]) -> tuple[tuple[int, ...] | None, np.dtype, bool]:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read(stream)
        return (None if dtype.hasobject else shape), dtype, fortran

    def _values(self, stream: IO[bytes]) -> Any:
        shape, dtype, fortran = self._start(stream)
        if shape is None:
            return unpickle(stream.read(), f"{self._path}: {self._name or 'content'}")
        if math.prod(shape) > _MAX_ITEMS:
            raise ValueError(f"{shape} is larger than any model")
        size = math.prod(shape) * dtype.itemsize
        raw = stream.read(size)
        if len(raw) < size:
            raise EOFError(f"cut short: {len(raw)} of {size} bytes")
        return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")
