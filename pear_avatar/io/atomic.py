"""Writing files so that a half-written one never looks whole, and nothing of the user's is lost."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pear_avatar.errors import PearError
from pear_avatar.io.replacing import check_replaceable

#: A file in work: hidden, with the stem of its final name, the number of the process that writes
#: it and the final ending, which encoders look at.
_IN_WORK = re.compile(r"\.(?P<stem>.*)-(?P<process>\d+)-\w+\.partial(\.\w+)?", re.DOTALL)
#: The longest stem that leaves room for the rest of the name in 255 bytes.
_LONGEST_STEM = 150


def partial_path(path: str | Path) -> Path:
    """A new empty file beside ``path``, to be written and then moved into its place.

    What earlier processes left when they were killed while they wrote ``path`` is removed.

    Raises:
        PearError: ``path`` may not be replaced (:mod:`pear_avatar.io.replacing`).
        OSError: the folder cannot be made or written to.
    """
    path = Path(path)
    check_replaceable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = os.fsdecode(os.fsencode(path.stem)[:_LONGEST_STEM])
    _remove_strays(path.parent, stem)
    handle, name = tempfile.mkstemp(
        prefix=f".{stem}-{os.getpid()}-", suffix=f".partial{path.suffix}", dir=path.parent
    )
    os.close(handle)
    return Path(name)


def _remove_strays(folder: Path, stem: str) -> None:
    """Remove what processes that have ended left of files or folders with this stem."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.name.startswith(f".{stem}-")]
    for name in names:
        found = _IN_WORK.fullmatch(name)
        if found is None or found["stem"] != stem or _is_running(int(found["process"])):
            continue
        stray = folder / name
        if stray.is_dir():
            shutil.rmtree(stray, ignore_errors=True)
        else:
            stray.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    """Whether a process of this number lives; on Windows, where asking would end it, always."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it into place if the block succeeds.

    The temporary name keeps the file ending (encoders look at it). On any error, Ctrl-C
    included, the temporary file is removed and an existing ``path`` stays as it was.

    Raises:
        PearError: ``path`` may not be replaced (:mod:`pear_avatar.io.replacing`).
    """
    path = Path(path)
    temporary = partial_path(path)
    try:
        yield temporary
        put_in_place(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def put_in_place(temporary: Path, path: Path) -> None:
    """Move a finished file to its name, with the permissions that new files have."""
    with temporary.open("rb") as f:
        os.fsync(f.fileno())
    temporary.chmod(0o666 & ~_umask())
    os.replace(temporary, path)


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def write_text_atomic(path: str | Path, text: str) -> None:
    """Write UTF-8 text, whole or not at all; names that are not UTF-8 keep their bytes."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="surrogateescape")


@contextmanager
def atomic_folder(path: str | Path, replaceable: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield an empty folder beside ``path``; rename it into place if the block succeeds.

    An existing folder is replaced only if everything in it is ``replaceable``: a user's own
    files never vanish. On any error the new folder is removed and the old one stays.

    Raises:
        PearError: ``path`` is a file, or a folder that holds other things.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise PearError(f"{path} is a file; name a folder")
    foreign = [p.name for p in path.iterdir() if not replaceable(p)] if path.exists() else []
    if foreign:
        raise PearError(
            f"{path} holds other files ({sorted(foreign)[0]} for one); name a new folder"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_strays(path.parent, path.name)
    temporary = Path(
        tempfile.mkdtemp(prefix=f".{path.name}-{os.getpid()}-", suffix=".partial", dir=path.parent)
    )
    try:
        yield temporary
        temporary.chmod(0o777 & ~_umask())
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
