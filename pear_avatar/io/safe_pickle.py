"""Model files in pickle form, read without running anything that is written in them.

:mod:`~pear_avatar.io.pickle_machine` turns the bytes into inert records. Here the few
records that model files use become arrays: NumPy arrays, dtypes and scalars, scipy's sparse
matrices, and the values of chumpy's array class and its selections, known by their names (chumpy
need not be installed). A file that names anything else is refused, and its name told, before a
byte of it is used.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from pear_avatar.errors import ModelFileError, RefusedPickleError
from pear_avatar.io.pickle_machine import (
    Call,
    MalformedPickleError,
    Name,
    parse_pickle,
)

__all__ = ["RecordDecoder", "read_pickle", "unpickle"]

_MAX_BYTES = 2 << 30
_MAX_DEPTH = 40
_MAX_ITEMS = 4_000_000
_UNFINISHED = object()
#: Which arrays a file may hold, by what it is.
_ARRAYS_OF = {"body model": "NumPy, scipy.sparse, chumpy", "motion": "NumPy, joblib, torch"}

#: Global -> what its record means. Old and new names of one thing stand side by side.
_MEANING: dict[str, str] = {
    **{f"numpy.{core}.multiarray._reconstruct": "array" for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": "scalar" for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": "buffer" for core in ("core", "_core")},
    "numpy.ndarray": "name",
    "numpy.dtype": "dtype",
    **{
        f"scipy.sparse{module}.{kind}_matrix": f"sparse_{kind}"
        for kind in ("csc", "csr", "coo")
        for module in ("", f".{kind}", f"._{kind}")
    },
    "chumpy.ch.Ch": "chumpy",
    "chumpy.Ch": "chumpy",
    "chumpy.reordering.Select": "selection",  # a Ch of some entries of another; in MANO files
    "copy_reg._reconstructor": "object",
    "copyreg._reconstructor": "object",
    "_codecs.encode": "bytes",
    "__builtin__.bytes": "no bytes",  # how Python 3 writes b"" in old protocols
    **{
        f"{module}.{name}": meaning
        for module in ("__builtin__", "builtins")
        for name, meaning in (
            ("object", "name"), ("set", "container"), ("frozenset", "container"),
            ("list", "container"), ("tuple", "container"), ("dict", "mapping"),
        )
    },
    "collections.OrderedDict": "mapping",
    "collections.defaultdict": "mapping",
}  # fmt: skip


def read_pickle(path: Path | str) -> Any:
    """The content of a pickle file, with records that :class:`RecordDecoder` can read.

    Raises:
        FileNotFoundError: there is no such file.
        RefusedPickleError: it names something other than arrays; nothing was run.
        ModelFileError: it is no pickle, or is cut short.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > _MAX_BYTES:
        raise ModelFileError(
            f"{path}: {size / 2**30:.1f} GiB, no model file is larger than "
            f"{_MAX_BYTES >> 30} GiB; name the right file"
        )
    return unpickle(path.read_bytes(), str(path))


def unpickle(data: bytes, where: str, what: str = "body model") -> Any:
    """The content of a pickle, as in :func:`read_pickle`.

    where: names the file in messages. what: what such a file should be, likewise.
    """

    def allow(name: Name) -> None:
        if str(name) not in _MEANING:
            raise RefusedPickleError(
                f"{where}: refused, it asks Python for {name}; a {what} holds only arrays "
                f"({_ARRAYS_OF.get(what, 'NumPy')}), and nothing in this file was run. "
                "Get the file again from its owner, or save its arrays as npz"
            )

    try:
        return parse_pickle(data, allow)
    except MalformedPickleError as error:
        raise ModelFileError(
            f"{where}: not a readable pickle, {error}; get the file again from its owner"
        ) from error


