"""SMPL-X, FLAME and MANO files that a user brings; nothing licensed ships with the package."""

from pear_avatar.body.licensed.face_landmarks import face_contour
from pear_avatar.body.licensed.flame_files import (
    load_flame,
    load_flame_masks,
    load_head_vertices,
)
from pear_avatar.body.licensed.hands import HandPca, load_mano_hand
from pear_avatar.body.licensed.smplx_files import SmplxModel, load_smplx
from pear_avatar.errors import ModelFileError, RefusedPickleError

__all__ = [
    "HandPca",
    "ModelFileError",
    "RefusedPickleError",
    "SmplxModel",
    "face_contour",
    "load_flame",
    "load_flame_masks",
    "load_head_vertices",
    "load_mano_hand",
    "load_smplx",
]
