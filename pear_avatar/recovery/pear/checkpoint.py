"""Loading, saving and finding PEAR networks; starting one from another network's backbone.

Nothing is ever downloaded. A state dict alone decides how large a network it belongs to.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import torch
from safetensors.torch import save_file

from pear_avatar.errors import CheckpointError, MissingFileError
from pear_avatar.io.atomic import atomic_path
from pear_avatar.recovery.pear.checkpoint_files import (
    StateDict,
    listed,
    read_weights,
)
from pear_avatar.recovery.pear.checkpoint_layouts import (
    backbone_size,
    backbone_weights,
    config_of,
    decoder_weights,
    network_weights,
    resize_positions,
)
from pear_avatar.recovery.pear.pear_config import OutputSizes, PearConfig
from pear_avatar.recovery.pear.pear_network import PearNetwork

__all__ = [
    "CHECKPOINT_VARIABLE",
    "CheckpointError",
    "find_checkpoint",
    "load_checkpoint",
    "network_from_backbone",
    "save_checkpoint",
]

#: Environment variable that names the default checkpoint.
CHECKPOINT_VARIABLE = "PEAR_AVATAR_PEAR_CHECKPOINT"

_FORMAT = "pear-avatar PEAR network"
_VERSION = "1"
_HOW_TO_GET = (
    "The authors' weights are pear_model.pt (2.7 GB) of the model card BestWJH/PEAR_models on "
    "Hugging Face, called ehm_model_stage1.pt in earlier versions. Read its licence first: the "
    "network was trained with SMPL-X and FLAME, whose licences allow non-commercial research only. "
    "Then pass its path, or set "
    f"{CHECKPOINT_VARIABLE} to it"
)
_logger = logging.getLogger(__name__)


def find_checkpoint(path: str | Path | None = None) -> Path:
    """The checkpoint to use: the path, else what ``PEAR_AVATAR_PEAR_CHECKPOINT`` names.

    Raises:
        MissingFileError: neither names a file; the message says where weights can be had and
            under which licence.
    """
    given = path if path is not None else os.environ.get(CHECKPOINT_VARIABLE)
    if not given:
        raise MissingFileError(f"no PEAR checkpoint was named. {_HOW_TO_GET}")
    found = Path(given).expanduser()
    if not found.is_file():
        source = "" if path is not None else f" ({CHECKPOINT_VARIABLE})"
        raise MissingFileError(f"no PEAR checkpoint at {found}{source}. {_HOW_TO_GET}")
    return found


def load_checkpoint(
    path: str | Path | None = None, *, dtype: torch.dtype | None = torch.float32
) -> PearNetwork:
    """Read a PEAR network: our own safetensors file or the released ``pear_model.pt``, which
    was called ``ehm_model_stage1.pt`` before.

    Args:
        path: the file; see :func:`find_checkpoint` for None.
        dtype: of the weights in memory; None keeps the file's.

    Returns:
        the network in evaluation mode, on the CPU.

    Raises:
        MissingFileError: no such file.
        CheckpointError: not a PEAR network, or its weights are not exactly those of the network
            that their shapes describe; missing, unknown and misshapen ones are listed.
    """
    file = find_checkpoint(path)
    content, metadata = read_weights(file)
    version = metadata.get("version")
    if metadata.get("format") == _FORMAT and version != _VERSION:
        raise CheckpointError(
            f"{file} has version {version}, this package reads version {_VERSION}: update it"
        )
    try:
        weights = network_weights(content)
        config = config_of(weights)
        weights = resize_positions(weights, "backbone.pos_embed")
        network = _empty_network(config)
        _check(weights, dict(network.state_dict()))
    except CheckpointError as error:
        raise CheckpointError(f"{file} cannot be used: {error}") from error
    # The unused joint decoder and HMR2's mean parameters are part of the state dict, so that
    # the comparison above can be exact and a saved network is complete.
    network.load_state_dict(weights, assign=True)
    return network.to(dtype=dtype).eval() if dtype is not None else network.eval()


def save_checkpoint(path: str | Path, network: PearNetwork) -> None:
    """Write a network to a safetensors file, whole or not at all."""
    weights = {name: value.contiguous() for name, value in network.state_dict().items()}
    with atomic_path(Path(path)) as part:
        save_file(weights, part, metadata={"format": _FORMAT, "version": _VERSION})


def network_from_backbone(
    path: str | Path, *, outputs: OutputSizes | None = None, expert: str = "wholebody"
) -> PearNetwork:
    """A network to train, started from a public backbone.

    ViTPose, ViTPose+, 4D-Humans' ``vitpose_backbone.pth``, HMR2 and PEAR files will do; HMR2's
    decoder is taken too. The rest of the head is fresh.

    Args:
        path: the file.
        outputs: numbers of coefficients to predict.
        expert: of a ViTPose+ file, which data set's part to take.

    Raises:
        MissingFileError: no such file.
        CheckpointError: no backbone in it, or an incomplete one.
    """
    file = Path(path).expanduser()
    content, _ = read_weights(file)
    try:
        weights = resize_positions(backbone_weights(content, expert=expert))
        config = PearConfig(backbone_size(weights), outputs=outputs or OutputSizes())
        network = PearNetwork(config)
        _check(weights, dict(network.backbone.state_dict()))
        network.backbone.load_state_dict(weights)
        decoder = decoder_weights(content)
        if decoder is not None:
            _check(decoder, dict(network.head.transformer.state_dict()))
            network.head.transformer.load_state_dict(decoder)
    except CheckpointError as error:
        raise CheckpointError(f"{file} cannot start a network: {error}") from error
    what = "backbone and decoder" if decoder is not None else "backbone"
    _logger.info("%s: %s of a %s", file.name, what, config.name)
    return network


def _empty_network(config: PearConfig) -> PearNetwork:
    """A network without memory for its weights, to be given some."""
    with torch.device("meta"):
        return PearNetwork(config)


def _check(weights: StateDict, expected: StateDict) -> None:
    """Raise unless the names and shapes are exactly those expected."""
    problems = []
    missing = sorted(set(expected) - set(weights))
    unknown = sorted(set(weights) - set(expected))
    wrong = [
        f"{name} is {tuple(weights[name].shape)} instead of {tuple(expected[name].shape)}"
        for name in sorted(set(expected) & set(weights))
        if weights[name].shape != expected[name].shape
    ]
    for what, names in (("missing", missing), ("unknown", unknown), ("of another shape", wrong)):
        if names:
            problems.append(f"{len(names)} {what}: {listed(names)}")
    if problems:
        raise CheckpointError("; ".join(problems))
