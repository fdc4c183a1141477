"""The arrays that SMPL-X and FLAME files share -> :class:`BodyModel`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.landmarks import LandmarkSet
from pear_avatar.body.licensed.model_files import ModelFile
from pear_avatar.body.model import BodyModel
from pear_avatar.body.skinning import KinematicTree

__all__ = ["BlendedBody", "blended_body", "read_blended_body"]

#: Columns of ``shapedirs``: shape, then expression; old releases hold ten of each.
_SHAPE, _EXPRESSION = 300, 100
_OLD_SHAPE, _OLD_EXPRESSION = 10, 10
_SUM_TOLERANCE = 1e-2


@dataclass(frozen=True)
class BlendedBody:
    """What a linear-blend-skinned model file says, float64.

    v_template (V, 3); faces (F, 3); shape_dirs (V, 3, S); expression_dirs (V, 3, E);
    pose_dirs (V, 3, 9 (J - 1)); regressor (J, V); weights (V, J); parents length J, -1 for the
    root; uv (T, 2) and uv_faces (F, 3), or None.
    """

    v_template: np.ndarray
    faces: np.ndarray
    shape_dirs: np.ndarray
    expression_dirs: np.ndarray
    pose_dirs: np.ndarray
    regressor: np.ndarray
    weights: np.ndarray
    parents: tuple[int, ...]
    uv: np.ndarray | None
    uv_faces: np.ndarray | None


def read_blended_body(
    file: ModelFile, vertices: int, faces: int, parents: tuple[int, ...]
) -> BlendedBody:
    """Read and check the shared arrays of a file with these sizes and this skeleton."""
    joints = len(parents)
    triangles = file.integers("f", (faces, 3), vertices)
    shape_dirs, expression_dirs = _split_dirs(file, vertices)
    regressor = file.real("J_regressor", (joints, vertices))
    weights = file.real("weights", (vertices, joints))
    for key, values in (("J_regressor", regressor), ("weights", weights)):
        sums = values.sum(-1)
        if np.abs(sums - 1).max() > _SUM_TOLERANCE:
            raise file.wrong(
                key, f"rows must sum to 1, found sums in [{sums.min():.4g}, {sums.max():.4g}]"
            )
    found = file.integers("kintree_table", (2, joints))[0]
    if tuple(found[1:].tolist()) != parents[1:]:
        raise file.wrong("kintree_table", f"names the parents {found.tolist()}, not {parents}")
    uv, uv_faces = None, None
    if "vt" in file and "ft" in file:
        uv = file.real("vt", ("T", 2))
        uv_faces = file.integers("ft", (faces, 3), len(uv))
    return BlendedBody(
        v_template=file.real("v_template", (vertices, 3)),
        faces=triangles,
        shape_dirs=shape_dirs,
        expression_dirs=expression_dirs,
        pose_dirs=file.real("posedirs", (vertices, 3, 9 * (joints - 1))),
        regressor=regressor,
        weights=weights,
        parents=parents,
        uv=uv,
        uv_faces=uv_faces,
    )


def _split_dirs(file: ModelFile, vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3, S) shape and (V, 3, E) expression directions of any published layout."""
    dirs = file.real("shapedirs", (vertices, 3, "columns"))
    columns = dirs.shape[-1]
    if columns >= _SHAPE + _EXPRESSION:
        start, stop = _SHAPE, _SHAPE + _EXPRESSION
    elif columns == _OLD_SHAPE + _OLD_EXPRESSION:
        start, stop = _OLD_SHAPE, columns
    elif columns == _OLD_SHAPE:
        start, stop = columns, columns
    else:
        raise file.wrong(
            "shapedirs",
            f"must have {_SHAPE + _EXPRESSION} columns (300 shape, 100 expression), 20 (10 and "
            f"10) or 10 (shape alone), found {columns}",
        )
    return dirs[..., :start], dirs[..., start:stop]


def blended_body(
    raw: BlendedBody, landmark_sets: dict[str, LandmarkSet], part_name: str
) -> BodyModel:
    """A body with one part, no facial actions and no eyelids: what the file itself can say."""
    vertices, joints = len(raw.v_template), len(raw.parents)
    joint_index, joint_weight = _sparse_rows(raw.regressor)
    skin_joints, skin_weights = _sparse_rows(raw.weights)

    def regress(values: np.ndarray) -> Tensor:
        product = raw.regressor @ values.reshape(vertices, -1)
        return _real(product.reshape(joints, *values.shape[1:]))

    uv, uv_faces = raw.uv, raw.uv_faces
    if uv is None or uv_faces is None:
        uv, uv_faces = front_and_back_uv(raw.v_template, raw.faces)
    expressions = raw.expression_dirs.shape[-1]
    return BodyModel(
        v_template=_real(raw.v_template),
        faces=torch.from_numpy(raw.faces),
        shape_dirs=_real(raw.shape_dirs),
        expression_dirs=_real(raw.expression_dirs),
        pose_dirs=_real(raw.pose_dirs),
        skin_joints=skin_joints,
        skin_weights=skin_weights,
        tree=KinematicTree.from_parents(raw.parents),
        joint_index=joint_index,
        joint_weight=joint_weight,
        joint_template=regress(raw.v_template),
        joint_shape_dirs=regress(raw.shape_dirs),
        joint_expression_dirs=regress(raw.expression_dirs),
        uv=_real(uv),
        uv_faces=torch.from_numpy(uv_faces),
        part_names=(part_name,),
        face_part=torch.zeros(len(raw.faces), dtype=torch.int64),
        eyelid_dirs=torch.zeros(vertices, 3, 2),
        arkit_names=(),
        arkit_coef=torch.zeros(0, expressions),
        arkit_pose=torch.zeros(0, 9),
        scalp=torch.zeros(vertices, dtype=torch.bool),
        landmark_sets=landmark_sets,
    )


def front_and_back_uv(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(2 V, 2) and (F, 3): a plain atlas for files without one.

    The left half of the square holds the body seen from the front, the right half from behind.
    """
    a, b, c = vertices[faces].transpose(1, 0, 2)
    behind = np.cross(b - a, c - a)[:, 2] < 0
    low, high = vertices[:, :2].min(0), vertices[:, :2].max(0)
    plane = 0.01 + 0.98 * (vertices[:, :2] - low) / np.maximum(high - low, 1e-9)
    uv = np.concatenate([plane * [0.5, 1.0], plane * [0.5, 1.0] + [0.5, 0.0]])
    return uv, faces + len(vertices) * behind[:, None]


def _sparse_rows(matrix: np.ndarray) -> tuple[Tensor, Tensor]:
    """(R, C) -> column indices and values (R, K), K the most non-zeros a row has."""
    used = matrix != 0
    width = max(1, int(used.sum(1).max()))
    order = np.argsort(~used, axis=1, kind="stable")[:, :width]
    values = np.take_along_axis(matrix, order, 1)
    return torch.from_numpy(np.where(values != 0, order, 0)), _real(values)


def _real(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
