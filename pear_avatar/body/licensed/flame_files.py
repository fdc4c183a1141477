"""FLAME model files (2020 and 2023), their landmark tables, and their place in SMPL-X."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.landmarks import LandmarkSet
from pear_avatar.body.licensed import smplx_files
from pear_avatar.body.licensed.assemble_body import blended_body, read_blended_body
from pear_avatar.body.licensed.face_landmarks import CONTOUR_SET, STATIC_SET, table_sets
from pear_avatar.body.licensed.model_files import ModelFile, open_model_file
from pear_avatar.body.model import BodyModel
from pear_avatar.errors import ModelFileError

__all__ = [
    "JOINT_NAMES",
    "NUM_FACES",
    "NUM_VERTICES",
    "PARENTS",
    "SITE",
    "check_flame_table",
    "load_eyelid",
    "load_flame",
    "load_flame_masks",
    "load_head_vertices",
]

SITE = "https://flame.is.tue.mpg.de"
NUM_VERTICES, NUM_FACES = 5023, 9976
JOINT_NAMES: tuple[str, ...] = ("root", "neck", "jaw", "left_eye", "right_eye")
PARENTS: tuple[int, ...] = (-1, 0, 1, 1, 1)
_REMEDY = f"get FLAME 2020 (generic_model.pkl) or FLAME 2023 from its owner, {SITE}"
_TABLE_REMEDY = "get it from FLAME_PyTorch, the repository of FLAME's authors"
_IDS_REMEDY = f"get SMPL-X__FLAME_vertex_ids.npy from {smplx_files.SITE} (MANO and FLAME indices)"

#: Landmark tables beside a model: file name, and the set that it gives.
_TABLES = (
    ("flame_static_embedding.pkl", STATIC_SET),
    ("flame_dynamic_embedding.npy", CONTOUR_SET),
)


def load_flame(path: Path | str, tables: Path | str | None = None) -> BodyModel:
    """Read a FLAME file: pkl (with or without chumpy arrays) or npz.

    Args:
        path: the model.
        tables: folder of ``flame_static_embedding.pkl`` and ``flame_dynamic_embedding.npy``;
            None means the model's own. A table that is not there is left out.

    Returns:
        A body of FLAME's 5 joints in :data:`JOINT_NAMES`' order, 5023 vertices.

    Raises:
        FileNotFoundError: there is no such model.
        ModelFileError: a file is not what it should be; the message names file, key and remedy.
    """
    file = open_model_file(path, _REMEDY)
    raw = read_blended_body(file, NUM_VERTICES, NUM_FACES, PARENTS)
    sets = _tables_on(Path(tables) if tables is not None else file.path.parent, raw.faces)
    return blended_body(raw, sets, "head")


def check_flame_table(path: Path | str) -> int:
    """The number of points in one of FLAME's landmark tables, checked without a model."""
    anything = np.zeros((NUM_FACES, 3), np.int64)
    name = dict(_TABLES)[Path(path).name]
    return _tables_on(Path(path).parent, anything)[name].count


def _tables_on(folder: Path, faces: np.ndarray) -> dict[str, LandmarkSet]:
    """The landmark tables in a folder, on these faces."""
    sets: dict[str, LandmarkSet] = {}
    for name, set_name in _TABLES:
        if (folder / name).is_file():
            table = open_model_file(folder / name, _TABLE_REMEDY)
            keys = {set_name: ("lmk_face_idx", "lmk_b_coords")}
            sets.update(table_sets(table, faces, len(PARENTS), keys))
    return sets


def load_head_vertices(path: Path | str) -> Tensor:
    """(5023,) int64: FLAME's vertices among SMPL-X's, from ``SMPL-X__FLAME_vertex_ids.npy``."""
    file = open_model_file(path, _IDS_REMEDY)
    ids = file.integers("array", (NUM_VERTICES,), smplx_files.NUM_VERTICES)
    if len(np.unique(ids)) != NUM_VERTICES:
        raise ModelFileError(f"{file.path}: names some vertices twice; {_IDS_REMEDY}")
    return torch.from_numpy(ids)


def load_eyelid(path: Path | str) -> Tensor:
    """(5023, 3) metres by which one lid moves when it closes, from ``l_eyelid.npy`` or its twin."""
    file = open_model_file(path, "copy it again from where it is distributed")
    return torch.from_numpy(file.real("array", (NUM_VERTICES, 3)))


def load_flame_masks(path: Path | str) -> dict[str, Tensor]:
    """The regions in ``FLAME_masks.pkl``: name -> int64 vertex indices."""
    file = open_model_file(path, f"get FLAME_masks.pkl from {SITE}")
    return {key: torch.from_numpy(_region(file, key)) for key in file.keys}


def _region(file: ModelFile, key: str) -> np.ndarray:
    file.sizes.clear()  # regions differ in size
    return file.integers(key, ("N",), NUM_VERTICES)
