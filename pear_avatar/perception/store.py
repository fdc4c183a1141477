"""The cache on disk: npz files without pickle, written whole or not at all, checked on reading."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pear_avatar.errors import PearError
from pear_avatar.io.npz import load_npz, save_npz

_log = logging.getLogger(__name__)

_SAMPLE = 1 << 20


def content_key(path: str | os.PathLike[str], settings: Mapping[str, Any]) -> str:
    """32 hex digits naming a file's content and the settings used on it.

    Of the file its size and its first, middle and last MiB count; its name and dates do not,
    so that the cache of a copied or renamed video is still used.
    """
    digest = hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode())
    size = os.path.getsize(path)
    digest.update(str(size).encode())
    with open(path, "rb") as file:
        for start in (0, size // 2, size - _SAMPLE):
            file.seek(max(0, start))
            digest.update(file.read(_SAMPLE))
    return digest.hexdigest()[:32]


class Store:
    """Named sets of arrays in one folder; with ``folder=None`` nothing is kept."""

    def __init__(self, folder: str | os.PathLike[str] | None, key: str) -> None:
        self.folder = None if folder is None else Path(folder) / f"perception-{key}"

    def load(self, name: str) -> dict[str, np.ndarray] | None:
        """The arrays saved under ``name``; None if there are none or they are damaged."""
        if self.folder is None:
            return None
        file = self.folder / f"{name}.npz"
        if not file.exists():
            return None
        try:
            return load_npz(file)
        except (OSError, PearError) as error:
            _log.warning("%s is damaged (%s): it is made again", file, error)
            return None

    def save(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep ``arrays`` under ``name``.

        Raises:
            OSError: the folder cannot be written or the disk is full; nothing half-written stays.
        """
        if self.folder is None:
            return
        save_npz(self.folder / f"{name}.npz", arrays)

    def remove(self, prefix: str) -> None:
        """Delete the sets whose names begin with ``prefix``."""
        if self.folder is not None and self.folder.is_dir():
            for file in self.folder.glob(f"{prefix}*.npz"):
                file.unlink(missing_ok=True)
