"""safetensors files under any name: the library itself takes only names that are UTF-8."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from pear_avatar.io.atomic import atomic_path

__all__ = ["read_shapes", "read_tensors", "write_tensors"]

_LONGEST_HEADER = 100_000_000
#: What damaged files make the decoders raise.
_ERRORS = (ValueError, TypeError, LookupError, AttributeError, RuntimeError, RecursionError)


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Every tensor of a file, and its metadata.

    Raises:
        SafetensorError: not such a file, or damaged.
        OSError: it cannot be read.
    """
    data = Path(path).read_bytes()
    _, metadata = read_shapes(path)
    try:
        return load(data), metadata
    except _ERRORS as error:
        raise SafetensorError(str(error)) from error


def read_shapes(path: str | Path) -> tuple[dict[str, tuple[int, ...]], dict[str, str]]:
    """The shape of every tensor of a file, and its metadata, from its header alone.

    Raises:
        SafetensorError: not such a file, or damaged.
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _LONGEST_HEADER:
            raise SafetensorError(f"a header of {length} bytes")
        text = file.read(length)
    try:
        header = json.loads(text)
        metadata = header.pop("__metadata__", None) or {}
        shapes = {str(k): tuple(int(n) for n in v["shape"]) for k, v in header.items()}
        return shapes, {str(k): str(v) for k, v in metadata.items()}
    except _ERRORS as error:
        raise SafetensorError(str(error)) from error


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> None:
    """Write tensors of any device, whole or not at all."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(plain, dict(metadata)))
