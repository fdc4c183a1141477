"""What model files a folder holds, whether they are sound, and who distributes what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pear_avatar.body.licensed import (
    load_flame,
    load_flame_masks,
    load_head_vertices,
    load_mano_hand,
    load_smplx,
)
from pear_avatar.body.licensed.find import ASSETS, AssetKind, find_asset
from pear_avatar.body.licensed.flame_files import check_flame_table, load_eyelid
from pear_avatar.errors import PearError, one_line

__all__ = ["Asset", "check_assets", "missing_assets"]

Status = Literal["ok", "missing", "problem"]


@dataclass(frozen=True)
class Asset:
    """One file that was looked for.

    name:    which.
    purpose: what it is for.
    status:  "ok", "missing", or "problem" for a file that cannot be used.
    file:    the file name that it usually goes by.
    path:    where it is; empty where it is missing.
    detail:  what it holds, or what is wrong with it; empty where it is missing.
    owner:   where its owner distributes it.
    needed:  whether SMPL-X with a FLAME head needs it.
    """

    name: str
    purpose: str
    status: Status
    file: str
    path: str
    detail: str
    owner: str
    needed: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def check_assets(folder: Path) -> list[Asset]:
    """Look for every known model file and read those that are there."""
    return [_check(kind, find_asset(folder, kind)) for kind in ASSETS]


def missing_assets() -> list[Asset]:
    """The list without any folder: everything is missing."""
    return [_check(kind, None) for kind in ASSETS]


def _check(kind: AssetKind, path: Path | None) -> Asset:
    status: Status = "missing"
    detail = ""
    if path is not None:
        try:
            status, detail = "ok", _describer(kind.name)(path)
        except (PearError, OSError) as error:
            status, detail = "problem", one_line(error)
    where = "" if path is None else str(path)
    return Asset(
        name=kind.name,
        purpose=kind.purpose,
        status=status,
        file=kind.files[0],
        path=where,
        detail=detail,
        owner=kind.owner,
        needed=kind.needed,
    )


def _describer(name: str) -> Callable[[Path], str]:
    """How to read a kind of file and say what is in it."""
    kind = name.split()[0]
    if kind == "FLAME":
        by_name: dict[str, Callable[[Path], str]] = {
            "FLAME landmarks": _table,
            "FLAME contour": _table,
            "FLAME masks": _masks,
            "FLAME left eyelid": _eyelid,
            "FLAME right eyelid": _eyelid,
        }
        return by_name.get(name, _flame)
    return {"SMPL-X": _smplx, "head": _head, "MANO": _mano}[kind]


def _smplx(path: Path) -> str:
    body = load_smplx(path).body
    return (
        f"{body.num_vertices} vertices, {body.num_joints} joints, {body.num_betas} shape and "
        f"{body.num_expression} expression components"
    )


def _flame(path: Path) -> str:
    head = load_flame(path)
    return (
        f"{head.num_vertices} vertices, {head.num_betas} shape and {head.num_expression} "
        "expression components"
    )


def _table(path: Path) -> str:
    return f"{check_flame_table(path)} points"


def _masks(path: Path) -> str:
    return f"{len(load_flame_masks(path))} regions"


def _eyelid(path: Path) -> str:
    moved = load_eyelid(path).norm(dim=-1)
    return f"moves {int((moved > 0).sum())} vertices by up to {1e3 * float(moved.max()):.1f} mm"


def _head(path: Path) -> str:
    return f"{len(load_head_vertices(path))} vertices"


def _mano(path: Path) -> str:
    return f"{len(load_mano_hand(path).components)} components"
