"""Where a user's model files are, and what each of them is for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pear_avatar.body.licensed import flame_files, smplx_files
from pear_avatar.errors import MissingFileError, PearError

__all__ = [
    "ASSETS",
    "MODELS_VARIABLE",
    "AssetKind",
    "find_asset",
    "models_folder",
    "named_folder",
    "require_asset",
]

#: Environment variable that names the folder of model files.
MODELS_VARIABLE = "PEAR_AVATAR_BODY_MODELS"

_MAX_DEPTH = 4
_MAX_ENTRIES = 20_000
_SKIPPED = ("__MACOSX", "node_modules", ".git")


@dataclass(frozen=True)
class AssetKind:
    """One file of a body model.

    name:    how commands and messages call it.
    files:   file names it goes by, the best first; compared without regard to case.
    purpose: what it is for.
    owner:   where its owner distributes it.
    needed:  whether the full licensed body (body, head and their correspondence) needs it.
    """

    name: str
    files: tuple[str, ...]
    purpose: str
    owner: str
    needed: bool = False


def _smplx(gender: str, needed: bool) -> AssetKind:
    stems = (f"SMPLX_{gender.upper()}", f"SMPLX_{gender.upper()}_2020")
    files = tuple(f"{stem}.{ending}" for ending in ("npz", "pkl") for stem in stems)
    return AssetKind(f"SMPL-X {gender}", files, "body", smplx_files.SITE, needed)


def _flame(gender: str, names: tuple[str, ...], needed: bool) -> AssetKind:
    stem = f"FLAME_{gender.upper()}"
    files = (*names, f"{stem}.pkl", f"{stem}.npz")
    return AssetKind(f"FLAME {gender}", files, "head of EHM-s", flame_files.SITE, needed)


_MANO_SITE = "https://mano.is.tue.mpg.de"
_EYELIDS_OWNER = "metrical-tracker, on GitHub (flame/blendshapes)"
_TABLES_OWNER = "FLAME_PyTorch, the repository of FLAME's authors on GitHub"

#: Everything that is looked for, in the order in which it is listed.
ASSETS: tuple[AssetKind, ...] = (
    _smplx("neutral", True),
    _smplx("male", False),
    _smplx("female", False),
    _flame(
        "neutral",
        ("flame2023.pkl", "flame2023.npz", "flame2023_Open.pkl", "generic_model.pkl",
         "generic_model.npz", "FLAME2020.pkl"),
        True,
    ),
    _flame("male", ("male_model.pkl", "male_model.npz"), False),
    _flame("female", ("female_model.pkl", "female_model.npz"), False),
    AssetKind(
        "head correspondence",
        ("SMPL-X__FLAME_vertex_ids.npy",),
        "FLAME's vertices in SMPL-X",
        f"{smplx_files.SITE} (MANO and FLAME vertex indices)",
        True,
    ),
    AssetKind("FLAME landmarks", ("flame_static_embedding.pkl",), "51 face points", _TABLES_OWNER),
    AssetKind("FLAME contour", ("flame_dynamic_embedding.npy",), "jaw line by yaw", _TABLES_OWNER),
    AssetKind("FLAME left eyelid", ("l_eyelid.npy",), "eyelids of PEAR", _EYELIDS_OWNER),
    AssetKind("FLAME right eyelid", ("r_eyelid.npy",), "eyelids of PEAR", _EYELIDS_OWNER),
    AssetKind("FLAME masks", ("FLAME_masks.pkl",), "regions of the head", flame_files.SITE),
    AssetKind("MANO left", ("MANO_LEFT.pkl", "MANO_LEFT.npz"), "hand poses", _MANO_SITE),
    AssetKind("MANO right", ("MANO_RIGHT.pkl", "MANO_RIGHT.npz"), "hand poses", _MANO_SITE),
)  # fmt: skip


def named_folder(given: Path | str | None = None) -> Path | None:
    """The folder of model files, if one is named: the one given, else the environment's.

    Raises FileNotFoundError where what is named is no folder.
    """
    name = given or os.environ.get(MODELS_VARIABLE)
    if not name:
        return None
    folder = Path(name).expanduser()
    if not folder.is_dir():
        origin = "" if given else f" (from {MODELS_VARIABLE})"
        raise MissingFileError(
            f"no folder of body models at {folder}{origin}; name the folder that holds "
            "the files or their sub-folders"
        )
    return folder


def models_folder(given: Path | str | None = None) -> Path:
    """As :func:`named_folder`, but one must be named; PearError where none is."""
    folder = named_folder(given)
    if folder is None:
        raise PearError(
            "no folder of body models named: give --body-models DIR or set "
            f"{MODELS_VARIABLE}; `pear-avatar assets` says which files belong there"
        )
    return folder


def find_asset(folder: Path, kind: AssetKind | str) -> Path | None:
    """The best file of a kind in a folder or the sub-folders where people keep them."""
    if isinstance(kind, str):
        kind = next(a for a in ASSETS if a.name == kind)
    wanted = {name.lower(): rank for rank, name in enumerate(kind.files)}
    found = [
        (wanted[path.name.lower()], len(path.parts), str(path), path)
        for path in _files(folder)
        if path.name.lower() in wanted
    ]
    return min(found)[-1] if found else None


def require_asset(folder: Path, name: str) -> Path:
    """The best file of a kind; MissingFileError says who distributes it where there is none."""
    kind = next(a for a in ASSETS if a.name == name)
    path = find_asset(folder, kind)
    if path is None:
        raise MissingFileError(
            f"no {name} in {folder} ({kind.files[0]} or the like, in it or a sub-folder); "
            f"get it from its owner, {kind.owner}"
        )
    return path


def _files(folder: Path) -> Iterator[Path]:
    """Files of a folder and its sub-folders, not too deep and not too many."""
    level, seen = [folder], 0
    for _ in range(_MAX_DEPTH):
        below: list[Path] = []
        for place in level:
            try:
                entries = sorted(place.iterdir())
            except OSError:
                continue
            for entry in entries:
                seen += 1
                if seen > _MAX_ENTRIES:
                    return
                if entry.is_file():
                    yield entry
                elif entry.is_dir() and entry.name not in _SKIPPED:
                    below.append(entry)
        level = below
