"""NumPy archives without pickle, written whole or not at all."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pear_avatar.errors import DataFileError, MissingFileError
from pear_avatar.io.atomic import atomic_path
from pear_avatar.io.replacing import MARK


def load_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Every array of an npz file.

    Raises FileNotFoundError, or ValueError naming the file when it is damaged or holds pickled
    objects (which could run code and are never opened).
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except ValueError as error:
        if "pickle" in str(error).lower():
            raise DataFileError(
                f"{path.name}: contains pickled objects, which could run code; save it again "
                "with plain arrays only"
            ) from error
        raise DataFileError(f"{path.name}: not a readable npz file ({error})") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError) as error:
        raise DataFileError(f"{path.name}: broken or truncated npz file ({error})") from error


def save_npz(
    path: str | Path, arrays: Mapping[str, np.ndarray], *, compressed: bool = False
) -> None:
    """Write arrays to an npz file, atomically."""
    write = np.savez_compressed if compressed else np.savez
    with atomic_path(path) as temporary:
        with temporary.open("wb") as f:
            write(f, **dict(arrays))
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.comment = MARK.encode()
