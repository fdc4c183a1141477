"""Model files in pickle form, read without running anything that is written in them.

:mod:`~pear_avatar.io.pickle_machine` turns the bytes into inert records. Here the few
records that model and motion files use become arrays: NumPy arrays, dtypes and scalars, joblib's
arrays, torch's tensors, scipy's sparse matrices, and the values of chumpy's array class and its
selections, known by their names (chumpy and joblib need not be installed). A file that names
anything else is refused, and the name stands in the message, before a byte of it is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pear_avatar.errors import ModelFileError, RefusedPickleError
from pear_avatar.io.pickle_machine import Call, MalformedPickleError, Name, parse_pickle
from pear_avatar.io.pickled_arrays import (
    dense,
    dtype_of,
    encoded,
    joblib_array,
    refuse,
    sparse_matrix,
    torch_storage,
    torch_tensor,
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
    "joblib.numpy_pickle.NumpyArrayWrapper": "joblib array",  # its bytes stand in the stream
    "torch._utils._rebuild_tensor_v2": "torch tensor",
    "torch._utils._rebuild_parameter": "torch parameter",
    "torch.storage._load_from_bytes": "torch storage",
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
        return parse_pickle(data, allow, joblib_array)
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
        try:
            return self._meant(meaning, record, depth)
        except ModelFileError:
            raise
        except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
            raise refuse(self._where, error) from error

    def _meant(self, meaning: str, record: Call, depth: int) -> Any:
        """What a record stands for; raises ValueError and the like where it is inconsistent."""
        args, state = record.args, record.state
        if meaning == "chumpy":
            if not isinstance(state, dict) or "x" not in state:
                raise self._error("holds a chumpy array without its values")
            return self(state["x"], depth)
        if meaning == "selection":
            return self._selection(state, depth)
        if meaning.startswith("sparse_"):
            return sparse_matrix(meaning[-3:], self(state, depth))
        if meaning == "no bytes" and not args:
            return b""
        if meaning == "bytes":
            return encoded(args)
        if meaning == "container":
            return self(list(args) + record.items, depth)
        if meaning == "mapping":
            return self._mapping(record, depth)
        if meaning == "array":
            return self._array(state, depth)
        if meaning == "buffer":
            raw, dtype, shape, *order = (*args, "C")
            return dense(raw, dtype_of(dtype), shape, order[0] == "F")
        if meaning == "scalar":
            dtype, raw = args if len(args) == 2 else (None, b"")
            return dense(self(raw, depth), dtype_of(dtype), (), False)[()]
        if meaning == "torch storage":
            return torch_storage(self(args[0], depth))
        if meaning == "torch tensor":
            return torch_tensor([self(args[0], depth), *args[1:4]])
        if meaning == "torch parameter":
            return self(args[0], depth)
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
        return dense(self(raw, depth), dtype_of(dtype), shape, bool(fortran))

    def _error(self, text: str) -> ModelFileError:
        return refuse(self._where, ValueError(text))
