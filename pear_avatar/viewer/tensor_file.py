"""Packing and unpacking the viewer's binary files, checked against the schema both ways."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pear_avatar.errors import ViewerFileError
from pear_avatar.viewer.schema import (
    AVATAR_FORMAT,
    AVATAR_TENSORS,
    LIVE_FORMAT,
    LIVE_TENSORS,
    MOTION_FORMAT,
    MOTION_TENSORS,
    SCHEMA_VERSION,
    AvatarMeta,
    LiveMeta,
    MotionMeta,
    TensorSpec,
)

_DTYPES = {
    "F32": np.float32, "F16": np.float16, "U8": np.uint8,
    "I16": np.int16, "U16": np.uint16, "U32": np.uint32,
}
_SPECS = {
    AVATAR_FORMAT: AVATAR_TENSORS,
    MOTION_FORMAT: MOTION_TENSORS,
    LIVE_FORMAT: LIVE_TENSORS,
}


def pack(tensors: Mapping[str, np.ndarray], meta: AvatarMeta | MotionMeta | LiveMeta) -> bytes:
    """A viewer file as bytes.

    Raises:
        ViewerFileError: a tensor is missing, unknown, or of a type or shape that the schema
            does not have.
    """
    _check(tensors, _SPECS[meta.format])
    text = json.dumps(dataclasses.asdict(meta), ensure_ascii=False)
    ordered = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    return save(ordered, metadata={"meta": text})


def unpack(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and meta of what :func:`pack` wrote.

    Raises:
        ViewerFileError: not a viewer file, damaged, or of another version.
    """
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        meta = json.loads(header["__metadata__"]["meta"])
        specs = _SPECS[meta["format"]]
        version = meta["version"]
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ViewerFileError(f"not a file of the viewer ({error})") from error
    if version != SCHEMA_VERSION:
        raise ViewerFileError(f"viewer file version {version!r}, this one reads {SCHEMA_VERSION}")
    _check(tensors, specs)
    return tensors, meta


def _check(tensors: Mapping[str, np.ndarray], specs: tuple[TensorSpec, ...]) -> None:
    unknown = sorted(set(tensors) - {spec.name for spec in specs})
    if unknown:
        raise ViewerFileError(f"the schema has no tensor {', '.join(unknown)}")
    sizes: dict[str, int] = {}
    for spec in specs:
        array = tensors.get(spec.name)
        if array is None:
            if spec.optional:
                continue
            raise ViewerFileError(f"{spec.name} is missing")
        if not any(array.dtype == _DTYPES[dtype] for dtype in spec.dtypes):
            raise ViewerFileError(f"{spec.name} must be {' or '.join(spec.dtypes)}, "
                                  f"found {array.dtype}")
        fits = array.ndim == len(spec.shape)
        for size, found in zip(spec.shape, array.shape, strict=False):
            fits &= found == (sizes.setdefault(size, found) if isinstance(size, str) else size)
        if not fits:
            wanted = ", ".join(str(sizes.get(str(size), size)) for size in spec.shape)
            raise ViewerFileError(f"{spec.name} must be ({wanted}), found {array.shape}")
