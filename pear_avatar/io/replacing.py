"""Which files a command may replace: those that this program made, and no input of it.

Each format that is written carries :data:`MARK` near its beginning or end (BVH and CSV, which have
no room for it, begin in their own way). A command states its rules once, with
:func:`rules_for_outputs`; :mod:`pear_avatar.io.atomic` asks :func:`check_replaceable` before it
writes. Without rules, as in calls from Python, any regular file is replaced.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from pear_avatar.errors import PearError

__all__ = ["MARK", "check_outputs", "check_replaceable", "is_ours", "rules_for_outputs"]

#: Stands in every file that this program writes.
MARK = "pear-avatar"
#: Motions of the viewer bear their own name instead.
_MARKS = (MARK.encode(), b"pear-motion")
_SEARCHED = 1 << 16
#: How our files begin in formats without room for the mark.
_BEGINNINGS = (b"HIERARCHY\nROOT pelvis\n", b"time,pelvis_x,pelvis_y,pelvis_z,left_hip_x,")


@dataclass(frozen=True)
class _Rules:
    """What one command may replace.

    inputs: device and inode of every file that it reads.
    force:  replace files that this program did not make, too.
    """

    inputs: frozenset[tuple[int, int]]
    force: bool


_RULES: ContextVar[_Rules | None] = ContextVar("rules for outputs", default=None)


def rules_for_outputs(inputs: Iterable[str | Path], *, force: bool) -> None:
    """From here on, in this context, replace no input, and no foreign file unless forced."""
    _RULES.set(_Rules(frozenset(_identity(Path(p)) for p in inputs if _is_file(p)), force))


def check_outputs(paths: Iterable[str | Path]) -> None:
    """Check, before any work, that these files can be written and may be replaced.

    Raises:
        PearError: one of them may not be replaced, or its folder cannot be written to.
    """
    folders = set()
    for path in map(Path, paths):
        check_replaceable(path)
        folders.add(_existing_ancestor(path))
    for folder in sorted(folders):
        if not folder.is_dir():
            raise PearError(f"{folder} is a file: name a folder for the results")
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise PearError(
                f"{folder} cannot be written to ({reason}): name another place with -o"
            ) from None


def check_replaceable(path: Path) -> None:
    """Check that a file may be written at ``path`` under the rules of this context.

    Raises:
        PearError: something else than a file is there, an input, or a foreign file.
    """
    try:
        there = path.exists()
    except OSError as error:  # a name that is too long, for one
        raise PearError(f"{path} cannot be a file's name ({error.strerror})") from None
    if not there:
        return
    if path.is_dir():
        raise PearError(f"{path} is a folder: name a file")
    if not path.is_file():
        raise PearError(f"{path} is a device or a pipe: name a file")
    rules = _RULES.get()
    if rules is None:
        return
    if _identity(path) in rules.inputs:
        raise PearError(f"{path} is an input and would be overwritten: name another output")
    if not rules.force and not is_ours(path):
        raise PearError(
            f"{path} exists and was not made by {MARK}: name another output, or replace it "
            "with --force"
        )


def is_ours(path: Path) -> bool:
    """Whether this program made a file; an empty one counts, since nothing is lost with it."""
    try:
        with path.open("rb") as file:
            head = file.read(_SEARCHED)
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _SEARCHED))
            tail = file.read()
    except OSError:
        return False
    if size == 0 or head.startswith(_BEGINNINGS):
        return True
    return any(mark in part for mark in _MARKS for part in (head, tail))


def _existing_ancestor(path: Path) -> Path:
    """The nearest folder above a path that exists."""
    for folder in path.absolute().parents:
        if folder.exists():
            return folder
    return Path(path.absolute().anchor)


def _is_file(path: str | Path) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def _identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_dev, stat.st_ino
