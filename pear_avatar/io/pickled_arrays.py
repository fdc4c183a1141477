"""Arrays in pickles: the records of NumPy, scipy, joblib and torch -> plain arrays."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from scipy import sparse

from pear_avatar.errors import ModelFileError
from pear_avatar.io.pickle_machine import Call, MalformedPickleError, Name, Stream

__all__ = [
    "dense",
    "dtype_of",
    "encoded",
    "joblib_array",
    "refuse",
    "sparse_matrix",
    "torch_storage",
    "torch_tensor",
]

_MAX_AXES = 32
_MAX_SIDE = 1 << 40
_JOBLIB = Name("joblib.numpy_pickle", "NumpyArrayWrapper")
_BRIEF = 120


def brief(value: Any) -> str:
    """A value from a file for a message: short, whatever it is."""
    if isinstance(value, (tuple, list)):
        inside = ", ".join(
            str(v)[:20] if isinstance(v, (int, float, str)) else type(v).__name__ for v in value[:8]
        )
        return f"({inside}{', ...' if len(value) > 8 else ''})"
    return repr(value)[:_BRIEF] if isinstance(value, (int, float, str, bytes)) else "no value"


def dense(raw: Any, dtype: np.dtype, shape: Any, fortran: bool) -> np.ndarray:
    """An array from its bytes.

    Raises ValueError where shape and bytes do not agree.
    """
    if isinstance(raw, str):
        raw = raw.encode("latin1")
    size = len(raw) if isinstance(raw, bytes) else 0
    sides = checked_shape(shape)
    if not isinstance(raw, bytes) or math.prod(sides) * dtype.itemsize != size:
        raise ValueError(f"has shape {brief(shape)} of {dtype} but {size} bytes of values")
    if dtype.itemsize == 0:
        raise ValueError(f"has elements of type {dtype}, which hold nothing")
    return np.frombuffer(raw, dtype).reshape(sides, order="F" if fortran else "C")


def checked_shape(shape: Any) -> tuple[int, ...]:
    """A shape that an array can have; raises ValueError for anything else."""
    fits = isinstance(shape, tuple) and len(shape) <= _MAX_AXES
    if not fits or not all(isinstance(n, int) and 0 <= n <= _MAX_SIDE for n in shape):
        raise ValueError(f"has the impossible shape {brief(shape)}")
    sides: tuple[int, ...] = shape
    return sides


def dtype_of(record: Any) -> np.dtype:
    """Plain numbers and text only; structured and object types have no place here.

    Raises ValueError for those.
    """
    code = record.args[0] if isinstance(record, Call) and record.args else None
    if not isinstance(code, str) or code[:1] not in "fiubSU" or len(code) > 8:
        raise ValueError(f"has elements of type {brief(code)}")
    try:
        dtype = np.dtype(code)
    except TypeError:
        raise ValueError(f"has elements of the unknown type {brief(code)}") from None
    state = record.state if isinstance(record.state, tuple) else ()
    return dtype.newbyteorder(">") if state[1:2] == (">",) else dtype


def encoded(args: tuple[Any, ...]) -> bytes:
    """``_codecs.encode(text, "latin1")``: how Python 3 writes bytes in old protocols.

    Raises ValueError where it is something else.
    """
    if not args or not isinstance(args[0], str):
        raise ValueError("holds bytes without their text")
    try:
        return args[0].encode("latin1")
    except UnicodeEncodeError:
        raise ValueError("holds bytes beyond 255") from None


def sparse_matrix(kind: str, state: Any) -> sparse.spmatrix:
    """A scipy matrix from its attributes.

    Raises ValueError where they are inconsistent.
    """
    if not isinstance(state, dict):
        raise ValueError("holds a sparse matrix without its values")
    shape = state.get("_shape", state.get("shape"))
    keys = ("row", "col") if kind == "coo" else ("indices", "indptr")
    pair = state.get("coords")
    pair = pair if isinstance(pair, (tuple, list)) else [state.get(k) for k in keys]
    arrays = (state.get("data"), *pair)
    if len(arrays) != 3 or not all(isinstance(a, np.ndarray) and a.ndim == 1 for a in arrays):
        raise ValueError("holds a sparse matrix without data and indices")
    data, first, second = arrays
    try:
        rows, columns = (int(n) for n in shape or ())
        if kind == "coo":
            return sparse.coo_matrix((data, (first, second)), (rows, columns))
        make = sparse.csc_matrix if kind == "csc" else sparse.csr_matrix
        matrix = make((data, first, second), (rows, columns))
        matrix.check_format(full_check=True)
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"holds an inconsistent sparse matrix ({error})") from None
    return matrix


def joblib_array(record: Call, stream: Stream) -> Any:
    """The array whose bytes joblib keeps behind its wrapper; any other record as it is.

    Raises MalformedPickleError where the bytes are too few.
    """
    if record.function != _JOBLIB:
        return record
    state = record.state if isinstance(record.state, dict) else {}
    kind = state.get("dtype")
    if isinstance(kind, Call) and kind.args[:1] in (("O8",), ("O4",), ("O",)):
        return stream.nested()
    try:
        dtype, shape = dtype_of(kind), checked_shape(state.get("shape"))
        if state.get("numpy_array_alignment_bytes") is not None:
            padding = stream.take(1)[0]
            stream.take(0 if padding == 255 else padding)
        count = math.prod(tuple(int(n) for n in shape))
        raw = stream.take(count * dtype.itemsize)
        return dense(raw, dtype, shape, state.get("order") == "F")
    except ValueError as error:
        raise MalformedPickleError(f"an array that {error}") from None


def torch_tensor(args: list[Any]) -> np.ndarray:
    """``torch._utils._rebuild_tensor_v2``: a read-only view of a storage.

    Raises ValueError where it reaches beyond its storage or repeats it without end.
    """
    storage, offset, size, stride = (*args, None, None, None, None)[:4]
    if not isinstance(storage, np.ndarray) or not isinstance(offset, int) or offset < 0:
        raise ValueError("holds a tensor without its storage")
    shape, steps = checked_shape(size), checked_shape(stride)
    if len(shape) != len(steps):
        raise ValueError(f"has shape {brief(size)} with strides {brief(stride)}")
    last = offset + sum((n - 1) * s for n, s in zip(shape, steps, strict=True) if n)
    count = math.prod(shape)
    if count > len(storage) or (count and last >= len(storage)):
        raise ValueError(f"has shape {brief(size)} in a storage of {len(storage)} numbers")
    strides = tuple(s * storage.itemsize for s in steps)
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides, writeable=False)


def torch_storage(raw: Any) -> np.ndarray:
    """``torch.storage._load_from_bytes``: a storage that torch wrote, read weights-only.

    Raises ValueError where torch cannot read it so.
    """
    import torch

    if not isinstance(raw, bytes):
        raise ValueError("holds a tensor without its bytes")
    try:
        found = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
        flat = torch.tensor([], dtype=found.dtype).set_(found)
        return np.asarray(flat.float().numpy() if flat.is_floating_point() else flat.numpy())
    except Exception as error:  # torch raises nearly any type for damaged bytes
        raise ValueError(f"holds a damaged tensor ({type(error).__name__})") from None


def refuse(where: str, error: BaseException) -> ModelFileError:
    """What a record's inconsistency means to whoever wants to read the file."""
    text = " ".join(str(error).split())[:200] or type(error).__name__
    return ModelFileError(f"{where} {text}; get the file again from its owner")
