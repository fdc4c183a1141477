"""Which body to work with: the open one, or licensed files of the user's own.

Licensed files are looked for in an explicit folder or the one that the environment variable
``PEAR_AVATAR_BODY_MODELS`` names. What a fit needs and they lack is carried over from the open
body (:mod:`pear_avatar.body.transfer`), once for each process.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from pear_avatar.body.ehm import EhmModel, Variant, open_ehm
from pear_avatar.body.licensed.find import find_asset, models_folder, require_asset
from pear_avatar.body.licensed.flame_files import (
    load_eyelid,
    load_flame,
    load_flame_masks,
    load_head_vertices,
)
from pear_avatar.body.licensed.hands import HandPca, load_mano_hand
from pear_avatar.body.licensed.known import known_sets
from pear_avatar.body.licensed.smplx_files import load_smplx
from pear_avatar.body.model import BodyModel
from pear_avatar.body.open_body import load_body
from pear_avatar.body.transfer import Transfer, complete_body, complete_head
from pear_avatar.choices import BodyName, Convention, Gender
from pear_avatar.errors import ConfigError

__all__ = [
    "BodyName",
    "BodySource",
    "Gender",
    "load_ehm",
    "load_hands",
    "load_licensed_body",
    "load_licensed_head",
]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class BodySource:
    """Where a body comes from.

    name:       the body; a string such as "smplx" becomes a :class:`BodyName`.
    models_dir: folder of licensed files; None means the environment's.
    gender:     which of the licensed files.
    convention: how its head and hands join it.
    """

    name: BodyName = BodyName.OPEN
    models_dir: Path | None = None
    gender: Gender = "neutral"
    convention: Convention = "eased"

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "name", BodyName(self.name))
        except ValueError:
            known = ", ".join(body.value for body in BodyName)
            raise ConfigError(f"unknown body {str(self.name)!r}: choose from {known}") from None
        if self.gender not in get_args(Gender):
            known = ", ".join(get_args(Gender))
            raise ConfigError(f"unknown gender {self.gender!r}: choose from {known}")
        if self.convention not in get_args(Convention):
            known = ", ".join(get_args(Convention))
            raise ConfigError(f"unknown convention {self.convention!r}: choose from {known}")

    def folder(self) -> Path:
        """The folder of licensed files; raises where none is named or it does not exist."""
        return models_folder(self.models_dir)


def load_ehm(source: BodySource | None = None, variant: Variant | None = None) -> EhmModel:
    """The body with its head model; read once for each source, then shared (float32, CPU).

    Args:
        source: which body, and in which convention.
        variant: which of its head's vertices are the head model's; "pear" by default.

    The open body has its own head. SMPL-X takes FLAME's where FLAME and its correspondence lie
    in the folder, and a head cut from SMPL-X itself where they do not.

    Raises:
        FileNotFoundError: a file is missing; the message says where its owner distributes it.
        ModelFileError: a file is not what it should be.
    """
    source = source or BodySource()
    folder = None if source.name.is_open else source.folder().resolve()
    return _joined(folder, source.gender, source.convention, variant)


def load_licensed_body(source: BodySource) -> BodyModel:
    """SMPL-X with everything that a fit needs; shared like :func:`load_ehm`."""
    return _complete_licensed_body(require_asset(source.folder(), f"SMPL-X {source.gender}")).body


def load_licensed_head(source: BodySource) -> tuple[BodyModel, Tensor]:
    """FLAME with eyelids and facial actions, and (5023,) its vertices in SMPL-X."""
    folder = source.folder()
    body = _complete_licensed_body(require_asset(folder, f"SMPL-X {source.gender}"))
    vertices = load_head_vertices(require_asset(folder, "head correspondence"))
    path = find_asset(folder, f"FLAME {source.gender}")
    path = path or require_asset(folder, "FLAME neutral")
    static = find_asset(folder, "FLAME landmarks")
    head = load_flame(path, static.parent if static else None)
    head = complete_head(body, head, vertices)
    lids = [find_asset(folder, f"FLAME {side} eyelid") for side in ("left", "right")]
    left, right = lids
    if left is None or right is None:
        _LOG.warning(
            "no l_eyelid.npy and r_eyelid.npy in %s: FLAME's eyelids are carried over from the "
            "open body, another basis than that of networks trained with these files",
            folder,
        )
        return head, vertices
    dirs = torch.stack([load_eyelid(left), load_eyelid(right)], dim=-1)
    return replace(head, eyelid_dirs=dirs.to(head.eyelid_dirs)), vertices


def load_hands(source: BodySource) -> tuple[HandPca, HandPca]:
    """Left and right hand poses: SMPL-X's own tables, else those of separate MANO files."""
    folder = source.folder()
    path = find_asset(folder, f"SMPL-X {source.gender}")
    if path is not None:
        model = load_smplx(path)
        return model.left_hand, model.right_hand
    left, right = (require_asset(folder, f"MANO {side}") for side in ("left", "right"))
    return load_mano_hand(left), load_mano_hand(right)


@lru_cache(maxsize=4)
def _joined(
    folder: Path | None, gender: Gender, convention: Convention, variant: Variant | None
) -> EhmModel:
    ehm = _open_ehm() if folder is None else _smplx_ehm(folder, gender)
    return ehm.in_convention(convention, variant)


@lru_cache(maxsize=1)
def _open_ehm() -> EhmModel:
    return open_ehm(load_body())


@lru_cache(maxsize=4)
def _smplx_ehm(folder: Path, gender: Gender) -> EhmModel:
    source = BodySource(BodyName.SMPLX, folder, gender)
    body = load_licensed_body(source)
    lacking = [n for n in ("FLAME neutral", "head correspondence") if not find_asset(folder, n)]
    if lacking:
        _LOG.warning(
            "%s not in %s: the head is cut from SMPL-X (see `pear-avatar assets`)",
            " and ".join(lacking),
            folder,
        )
        return open_ehm(body)
    head, vertices = load_licensed_head(source)
    return EhmModel.build(body, head, vertices, neck=_neck(folder))


@lru_cache(maxsize=4)
def _complete_licensed_body(path: Path) -> Transfer:
    source, model = load_body(), load_smplx(path)
    return complete_body(source, model.body, known_sets(source, model.body))


def _neck(folder: Path) -> Tensor | None:
    """Rows of FLAME that the body keeps, by its owner's regions; None without their file."""
    path = find_asset(folder, "FLAME masks")
    if path is None:
        return None
    masks = load_flame_masks(path)
    kept = [masks[name] for name in ("neck", "boundary") if name in masks]
    return torch.cat(kept).unique() if kept else None
