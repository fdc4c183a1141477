"""Nested dictionaries of arrays in .pt, .pkl, .npy and .npz files -> flat arrays by path.

``{"smplx_coeffs": {"body_pose": ...}}`` becomes ``smplx_coeffs/body_pose``. Nothing in a file is
ever executed: torch files are loaded with ``weights_only``, pickles are decoded as data by
:mod:`pear_avatar.io.safe_pickle`.
"""

from __future__ import annotations

import contextlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pear_avatar.errors import ModelFileError, MotionFileError
from pear_avatar.io.safe_pickle import RecordDecoder, unpickle
from pear_avatar.motion.formats.arrays import (
    MAX_FRAMES,
    ZIP_ERRORS,
    PoseArrays,
)

__all__ = ["arrays_of_tree", "decode_pickle", "read_pickle_arrays", "read_torch_arrays"]

_MAX_BYTES = 1 << 30
_MAX_DEPTH = 6
_MAX_ARRAYS = 10_000

#: Dictionaries that trackers keep for each frame.
_FRAME_PARTS = ("smplx_coeffs", "flame_coeffs")


def read_torch_arrays(path: str | Path) -> PoseArrays:
    """The arrays of a .pt file.

    Raises FileNotFoundError, or MotionFileError for anything but tensors, numbers and text.
    """
    path = Path(path)
    _check_size(path)
    with _numpy_is_safe():
        tree = _load_torch(path)
    return arrays_of_tree(path.name, tree)


def _load_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols that it reads all the same
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise MotionFileError(
            f"{path.name}: refused, it holds more than tensors and arrays "
            f"({_first_sentence(error)}); nothing in it was run. Save its tensors alone"
        ) from error
    except MemoryError as error:
        raise MotionFileError(f"{path.name}: claims more memory than there is") from error
    except Exception as error:
        # torch raises nearly any type for a damaged file, and each means the same to the user.
        raise MotionFileError(
            f"{path.name}: not a readable torch file ({_first_sentence(error)}); copy it again"
        ) from error


def read_pickle_arrays(path: str | Path) -> PoseArrays:
    """The arrays of a pickle, without running it.

    Raises FileNotFoundError, or MotionFileError for anything but arrays, numbers and text.
    """
    path = Path(path)
    _check_size(path)
    return arrays_of_tree(path.name, decode_pickle(path.read_bytes(), path.name))


def decode_pickle(data: bytes, name: str) -> Any:
    """What a pickle holds, as plain containers and arrays."""
    try:
        return RecordDecoder(name)(unpickle(data, name))
    except ModelFileError as error:
        raise MotionFileError(str(error)) from error


def arrays_of_tree(name: str, tree: Any) -> PoseArrays:
    """Flat arrays of nested dictionaries; frames kept one by one are stacked.

    Raises MotionFileError where there is no dictionary, or too much of everything.
    """
    tree = _mapping(tree)
    if tree is None:
        raise MotionFileError(f"{name}: holds no dictionary of arrays")
    frames = _frames(tree)
    if frames:
        flat = _stacked(name, frames)
    else:
        flat = dict(_leaves(name, tree, ""))
    if not flat:
        raise MotionFileError(f"{name}: holds no arrays")
    return PoseArrays(name, flat)


