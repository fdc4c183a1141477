"""What the page loads so that a camera can drive an avatar, and under which names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pear_avatar.errors import MissingFileError
from pear_avatar.viewer.schema import SessionLive

__all__ = ["LIVE_MODEL", "LiveFiles", "live_files"]

LIVE_MODEL = "lifter.bin"
_TASK = ("holistic.task.0", "holistic.task.1")
_LOADER, _PROGRAM = "vision.js", "vision.wasm"
#: About how many bytes the live model has; it is made when first asked for.
_MODEL_BYTES = 6_500_000


@dataclass(frozen=True)
class LiveFiles:
    """files: paths by name. model: makes the file :data:`LIVE_MODEL`."""

    files: Mapping[str, Path]
    model: Callable[[], bytes]

    def session(self, base: str) -> SessionLive:
        """The session's entry, with ``base`` before each name."""
        sizes = sum(path.stat().st_size for path in self.files.values())
        return SessionLive(
            model=f"{base}/{LIVE_MODEL}",
            task=tuple(f"{base}/{name}" for name in _TASK),
            wasm_loader=f"{base}/{_LOADER}",
            wasm=f"{base}/{_PROGRAM}",
            total_bytes=sizes - self.files[_LOADER].stat().st_size + _MODEL_BYTES,
        )


def live_files(model: Callable[[], bytes]) -> LiveFiles:
    """The files that ship with the package, and the live model that ``model`` makes.

    Raises:
        MissingFileError: one of them is not there.
    """
    folder = Path(str(resources.files("pear_avatar.viewer").joinpath("models")))
    files = {name: folder / name for name in (*_TASK, _LOADER, _PROGRAM)}
    for path in files.values():
        if not path.is_file():
            raise MissingFileError(f"{path} is missing: install pear-avatar again")
    return LiveFiles(files, model)
