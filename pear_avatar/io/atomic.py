"""Writing files so that a half-written one never looks whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pear_avatar.errors import PearError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it into place if the block succeeds.

    The temporary name keeps the file ending (encoders look at it). On any error, Ctrl-C
    included, the temporary file is removed and an existing ``path`` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.stem}-", suffix=f".partial{path.suffix}", dir=path.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as f:
            os.fsync(f.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text_atomic(path: str | Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def atomic_folder(path: str | Path, replaceable: Callable[[str], bool]) -> Iterator[Path]:
    """Yield an empty folder beside ``path``; rename it into place if the block succeeds.

    An existing folder is replaced only if every name in it is ``replaceable``: a user's own
    files never vanish. On any error the new folder is removed and the old one stays.

    Raises:
        PearError: ``path`` is a file, or a folder that holds other things.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise PearError(f"{path} is a file; name a folder")
    foreign = [p.name for p in path.iterdir() if not replaceable(p.name)] if path.exists() else []
    if foreign:
        raise PearError(
            f"{path} holds other files ({sorted(foreign)[0]} for one); name a new folder"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", suffix=".partial", dir=path.parent))
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o777 & ~umask)
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
