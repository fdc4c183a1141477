"""The network's weights on disk: safetensors in half precision, with their recipe beside them."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pear_avatar.errors import CheckpointError, MissingFileError
from pear_avatar.io.atomic import atomic_path
from pear_avatar.recovery.lifter.lifter_network import LifterNetwork, NetworkSize

_ASSET = "assets/lifter.safetensors"
_FORMAT = "pear-avatar-lifter-1"


def save_network(path: str | Path, network: LifterNetwork, recipe: dict[str, Any]) -> None:
    """Write a network; ``recipe`` says how it was trained. The file appears whole or not at all."""
    metadata = {
        "format": _FORMAT,
        "size": json.dumps(asdict(network.size)),
        "recipe": json.dumps(recipe),
    }
    # What is fixed stays in full precision; it is small, and all else rests on it.
    fixed = {name for name, _ in network.named_buffers()}
    tensors = {
        name: value.detach().to(torch.float32 if name in fixed else torch.float16).contiguous()
        for name, value in network.state_dict().items()
    }
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(save(tensors, metadata))


def load_network(path: str | Path | None = None) -> tuple[LifterNetwork, dict[str, Any]]:
    """Read a network and its recipe; ``None`` means the weights that ship with the package.

    Raises:
        MissingFileError: there is no such file.
        CheckpointError: the file is not a lifter, or a damaged one.
    """
    if path is None:
        with resources.as_file(resources.files("pear_avatar.recovery").joinpath(_ASSET)) as asset:
            return _load(asset)
    return _load(Path(path))


def _load(path: Path) -> tuple[LifterNetwork, dict[str, Any]]:
    if not path.is_file():
        raise MissingFileError(f"{path}: no such weights; reinstall the package or train a lifter")
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from error
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(
            f"{path} holds {metadata.get('format')!r}, not {_FORMAT}: train again"
        )
    network = LifterNetwork(NetworkSize(**json.loads(metadata["size"])))
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{path} does not fit its own size: {error}") from error
    return network.eval(), json.loads(metadata["recipe"])
