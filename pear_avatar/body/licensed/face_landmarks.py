"""FLAME's face landmarks: 51 fixed points and a jaw line that slides with the head's yaw.

Both are points on triangles. The jaw line is a table over 79 yaws, 0 to 39 degrees one way and
1 to 39 the other: seen from the side, the outline of the cheek lies elsewhere on the skin.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.landmarks import LandmarkSet
from pear_avatar.body.licensed.model_files import ModelFile
from pear_avatar.body.model import PosedBody

__all__ = [
    "CONTOUR_SET",
    "FLAME_NECK_CHAIN",
    "SMPLX_NECK_CHAIN",
    "STATIC_SET",
    "contour_rows",
    "face_contour",
    "surface_set",
    "table_sets",
]

STATIC_SET = "ibug51"
CONTOUR_SET = "ibug_contour"
_STATIC, _YAWS, _CONTOUR = 51, 79, 17
_MAX_YAW = 39

#: From the head's joint that counts down to the root.
SMPLX_NECK_CHAIN: tuple[int, ...] = (12, 9, 6, 3, 0)
FLAME_NECK_CHAIN: tuple[int, ...] = (1, 0)

#: Expected distance of an annotated point from the place on the model, metres.
_SIGMA = 0.005


def surface_set(
    faces: np.ndarray, face: np.ndarray, barycentric: np.ndarray, joints: int
) -> LandmarkSet:
    """Landmarks on triangles: face (L,), barycentric (L, 3), after ``joints`` joints."""
    return LandmarkSet(
        torch.from_numpy(faces[face] + joints),
        torch.from_numpy(barycentric).float(),
        torch.full((len(face),), _SIGMA),
    )


def table_sets(
    file: ModelFile, faces: np.ndarray, joints: int, keys: dict[str, tuple[str, str]]
) -> dict[str, LandmarkSet]:
    """The landmark sets of a file; ``keys``: set name -> (key of triangles, of barycentrics)."""
    sets = {}
    for name, (face_key, weight_key) in keys.items():
        shape = (_STATIC,) if name == STATIC_SET else (_YAWS, _CONTOUR)
        face = file.integers(face_key, shape, len(faces)).reshape(-1)
        weight = file.real(weight_key, (*shape, 3)).reshape(-1, 3)
        sums = weight.sum(-1)
        if np.abs(sums - 1).max() > 1e-2:
            raise file.wrong(weight_key, f"rows must sum to 1, found up to {sums.max():.4g}")
        sets[name] = surface_set(faces, face, weight, joints)
    return sets


def contour_rows(rotations: Tensor, chain: tuple[int, ...] = SMPLX_NECK_CHAIN) -> Tensor:
    """(*B, J, 3, 3) local rotations -> (*B,) rows of the contour table.

    Rows 0 to 39 are yaws of 0 to -39 degrees about y and rows 40 to 78 are 1 to 39 degrees;
    farther turns take the last row of their side.
    """
    world = rotations[..., chain[0], :, :]
    for joint in chain[1:]:
        world = rotations[..., joint, :, :] @ world
    side = torch.hypot(world[..., 0, 0], world[..., 1, 0])
    yaw = torch.atan2(-world[..., 2, 0], side)
    degrees = torch.round((-torch.rad2deg(yaw)).clamp(max=_MAX_YAW)).long()
    return torch.where(degrees < 0, (_MAX_YAW - degrees).clamp(max=_YAWS - 1), degrees)


def face_contour(posed: PosedBody, chain: tuple[int, ...] = SMPLX_NECK_CHAIN) -> Tensor:
    """(*B, 17, 3) metres: the jaw line as seen from +z at the body's present head yaw.

    ``chain`` lists the joints whose rotations turn the head. FLAME's authors count neck and
    root (:data:`FLAME_NECK_CHAIN`); the smplx package counts only FLAME's root, ``(0,)``.
    """
    table = posed.landmarks(CONTOUR_SET).unflatten(-2, (_YAWS, _CONTOUR))
    rows = contour_rows(posed.rotations, chain).expand(table.shape[:-3])
    index = rows[..., None, None, None].expand(*rows.shape, 1, _CONTOUR, 3)
    return table.gather(-3, index).squeeze(-3)
