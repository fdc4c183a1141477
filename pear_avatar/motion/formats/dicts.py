"""Trees of arrays in .pt and .pkl files, decoded as data.

Nothing in a file is ever executed: torch files are loaded with ``weights_only``, pickles and
joblib files are decoded by :mod:`pear_avatar.io.safe_pickle`.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pear_avatar.errors import ModelFileError, MotionFileError
from pear_avatar.io.safe_pickle import RecordDecoder, unpickle

__all__ = ["decode_pickle", "load_torch"]


def load_torch(source: Path | io.BytesIO, name: str) -> Any:
    """The content of a .pt file.

    Raises MotionFileError for anything but tensors, numbers and text.
    """
    try:
        with _numpy_is_safe(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols that it reads all the same
            return torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise MotionFileError(
            f"{name}: refused, it holds more than tensors and arrays "
            f"({_first_sentence(error)}); nothing in it was run. Save its tensors alone"
        ) from error
    except MemoryError as error:
        raise MotionFileError(f"{name}: claims more memory than there is") from error
    except Exception as error:
        # torch raises nearly any type for a damaged file, and each means the same to the user.
        raise MotionFileError(
            f"{name}: not a readable torch file ({_first_sentence(error)}); copy it again"
        ) from error


def decode_pickle(data: bytes, name: str) -> Any:
    """What a pickle or joblib file holds, as plain containers and arrays."""
    try:
        return RecordDecoder(name)(unpickle(data, name, "motion"))
    except ModelFileError as error:
        raise MotionFileError(str(error)) from error


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
