"""Writing the stand-in files into the sub-folders where people keep the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pear_avatar.body.model import BodyModel
from pear_avatar.body.open_body import load_body
from standins.mesh import StandinMesh, make_mesh
from standins.models import (
    flame_arrays,
    flame_masks,
    mano_arrays,
    smplx_arrays,
)
from standins.python2_pickle import dump_python2
from standins.smplx_layout import ibug_tables

__all__ = ["write_standins"]


def write_standins(folder: Path | str, body: BodyModel | None = None) -> Path:
    """Write stand-ins for SMPL-X (neutral), FLAME, MANO and what belongs to them.

    Args:
        folder: where the sub-folders ``smplx``, ``flame`` and ``mano`` are made.
        body: the body they are made from; None means the open body. Another template in the
            open body's layout (say, one person's) gives stand-ins of that shape.

    Returns:
        The folder. The same body always gives the same bytes.
    """
    folder = Path(folder)
    body = load_body() if body is None else body
    mesh = make_mesh(body)
    for name in ("smplx", "flame", "mano"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _write_smplx(folder / "smplx", body, mesh)
    _write_flame(folder / "flame", body, mesh)
    for side in ("left", "right"):
        path = folder / "mano" / f"MANO_{side.upper()}.pkl"
        path.write_bytes(dump_python2(mano_arrays(body, mesh, side)))
    return folder


def _write_smplx(folder: Path, body: BodyModel, mesh: StandinMesh) -> None:
    np.savez(folder / "SMPLX_NEUTRAL.npz", **smplx_arrays(body, mesh))
    np.save(folder / "SMPL-X__FLAME_vertex_ids.npy", mesh.head)


def _write_flame(folder: Path, body: BodyModel, mesh: StandinMesh) -> None:
    arrays = flame_arrays(body, mesh)
    (folder / "generic_model.pkl").write_bytes(dump_python2(arrays))
    (folder / "FLAME_masks.pkl").write_bytes(dump_python2(flame_masks(body, mesh)))
    points = body.v_template.double().numpy()[mesh.vertex[mesh.head]]
    tables = ibug_tables(body, points, mesh.head_faces)
    static = {
        "lmk_face_idx": tables["lmk_faces_idx"].astype(np.uint32),
        "lmk_b_coords": tables["lmk_bary_coords"],
    }
    (folder / "flame_static_embedding.pkl").write_bytes(dump_python2(static))
    contour = {
        "lmk_face_idx": tables["dynamic_lmk_faces_idx"],
        "lmk_b_coords": tables["dynamic_lmk_bary_coords"],
    }
    np.save(folder / "flame_dynamic_embedding.npy", np.array(contour, dtype=object))
