"""Stand-ins for SMPL-X, FLAME and MANO files: their keys, shapes and types, open geometry."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS, PARENTS
from pear_avatar.body.licensed import flame_files
from pear_avatar.body.model import BodyModel
from standins.fields import local_pose_dirs, waves
from standins.mesh import StandinMesh
from standins.python2_pickle import Chumpy
from standins.reduce import boundary_loops
from standins.smplx_layout import ibug_tables

__all__ = [
    "flame_arrays",
    "flame_masks",
    "hand_tables",
    "mano_arrays",
    "smplx_arrays",
]

_SHAPE, _EXPRESSION = 300, 100
_SHAPE_WAVE, _EXPRESSION_WAVE = 3e-4, 2e-4
_ROOT = 2**32 - 1  # the root's missing parent, as SMPL files write it
_HEAD_JOINTS = ("neck", "head", "jaw", "left_eye", "right_eye")
#: Where FLAME's template lies: its origin is inside the head.
_FLAME_ORIGIN = np.array([0.0, 0.02, 0.01])


def smplx_arrays(body: BodyModel, mesh: StandinMesh) -> dict[str, np.ndarray]:
    """The arrays of ``SMPLX_NEUTRAL.npz``, float64, the object entries of the real one included."""
    points = _rows(body.v_template, mesh.vertex)
    weights = body.skin_weights_t.double().numpy().T[mesh.vertex]
    left, right = hand_tables("left"), hand_tables("right")
    uv = _rows(_vertex_uv(body), mesh.vertex)
    return {
        "v_template": points,
        "f": mesh.faces.astype(np.uint32),
        "shapedirs": _padded_dirs(body, mesh.vertex, points, _head_weight(weights)),
        "posedirs": local_pose_dirs(points, weights, PARENTS, seed=1),
        "J_regressor": _regressor(body, mesh.vertex),
        "weights": weights,
        "kintree_table": _kintree(PARENTS),
        "hands_meanl": left["hands_mean"],
        "hands_meanr": right["hands_mean"],
        "hands_componentsl": left["hands_components"],
        "hands_componentsr": right["hands_components"],
        "hands_coeffsl": left["hands_coeffs"],
        "hands_coeffsr": right["hands_coeffs"],
        **ibug_tables(body, points, mesh.faces),
        "vt": np.concatenate([uv, uv[: 11313 - len(uv)]]),
        "ft": mesh.faces.astype(np.int64),
        "joint2num": np.array({"Pelvis": 0, "L_Hip": 1}, dtype=object),
        "part2num": np.array({"rightHand": 21, "leftHand": 20}, dtype=object),
    }


def flame_arrays(body: BodyModel, mesh: StandinMesh) -> dict[str, Any]:
    """The arrays of FLAME's ``generic_model.pkl``, chumpy arrays where it has them."""
    chosen = mesh.vertex[mesh.head]
    points = _rows(body.v_template, chosen)
    eyes = body.joint_template[[JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"]]]
    origin = eyes.double().numpy().mean(0) - _FLAME_ORIGIN
    all_weights = body.skin_weights_t.double().numpy().T[chosen]
    weights = all_weights[:, [JOINT_INDEX[n] for n in _HEAD_JOINTS]]
    weights[:, 0] = 1 - weights[:, 1:].sum(1)
    dirs = _padded_dirs(body, chosen, points, np.ones(len(chosen)))
    eye_dirs = body.joint_shape_dirs[[JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"]]].mean(0)
    dirs[..., : body.num_betas] -= eye_dirs.double().numpy()
    regressor = _regressor(body, chosen)[[JOINT_INDEX[n] for n in _HEAD_JOINTS]]
    regressor /= regressor.sum(1, keepdims=True)
    parents = flame_files.PARENTS
    return {
        "v_template": Chumpy(points - origin),
        "f": mesh.head_faces.astype(np.uint32),
        "shapedirs": Chumpy(dirs),
        "posedirs": local_pose_dirs(points, weights, parents, seed=2),
        "J_regressor": sparse.csc_matrix(regressor),
        "J": regressor @ (points - origin),
        "weights": Chumpy(weights),
        "kintree_table": _kintree(parents),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def flame_masks(body: BodyModel, mesh: StandinMesh) -> dict[str, np.ndarray]:
    """Some regions of ``FLAME_masks.pkl``: name -> vertices."""
    chosen = mesh.vertex[mesh.head]
    weights = body.skin_weights_t.double().numpy().T[chosen]
    rim = np.concatenate(boundary_loops(mesh.head_faces))
    scalp = body.scalp.numpy()[chosen]
    regions = {
        "neck": weights[:, JOINT_INDEX["neck"]] > 0.5,
        "boundary": np.isin(np.arange(len(chosen)), rim),
        "left_eyeball": weights[:, JOINT_INDEX["left_eye"]] > 0.5,
        "right_eyeball": weights[:, JOINT_INDEX["right_eye"]] > 0.5,
        "scalp": scalp,
        "face": (_head_weight(weights) > 0.5) & ~scalp,
    }
    return {name: np.nonzero(mask)[0] for name, mask in regions.items()}


def mano_arrays(body: BodyModel, mesh: StandinMesh, side: str) -> dict[str, Any]:
    """The arrays of ``MANO_LEFT.pkl`` or ``MANO_RIGHT.pkl``."""
    chosen = mesh.hands[side]
    points = _rows(body.v_template, chosen)
    # MANO: the wrist, then index, middle, pinky, ring and thumb, as in SMPL-X.
    start = JOINT_INDEX[f"{side}_index1"]
    joints = [JOINT_INDEX[f"{side}_wrist"], *range(start, start + 15)]
    weights = body.skin_weights_t.double().numpy().T[chosen][:, joints]
    weights[:, 0] = 1 - weights[:, 1:].sum(1)
    parents = (-1, *(0 if k % 3 == 0 else k for k in range(15)))
    regressor = _nearest_regressor(points, body.joint_template.double().numpy()[joints])
    return {
        **hand_tables(side),
        "v_template": points,
        "f": mesh.hand_faces[side].astype(np.uint32),
        "shapedirs": Chumpy(_rows(body.shape_dirs, chosen)[..., :10]),
        "posedirs": local_pose_dirs(points, weights, parents, seed=3),
        "J_regressor": sparse.csc_matrix(regressor),
        "J": regressor @ points,
        "weights": weights,
        "kintree_table": _kintree(parents),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def hand_tables(side: str) -> dict[str, np.ndarray]:
    """Mean (45,), components (45, 45) and example coefficients of one hand.

    The mean is a relaxed curl; the right hand mirrors the left, as in MANO.
    """
    rng = np.random.default_rng(45)
    mean = rng.normal(0, 0.05, (15, 3))
    mean[:12, 2] -= 0.25  # fingers curl about z in the T-pose of the left hand
    basis = np.linalg.qr(rng.normal(size=(45, 45)))[0].reshape(45, 15, 3)
    if side == "right":
        mean, basis = mean * [1, -1, -1], basis * [1, -1, -1]
    coeffs = rng.normal(size=(100, 45))
    return {
        "hands_mean": mean.reshape(45),
        "hands_components": basis.reshape(45, 45),
        "hands_coeffs": coeffs,
    }


def _rows(values: Any, index: np.ndarray) -> np.ndarray:
    return np.asarray(values.double().numpy()[index])


def _head_weight(weights: np.ndarray) -> np.ndarray:
    return np.asarray(weights[:, [JOINT_INDEX[n] for n in _HEAD_JOINTS[1:]]].sum(1))


def _padded_dirs(
    body: BodyModel, chosen: np.ndarray, points: np.ndarray, head: np.ndarray
) -> np.ndarray:
    """(V, 3, 400): the open body's columns exactly, then small waves."""
    shape, expression = _rows(body.shape_dirs, chosen), _rows(body.expression_dirs, chosen)
    more_shape = waves(points, _SHAPE - shape.shape[-1], _SHAPE_WAVE, seed=4)
    more = waves(points, _EXPRESSION - expression.shape[-1], _EXPRESSION_WAVE, seed=5)
    return np.concatenate([shape, more_shape, expression, more * head[:, None, None]], axis=-1)


def _regressor(body: BodyModel, chosen: np.ndarray) -> np.ndarray:
    """(55, V) the open body's own regressor on the vertices that stayed."""
    full = np.zeros((NUM_JOINTS, body.num_vertices))
    rows = np.arange(NUM_JOINTS)[:, None]
    np.add.at(full, (rows, body.joint_index.numpy()), body.joint_weight.double().numpy())
    return full[:, chosen]


def _nearest_regressor(points: np.ndarray, joints: np.ndarray) -> np.ndarray:
    squared = ((joints[:, None] - points) ** 2).sum(-1)
    near = np.argsort(squared, axis=1)[:, :12]
    matrix = np.zeros((len(joints), len(points)))
    np.put_along_axis(matrix, near, 1 / 12, axis=1)
    return matrix


def _kintree(parents: tuple[int, ...]) -> np.ndarray:
    return np.array([[_ROOT, *parents[1:]], range(len(parents))], dtype=np.int64)


def _vertex_uv(body: BodyModel) -> Any:
    uv = body.uv.new_zeros(body.num_vertices, 2)
    uv[body.faces.reshape(-1)] = body.uv[body.uv_faces.reshape(-1)]
    return uv