class RecordDecoder:
    """Turns records into arrays and plain Python values; ``where`` names the file and key.

    What a file shares is decoded once and shared again, and how much it would be without sharing
    is limited, so that a small file cannot unfold into a large value here or later.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        #: identity -> the value itself, which keeps the identity alive, and what became of it
        self._done: dict[int, tuple[Any, Any]] = {}
        #: identity of a decoded container -> items it unfolds into
        self._sizes: dict[int, int] = {}

    def __call__(self, value: Any, depth: int = 0) -> Any:
        """The value with every record in it decoded.

        Raises ModelFileError where a record is inconsistent, contains itself, is nested without
        end or unfolds into too much.
        """
        if not isinstance(value, (Call, dict, list, tuple)):
            return value
        if id(value) in self._done:
            found = self._done[id(value)][1]
            if found is _UNFINISHED:
                raise self._error("contains itself")
            return found
        if depth > _MAX_DEPTH:
            raise self._error("is nested too deeply")
        self._done[id(value)] = (value, _UNFINISHED)
        found = self._decode(value, depth + 1)
        self._done[id(value)] = (value, found)
        if isinstance(found, (dict, list, tuple)):
            inside = found.values() if isinstance(found, dict) else found
            size = 1 + sum(self._sizes.get(id(v), 1) for v in inside)
            if size > _MAX_ITEMS:
                raise self._error(f"unfolds into more than {_MAX_ITEMS} items")
            self._sizes[id(found)] = size
        return found

    def _decode(self, value: Any, depth: int) -> Any:
        if isinstance(value, Call):
            return self._call(value, depth)
        if isinstance(value, dict):
            return {k: self(v, depth) for k, v in value.items() if isinstance(k, (str, int))}
        return type(value)(self(v, depth) for v in value)

    def _call(self, record: Call, depth: int) -> Any:
        meaning = _MEANING[str(record.function)]
        if meaning == "object":  # copyreg._reconstructor(class, object, None), then its state
            inner = record.args[0] if record.args else None
            if not isinstance(inner, Name):
                raise self._error("rebuilds an object without a class")
            meaning = _MEANING[str(inner)]
        if meaning == "chumpy":
            state = record.state
            if not isinstance(state, dict) or "x" not in state:
                raise self._error("holds a chumpy array without its values")
            return self(state["x"], depth)
        if meaning == "selection":
            return self._selection(record.state, depth)
        if meaning.startswith("sparse_"):
            return self._sparse(meaning[-3:], self(record.state, depth))
        if meaning == "no bytes" and not record.args:
            return b""
        if meaning == "bytes":
            return self._encoded(record.args)
        if meaning == "container":
            return self(list(record.args) + record.items, depth)
        if meaning == "mapping":
            return self._mapping(record, depth)
        if meaning == "array":
            return self._array(record.state, depth)
        if meaning == "buffer":
            raw, dtype, shape, *order = (*record.args, "C")
            data = self._dense(raw, self._dtype(dtype), shape, order[0] == "F")
            return data
        if meaning == "scalar":
            dtype, raw = record.args if len(record.args) == 2 else (None, b"")
            return self._dense(self(raw, depth), self._dtype(dtype), (), False)[()]
        raise self._error(f"holds {record.function} where values belong")

    def _mapping(self, record: Call, depth: int) -> dict[Any, Any]:
        """An ordered or default dictionary: filled item by item, or made from pairs."""
        out: dict[Any, Any] = {}
        for part in (*record.args, *record.items):
            pairs = part
            if isinstance(part, list):
                pairs = {p[0]: p[1] for p in part if isinstance(p, (list, tuple)) and len(p) == 2}
            if isinstance(pairs, dict):
                out |= self(pairs, depth)
        return out

    def _selection(self, state: Any, depth: int) -> np.ndarray:
        """What chumpy computes: ``a.ravel()[idxs]`` in its preferred shape."""
        state = state if isinstance(state, dict) else {}
        array, index, shape = (
            self(state.get(key), depth) for key in ("a", "idxs", "preferred_shape")
        )
        try:
            flat = np.asarray(array).reshape(-1)[np.asarray(index)]
            return np.asarray(flat if shape is None else flat.reshape(shape))
        except (IndexError, TypeError, ValueError) as error:
            raise self._error(f"holds an inconsistent chumpy selection ({error})") from None

    def _array(self, state: Any, depth: int) -> Any:
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise self._error("holds an array without its values")
        shape, dtype, fortran, raw = state[-4:]
        if isinstance(raw, list):  # an array of Python objects
            values = [self(v, depth) for v in raw]
            return values[0] if shape == () and len(values) == 1 else values
        return self._dense(self(raw, depth), self._dtype(dtype), shape, bool(fortran))

    def _dense(self, raw: Any, dtype: np.dtype, shape: Any, fortran: bool) -> np.ndarray:
        if isinstance(raw, str):
            raw = raw.encode("latin1")
        if not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise self._error(f"has the impossible shape {shape!r}"[:120])
        if not isinstance(raw, bytes) or math.prod(shape) * dtype.itemsize != len(raw):
            size = len(raw) if isinstance(raw, bytes) else 0
            raise self._error(f"has shape {shape} of {dtype} but {size} bytes of values")
        flat = np.frombuffer(raw, dtype)
        return flat.reshape(shape, order="F" if fortran else "C")

    def _dtype(self, record: Any) -> np.dtype:
        """Plain numbers and text only; structured and object types have no place here."""
        code = record.args[0] if isinstance(record, Call) and record.args else None
        if not isinstance(code, str) or code[:1] not in "fiubSU" or len(code) > 8:
            raise self._error(f"has elements of type {code!r}"[:120])
        try:
            dtype = np.dtype(code)
        except TypeError:
            raise self._error(f"has elements of the unknown type {code!r}") from None
        state = record.state if isinstance(record.state, tuple) else ()
        swapped = state[1:2] == (">",)
        return dtype.newbyteorder(">") if swapped else dtype

    def _encoded(self, args: tuple[Any, ...]) -> bytes:
        """``_codecs.encode(text, "latin1")``: how Python 3 writes bytes in old protocols."""
        if not args or not isinstance(args[0], str):
            raise self._error("holds bytes without their text")
        try:
            return args[0].encode("latin1")
        except UnicodeEncodeError:
            raise self._error("holds bytes beyond 255") from None

    def _sparse(self, kind: str, state: Any) -> sparse.spmatrix:
        if not isinstance(state, dict):
            raise self._error("holds a sparse matrix without its values")
        shape = state.get("_shape", state.get("shape"))
        keys = ("row", "col") if kind == "coo" else ("indices", "indptr")
        first, second = state.get("coords") or (state.get(k) for k in keys)
        data = state.get("data")
        if not all(isinstance(a, np.ndarray) and a.ndim == 1 for a in (data, first, second)):
            raise self._error("holds a sparse matrix without data and indices")
        try:
            rows, columns = (int(n) for n in shape or ())
            if kind == "coo":
                matrix = sparse.coo_matrix((data, (first, second)), (rows, columns))
            else:
                make = sparse.csc_matrix if kind == "csc" else sparse.csr_matrix
                matrix = make((data, first, second), (rows, columns))
                matrix.check_format(full_check=True)
        except (TypeError, ValueError, IndexError) as error:
            raise self._error(f"holds an inconsistent sparse matrix ({error})") from None
        return matrix

    def _error(self, text: str) -> ModelFileError:
        return ModelFileError(f"{self._where} {text}; get the file again from its owner")
