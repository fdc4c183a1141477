"""Reading weight files without running what may be hidden in them.

A ``.pt``, ``.pth`` or ``.ckpt`` file is a pickle, and a pickle can run code. Only tensors and
plain containers are read here; the configuration objects that training frameworks like to put
beside the weights are replaced by empty dictionaries, by name, without importing them.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pear_avatar.errors import CheckpointError, MissingFileError

__all__ = ["CheckpointError", "StateDict", "listed", "read_weights"]

StateDict = dict[str, Tensor]

#: Classes of training configurations found beside public weights (HMR2's Lightning files hold a
#: yacs configuration, others OmegaConf's). Their content is never used.
_CONFIGURATION_CLASSES = (
    "yacs.config.CfgNode",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
    "omegaconf.nodes.AnyNode",
    "typing.Any",
    "pathlib.PosixPath",
    "lightning_fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
)
_NAMES_SHOWN = 8


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The content of a weight file, on the CPU, and its metadata (of safetensors files only).

    Raises:
        MissingFileError: nothing there.
        CheckpointError: damaged, not a weight file, or with content that could run code.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: no such weight file")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    content = _read_pickle(path)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not named weights")
    return content, {}


def _read_safetensors(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from error


def _read_pickle(path: Path) -> Any:
    # Mapping the file instead of reading it halves the memory for gigabytes of weights; the old
    # torch format cannot be mapped.
    options: dict[str, Any] = {"map_location": "cpu", "weights_only": True}
    options["mmap"] = zipfile.is_zipfile(path)
    try:
        try:
            return torch.load(path, **options)
        except pickle.UnpicklingError:
            with torch.serialization.safe_globals(_stand_ins()):
                return torch.load(path, **options)
    except pickle.UnpicklingError as error:
        raise CheckpointError(_refusal(path, error)) from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a readable torch file: {error}") from error


def _stand_ins() -> list[Any]:
    """What the reader puts where a file names one of the configuration classes."""
    stand_ins: list[Any] = [(OrderedDict, name) for name in _CONFIGURATION_CLASSES]
    return [*stand_ins, (_nothing, "collections.defaultdict")]


def _nothing(*_args: Any) -> dict[str, Any]:
    """Stands for a container factory whose content is not wanted."""
    return OrderedDict()


def _refusal(path: Path, error: Exception) -> str:
    unknown: Iterable[str] = ()
    if zipfile.is_zipfile(path):
        unsafe = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        known = {*_CONFIGURATION_CLASSES, "collections.defaultdict"}
        unknown = sorted(set(unsafe) - known)
    if not unknown:
        return f"{path} is not a readable torch file: {str(error).splitlines()[0]}"
    return (
        f"{path} holds more than weights ({listed(unknown)}), and reading that could run code. "
        "Save its state dict alone, with torch.save(checkpoint['state_dict'], ...), on a machine "
        "where you trust the file"
    )


def listed(names: Iterable[str]) -> str:
    """A few names and how many more there are."""
    names = list(names)
    more = len(names) - _NAMES_SHOWN
    shown = ", ".join(names[:_NAMES_SHOWN])
    return f"{shown} and {more} more" if more > 0 else shown


def tensors_of(content: Mapping[str, Any]) -> StateDict:
    """The tensors of a mapping, whatever lies beside them."""
    return {key: value for key, value in content.items() if isinstance(value, Tensor)}
