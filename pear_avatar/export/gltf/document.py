"""A glTF 2.0 document being built: JSON objects beside one binary buffer.

Numbers follow section 3 of the Khronos glTF 2.0 specification: little-endian, every buffer view
aligned to four bytes, positions and times with their bounds.
"""

from __future__ import annotations

import base64
import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pear_avatar.errors import PearError
from pear_avatar.io.atomic import atomic_path

__all__ = ["GltfDocument"]

GENERATOR = "pear-avatar"

_FLOAT, _UBYTE, _USHORT, _UINT = 5126, 5121, 5123, 5125
_COMPONENTS = {
    np.dtype(np.float32): _FLOAT,
    np.dtype(np.uint8): _UBYTE,
    np.dtype(np.uint16): _USHORT,
    np.dtype(np.uint32): _UINT,
}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}

#: Buffer view targets.
VERTICES, INDICES = 34962, 34963

_GLB_MAGIC, _JSON_CHUNK, _BIN_CHUNK = 0x46546C67, 0x4E4F534A, 0x004E4942
_MAX_BYTES = 2**32 - 1


class GltfDocument:
    """Collects accessors, then writes one file; ``root`` is the JSON, open for further keys."""

    def __init__(self) -> None:
        self.root: dict[str, Any] = {"asset": {"version": "2.0", "generator": GENERATOR}}
        self._binary = bytearray()

    def add(self, kind: str, item: dict[str, Any]) -> int:
        """Append to a top-level array such as ``nodes``; the index of the new item."""
        items: list[dict[str, Any]] = self.root.setdefault(kind, [])
        items.append(item)
        return len(items) - 1

    def use_extension(self, name: str) -> None:
        """List an extension among those the file uses."""
        used: list[str] = self.root.setdefault("extensionsUsed", [])
        if name not in used:
            used.append(name)

    def accessor(
        self,
        values: np.ndarray,
        *,
        target: int | None = None,
        bounds: bool = False,
        normalized: bool = False,
    ) -> int:
        """Store (N,), (N, C) or (N, 4, 4) values; the index of their accessor.

        Args:
            values: float32, uint8, uint16 or uint32; matrices column by column.
            target: :data:`VERTICES`, :data:`INDICES`, or None for what no vertex fetch reads.
            bounds: write ``min`` and ``max``, which positions and key times must have.
            normalized: integers stand for [0, 1].
        """
        rows, accessor = self._describe(values)
        accessor["bufferView"] = self._view(_aligned_rows(rows, target), target)
        if bounds:
            accessor |= _bounds(rows)
        if normalized:
            accessor["normalized"] = True
        return self.add("accessors", accessor)

    def sparse_accessor(self, values: np.ndarray) -> int:
        """Store float32 (N, 3) of which most rows are zero, with bounds; its accessor.

        Only the other rows take room, unless there are so many that storing all is smaller.
        """
        rows, accessor = self._describe(values)
        index = np.flatnonzero(rows.any(axis=1))
        kind = np.uint16 if len(rows) <= np.iinfo(np.uint16).max else np.uint32
        stored = len(index) * (rows[0].nbytes + np.dtype(kind).itemsize)
        if stored >= rows.nbytes:
            return self.accessor(values, target=VERTICES, bounds=True)
        accessor |= _bounds(rows)
        if len(index):
            accessor["sparse"] = {
                "count": len(index),
                "indices": {
                    "bufferView": self._view(index.astype(kind)),
                    "componentType": _COMPONENTS[np.dtype(kind)],
                },
                "values": {"bufferView": self._view(rows[index])},
            }
        return self.add("accessors", accessor)

    def png(self, pixels: np.ndarray) -> int:
        """Embed (H, W, 3 or 4) uint8 sRGB pixels as a PNG; the index of the image."""
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
            raise ValueError(
                f"a texture must be (H, W, 3 or 4) uint8, got {pixels.shape} {pixels.dtype}"
            )
        stream = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG", optimize=False)
        view = self._view(np.frombuffer(stream.getvalue(), np.uint8))
        return self.add("images", {"bufferView": view, "mimeType": "image/png"})

    def write(self, path: str | Path) -> None:
        """Write ``.glb`` or ``.vrm`` (one binary file) or ``.gltf`` (JSON with the buffer in it).

        Raises:
            ValueError: another ending, or more than 4 GiB.
        """
        path = Path(path)
        ending = path.suffix.lower()
        if ending not in (".glb", ".gltf", ".vrm"):
            raise PearError(f"a glTF file ends in .glb or .gltf, got {path.name!r}")
        if len(self._binary) > _MAX_BYTES // 2:
            raise PearError(
                f"{path.name} would take {len(self._binary) >> 20} MiB; write fewer frames or "
                "morph targets"
            )
        data = self._gltf() if ending == ".gltf" else self._glb()
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)

    def _describe(self, values: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        if values.dtype not in _COMPONENTS or values.ndim < 1 or len(values) == 0:
            raise ValueError(f"glTF cannot hold {values.dtype} of shape {values.shape}")
        if values.dtype == np.float32 and not np.isfinite(values).all():
            raise PearError("glTF cannot hold NaN or infinite numbers; clean the data first")
        rows = np.ascontiguousarray(values.reshape(len(values), -1))
        return rows, {
            "componentType": _COMPONENTS[values.dtype],
            "count": len(rows),
            "type": _TYPES[rows.shape[1]],
        }

    def _view(self, data: np.ndarray, target: int | None = None) -> int:
        self._binary.extend(b"\0" * (-len(self._binary) % 4))
        view = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": data.nbytes}
        if target is not None:
            view["target"] = target
        stride = data[0].nbytes if data.ndim == 2 else 0
        if target == VERTICES and stride % 4 == 0 and stride:
            view["byteStride"] = stride
        self._binary.extend(np.ascontiguousarray(data).tobytes())
        return self.add("bufferViews", view)

    def _gltf(self) -> bytes:
        uri = "data:application/octet-stream;base64," + base64.b64encode(self._binary).decode()
        buffers = [{"byteLength": len(self._binary), "uri": uri}] if self._binary else []
        return json.dumps({**self.root, "buffers": buffers}, allow_nan=False).encode()

    def _glb(self) -> bytes:
        binary = bytes(self._binary) + b"\0" * (-len(self._binary) % 4)
        root = {**self.root, "buffers": [{"byteLength": len(self._binary)}]}
        text = json.dumps(root, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        total = 12 + 8 + len(text) + 8 + len(binary)
        return b"".join(
            [
                struct.pack("<III", _GLB_MAGIC, 2, total),
                struct.pack("<II", len(text), _JSON_CHUNK),
                text,
                struct.pack("<II", len(binary), _BIN_CHUNK),
                binary,
            ]
        )


def _aligned_rows(rows: np.ndarray, target: int | None) -> np.ndarray:
    """Vertex attributes must begin at multiples of four bytes; callers pass such rows."""
    if target == VERTICES and rows[0].nbytes % 4:
        raise ValueError(
            f"a vertex attribute needs rows of a multiple of 4 bytes, got {rows.shape[1]} "
            f"{rows.dtype}; add a column"
        )
    return rows


def _bounds(rows: np.ndarray) -> dict[str, list[float]]:
    return {"min": rows.min(axis=0).tolist(), "max": rows.max(axis=0).tolist()}
