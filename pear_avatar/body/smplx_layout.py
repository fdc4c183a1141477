"""A body in the file layout of SMPL-X, for programs that read SMPL-X models."""

from __future__ import annotations

import numpy as np

from pear_avatar.body.model import BodyModel

__all__ = ["to_smplx_arrays"]

#: Columns of ``shapedirs`` in SMPL-X files: shape first, then expression.
_SHAPE_COLUMNS, _EXPRESSION_COLUMNS = 300, 100


def to_smplx_arrays(body: BodyModel) -> dict[str, np.ndarray]:
    """The arrays of an SMPL-X npz file; save them as ``SMPLX_NEUTRAL.npz``.

    Shape and expression are padded with zero columns, hands have the identity as their basis
    and a flat mean, and the landmark tables point at face 0 (the landmark sets of this body are
    its own). Give ``use_pca=False, flat_hand_mean=True`` to the smplx package.
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
        "lmk_faces_idx": np.zeros(51, np.int64),
        "lmk_bary_coords": np.full((51, 3), 1 / 3),
        "dynamic_lmk_faces_idx": np.zeros((79, 17), np.int64),
        "dynamic_lmk_bary_coords": np.full((79, 17, 3), 1 / 3),
    }
