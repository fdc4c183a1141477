"""Writes pickles as Python 2 wrote them, chumpy arrays included, without chumpy.

The instructions are put down one by one: today's pickle writes bytes in other ways, and would
have to import chumpy to name its class.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

__all__ = ["Chumpy", "dump_python2"]


class Chumpy:
    """An array to be written as ``chumpy.ch.Ch``."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values


def dump_python2(values: Mapping[str, Any]) -> bytes:
    """A protocol 2 pickle of a dictionary of arrays, sparse matrices, text and numbers."""
    return b"\x80\x02" + _dict(values) + b"."


def _value(value: Any) -> bytes:
    if isinstance(value, Chumpy):
        state: dict[str, Any] = {
            "x": value.values,
            "_dirty_vars": None,
            "_itr": None,
            "_depends_on_deps": {},
        }
        return b"cchumpy.ch\nCh\n)\x81" + _dict(state) + b"b"
    if sparse.issparse(value):
        matrix = value.tocsc()
        parts = {
            "_shape": matrix.shape,
            "data": matrix.data,
            "indices": matrix.indices,
            "indptr": matrix.indptr,
            "maxprint": 50,
            "format": "csc",
        }
        return b"cscipy.sparse.csc\ncsc_matrix\n)\x81" + _dict(parts) + b"b"
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, Mapping):
        return _dict(value)
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_value, value)) + b"t"
    if isinstance(value, str):
        return _text(value.encode("ascii"))
    if value is None:
        return b"N"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    raise TypeError(f"cannot write {type(value).__name__}")


def _dict(values: Mapping[str, Any]) -> bytes:
    items = b"".join(_text(k.encode("ascii")) + _value(v) for k, v in values.items())
    return b"}(" + items + b"u"


def _text(raw: bytes) -> bytes:
    return b"T" + struct.pack("<i", len(raw)) + raw


def _array(values: np.ndarray) -> bytes:
    shape = b"(" + b"".join(b"J" + struct.pack("<i", n) for n in values.shape) + b"t"
    code = values.dtype.str[1:].encode("ascii")
    dtype = b"cnumpy\ndtype\n" + _text(code) + b"K\x00K\x01\x87R(K\x03"
    dtype += _text(b"<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    raw = _text(np.ascontiguousarray(values).tobytes())
    start = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    return start + b"(K\x01" + shape + dtype + b"\x89" + raw + b"tb"
