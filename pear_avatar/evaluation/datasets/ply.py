"""Vertices of a PLY mesh, text or binary."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pear_avatar.errors import DatasetError, MissingFileError

__all__ = ["read_ply_vertices"]

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}


def read_ply_vertices(path: str | Path) -> np.ndarray:
    """(V, 3) float64 x, y, z of a PLY file whose vertices come first.

    Raises:
        MissingFileError: no such file.
        DatasetError: not a PLY file, cut short, or without plain vertices.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path}: no such mesh")
    data = path.read_bytes()
    head, separator, body = data.partition(b"end_header")
    if not data.startswith(b"ply") or not separator:
        raise DatasetError(f"{path} is not a PLY file")
    kind, count, names, codes = _parse_header(head.decode("ascii", "replace"), path)
    body = body[body.index(b"\n") + 1 :] if b"\n" in body else b""
    columns = [names.index(axis) for axis in "xyz"]
    if kind == "ascii":
        rows = body.decode("ascii", "replace").split("\n")[:count]
        values = np.array([[float(v) for v in row.split()[: len(names)]] for row in rows if row])
        if len(values) != count:
            raise DatasetError(f"{path} is cut short: {len(values)} of {count} vertices")
        return values[:, columns].astype(np.float64)
    order = _ORDERS[kind]
    record = np.dtype([(name, order + code) for name, code in zip(names, codes, strict=True)])
    if len(body) < count * record.itemsize:
        raise DatasetError(f"{path} is cut short: {len(body)} bytes for {count} vertices")
    table = np.frombuffer(body, record, count)
    return np.stack([table[axis].astype(np.float64) for axis in "xyz"], axis=1)


def _parse_header(text: str, path: Path) -> tuple[str, int, list[str], list[str]]:
    kind, count, names, codes = "", -1, [], []
    element = ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["format"] and len(words) > 1:
            kind = words[1]
        elif words[:1] == ["element"] and len(words) == 3:
            element = words[1]
            if element == "vertex":
                count = int(words[2])
            elif count < 0:
                raise DatasetError(f"{path}: {element} comes before the vertices")
        elif words[:1] == ["property"] and element == "vertex":
            if len(words) != 3 or words[1] not in _TYPES:
                raise DatasetError(f"{path}: vertices with {line.strip()!r} cannot be read")
            names.append(words[2])
            codes.append(_TYPES[words[1]])
    if kind not in {"ascii", *_ORDERS} or count < 0 or not {"x", "y", "z"} <= set(names):
        raise DatasetError(f"{path}: a PLY header without x, y, z in a known format")
    return kind, count, names, codes
