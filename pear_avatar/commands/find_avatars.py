"""Which avatar files a path stands for. Quick to import: commands look before they load."""

from __future__ import annotations

import logging
from pathlib import Path

from pear_avatar.errors import PearError, require_file

__all__ = ["AVATAR_FILE", "find_avatar", "find_avatars"]

logger = logging.getLogger(__name__)

#: Name of the avatar in a result folder.
AVATAR_FILE = "avatar.safetensors"


def find_avatar(named: Path | None, under: Path) -> Path:
    """The avatar file that is meant: the one named, or the newest one below a folder.

    Raises:
        PearError: there is none.
    """
    if named is not None:
        return require_file(named / AVATAR_FILE if named.is_dir() else named, "avatar")
    found = [p for depth in ("", "*/", "*/*/") for p in under.glob(f"{depth}{AVATAR_FILE}")]
    if not found:
        raise _none_in(under)
    return max(found, key=lambda path: path.stat().st_mtime)


def find_avatars(target: str | Path) -> list[Path]:
    """The avatar files that a file or folder stands for, sorted by path.

    A result folder stands for its avatar, another folder for all avatars up to two folders below
    it. Links that lead out of the folder are not followed.

    Raises:
        PearError: there is nothing at ``target``, or no avatar in it.
    """
    target = Path(target)
    if target.is_file():
        return [target]
    if not target.is_dir():
        raise PearError(f"no avatar at {target}: name an avatar file or a folder with avatars")
    own = target / AVATAR_FILE
    found = [own] if own.is_file() else [*target.glob("*/*"), *target.glob("*/*/*")]
    root = target.resolve()
    inside = []
    for path in found:
        if path.name != AVATAR_FILE or not path.is_file():
            continue
        if path.resolve().is_relative_to(root):
            inside.append(path)
        else:
            logger.warning("%s leads out of %s and is left out", path, target)
    if not inside:
        raise _none_in(target)
    return sorted(inside)


def _none_in(folder: Path) -> PearError:
    return PearError(
        f"no {AVATAR_FILE} in {folder} or two folders below it: run `pear-avatar fit VIDEO` "
        "first, or name the avatar"
    )