def _mapping(value: Any) -> dict[Any, Any] | None:
    """A dictionary, also where it was decoded from an OrderedDict, as a list of dictionaries."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, Mapping) for v in value):
        if any(part in value[0] for part in _FRAME_PARTS):  # a list of frames
            return dict(enumerate(value))
        return {k: v for part in value for k, v in part.items()}
    return None


def _leaves(name: str, tree: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, np.ndarray]]:
    if prefix.count("/") > _MAX_DEPTH:
        raise MotionFileError(f"{name}: dictionaries are nested too deeply")
    for count, (key, value) in enumerate(tree.items()):
        if count > _MAX_ARRAYS:
            raise MotionFileError(f"{name}: more than {_MAX_ARRAYS} entries; this is no motion")
        inner = _mapping(value)
        if inner is not None:
            yield from _leaves(name, inner, f"{prefix}{key}/")
            continue
        array = _array(value)
        if array is not None:
            yield f"{prefix}{key}", array


def _array(value: Any) -> np.ndarray | None:
    """A plain array of numbers or text, or None."""
    if isinstance(value, torch.Tensor):
        if value.is_sparse or value.is_quantized:
            return None
        dtype = torch.float64 if value.is_floating_point() else None
        return value.detach().to(dtype=dtype).resolve_conj().numpy()
    if isinstance(value, (np.ndarray, np.generic, int, float, bool, str)):
        array = np.asarray(value)
    elif isinstance(value, (list, tuple)) and all(
        isinstance(v, (int, float, str, np.generic)) for v in value
    ):
        array = np.array(value)
    else:
        return None
    return array if array.dtype.kind in "fiubUS" else None


def _frames(tree: Mapping[Any, Any]) -> list[Mapping[Any, Any]]:
    """The frames of a dictionary frame -> parts; none where it is something else."""
    values = list(tree.values())
    if not values or not all(isinstance(v, Mapping) for v in values):
        return []
    return values if all(any(p in v for p in _FRAME_PARTS) for v in values) else []


def _stacked(name: str, frames: list[Mapping[Any, Any]]) -> dict[str, np.ndarray]:
    """Arrays of a tracker's frames, one row a frame."""
    if len(frames) > MAX_FRAMES:
        raise MotionFileError(f"{name}: more than the {MAX_FRAMES} frames that are read")
    rows: dict[str, list[np.ndarray]] = {}
    for frame in frames:
        for part in _FRAME_PARTS:
            inner = _mapping(frame.get(part))
            for key, value in (inner or {}).items():
                array = _array(value)
                if array is not None:
                    rows.setdefault(f"{part}/{key}", []).append(_one_frame(array))
    out = {}
    for key, found in rows.items():
        shapes = {array.shape for array in found}
        if len(shapes) > 1:
            raise MotionFileError(f"{name}: {key} has different shapes in its frames: {shapes}")
        if len(found) != len(frames):
            raise MotionFileError(
                f"{name}: {key} is in {len(found)} of {len(frames)} frames; cut the others out"
            )
        out[key] = np.stack(found)
    return out


def _one_frame(array: np.ndarray) -> np.ndarray:
    """Without the batch axis of one that trackers leave on a frame."""
    return array[0] if array.ndim > 1 and array.shape[0] == 1 else array


def _check_size(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such pose file")
    size = path.stat().st_size
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                size = max(size, sum(entry.file_size for entry in archive.infolist()))
    except ZIP_ERRORS:
        pass  # the reader says what is wrong with it
    if size > _MAX_BYTES:
        raise MotionFileError(
            f"{path.name}: {size / 1e6:.0f} MB, more than any motion needs; the file is refused"
        )


@contextlib.contextmanager
def _numpy_is_safe() -> Iterator[None]:
    """Let torch's restricted unpickler make plain NumPy arrays beside its tensors."""
    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    if version < (2, 6):  # where names cannot be given beside the objects; tensors only
        yield
        return
    made = {name: vars(np.core.multiarray)[name] for name in ("_reconstruct", "scalar")}
    named = [
        (function, f"numpy.{core}.multiarray.{name}")  # NumPy 1 and 2 call one thing differently
        for name, function in made.items()
        for core in ("core", "_core")
    ]
    kinds = {type(np.dtype(code)) for code in "?bBhHiIlLqQefdU"}
    with torch.serialization.safe_globals([np.ndarray, np.dtype, *kinds, *named]):
        yield


def _first_sentence(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    asked = re.search(r"unsupported global:?(?: GLOBAL)? ([\w.]+)", text, re.IGNORECASE)
    return f"it asks for {asked[1]}" if asked else text.split(". ")[0][:120]
