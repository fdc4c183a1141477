"""A body in the file layout of SMPL-X, for programs that read SMPL-X models."""

from __future__ import annotations

import numpy as np

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.model import BodyModel
from pear_avatar.geometry.surface import closest_on_surface

__all__ = ["ibug_tables", "to_smplx_arrays"]

#: Columns of ``shapedirs`` in SMPL-X files: shape first, then expression.
_SHAPE_COLUMNS, _EXPRESSION_COLUMNS = 300, 100

_SET, _FIRST, _CONTOUR, _STATIC = "wholebody133", 23, 17, 51
_YAWS, _MAX_YAW = 79, 39
#: How far the outline of the cheek turns with the head, as a share of its yaw.
_SLIDES = 0.5


def to_smplx_arrays(body: BodyModel) -> dict[str, np.ndarray]:
    """The arrays of an SMPL-X npz file; save them as ``SMPLX_NEUTRAL.npz``.

    Shape and expression are padded with zero columns, hands have the identity as their basis
    and a flat mean; the face landmarks are this body's own iBUG points. The vertices keep their
    order, so numbers that other programs know by heart (finger tips, toes) mean nothing. Give
    ``use_pca=False, flat_hand_mean=True`` to the smplx package.
    """
    v, j = body.num_vertices, body.num_joints
    for name, count, room in (
        ("shape", body.num_betas, _SHAPE_COLUMNS),
        ("expression", body.num_expression, _EXPRESSION_COLUMNS),
    ):
        if count > room:
            raise ValueError(f"SMPL-X files hold {room} {name} columns, this body has {count}")
    shape_dirs = np.zeros((v, 3, _SHAPE_COLUMNS + _EXPRESSION_COLUMNS))
    shape_dirs[..., : body.num_betas] = body.shape_dirs.double().numpy()
    expression = slice(_SHAPE_COLUMNS, _SHAPE_COLUMNS + body.num_expression)
    shape_dirs[..., expression] = body.expression_dirs.double().numpy()
    num_pose = 9 * (j - 1)
    pose_dirs = np.zeros((v, 3, num_pose))
    if body.pose_dirs is not None:
        pose_dirs = body.pose_dirs.double().numpy()
    regressor = np.zeros((j, v))
    rows = np.arange(j)[:, None]
    np.add.at(regressor, (rows, body.joint_index.numpy()), body.joint_weight.double().numpy())
    root = 2**32 - 1  # SMPL files write the root's missing parent as an unsigned -1
    return {
        "v_template": body.v_template.double().numpy(),
        "f": body.faces.numpy().astype(np.uint32),
        "shapedirs": shape_dirs,
        "posedirs": pose_dirs,
        "J_regressor": regressor,
        "weights": body.skin_weights_t.T.double().numpy(),
        "kintree_table": np.array([[root, *body.parents[1:]], range(j)], dtype=np.int64),
        "hands_meanl": np.zeros(45),
        "hands_meanr": np.zeros(45),
        "hands_componentsl": np.eye(45),
        "hands_componentsr": np.eye(45),
        **ibug_tables(body, body.v_template.double().numpy(), body.faces.numpy()),
    }


def ibug_tables(body: BodyModel, vertices: np.ndarray, faces: np.ndarray) -> dict[str, np.ndarray]:
    """SMPL-X's tables of the 51 fixed face landmarks and of the jaw line over 79 yaws.

    Args:
        body: whose whole-body landmarks hold the 68 iBUG points; without that set the tables
            point at face 0.
        vertices, faces: the mesh on which the points are to lie, (V, 3) and (F, 3).
    """
    if _SET not in body.landmark_sets:
        places = np.zeros(_STATIC + _YAWS * _CONTOUR, np.int64)
        weights = np.full((len(places), 3), 1 / 3)
    else:
        marks = body.landmark_set(_SET).gather(body.joint_template, body.v_template)
        every = marks.double().numpy()[_FIRST : _FIRST + _CONTOUR + _STATIC]
        axis = body.joint_template[JOINT_INDEX["head"]].double().numpy()
        points = [every[_CONTOUR:]]
        for row in range(_YAWS):
            yaw = np.radians(-row if row <= _MAX_YAW else row - _MAX_YAW)
            points.append((every[:_CONTOUR] - axis) @ _about_y(_SLIDES * yaw).T + axis)
        found = closest_on_surface(np.concatenate(points), vertices, faces)
        places, weights = found.face, found.barycentric
    return {
        "lmk_faces_idx": places[:_STATIC],
        "lmk_bary_coords": weights[:_STATIC],
        "dynamic_lmk_faces_idx": places[_STATIC:].reshape(_YAWS, _CONTOUR),
        "dynamic_lmk_bary_coords": weights[_STATIC:].reshape(_YAWS, _CONTOUR, 3),
    }


def _about_y(angle: float) -> np.ndarray:
    """The turn that carries the outline against the head's: it stays on the viewer's side."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0.0, -s], [0.0, 1.0, 0.0], [s, 0.0, c]])
