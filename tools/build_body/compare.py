"""Whether two open-body files hold the same body, up to what other hardware may round otherwise."""

from __future__ import annotations

import numpy as np

_VERTEX_TOLERANCE = 1e-5  # metres
#: Shape directions of nearly equal variance may mix; what they span must not change.
_SPAN_TOLERANCE = 5e-4  # metres
#: A detector's rounding, amplified by medians and the choice of a nearest triangle.
_LANDMARK_TOLERANCE = 2e-3  # metres
_EXACT = ("faces", "uv_faces", "part_names", "face_part", "arkit_names", "scalp")
_CLOSE = ("v_template", "uv", "eyelid_dirs", "arkit_pose")
_SETS = (
    "mediapipe_pose",
    "mediapipe_left_hand",
    "mediapipe_right_hand",
    "mediapipe_face",
    "coco17",
    "wholebody133",
)


def differences(new: dict[str, np.ndarray], old: dict[str, np.ndarray]) -> list[str]:
    """One line for each way the files differ; empty where they agree."""
    if set(new) != set(old):
        return [f"arrays differ: {sorted(set(new) ^ set(old))}"]
    shapes = [k for k in new if new[k].shape != old[k].shape and not k.startswith("landmark_")]
    if shapes:
        return [f"{k}: shape {new[k].shape}, was {old[k].shape}" for k in shapes]
    lines = [f"{k} differs" for k in _EXACT if (new[k] != old[k]).any()]
    for k in _CLOSE:
        lines += _line(k, np.abs(new[k].astype(float) - old[k]).max(), _VERTEX_TOLERANCE)
    lines += _line("joints", np.abs(_joints(new) - _joints(old)).max(), _LANDMARK_TOLERANCE)
    lines += _line("shape_dirs (span)", _span_gap(new, old), _SPAN_TOLERANCE)
    gap = np.abs(_actions(new) - _actions(old)).max()
    lines += _line("arkit actions", gap, _SPAN_TOLERANCE)
    for name in _SETS:
        gap = np.linalg.norm(landmarks(new, name) - landmarks(old, name), axis=1).max()
        lines += _line(f"landmarks {name}", gap, _LANDMARK_TOLERANCE)
    return lines


def _line(name: str, gap: float, tolerance: float) -> list[str]:
    return [f"{name} differ by {gap:.2e}, more than {tolerance:.0e}"] if gap > tolerance else []


def _joints(arrays: dict[str, np.ndarray]) -> np.ndarray:
    corners = arrays["v_template"][arrays["joint_regressor_index"]].astype(float)
    return np.einsum("jk,jkd->jd", arrays["joint_regressor_weight"], corners)


def landmarks(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    """(L, 3) landmarks of a set on the template."""
    points = np.concatenate([_joints(arrays), arrays["v_template"]])
    index, weight = arrays[f"landmark_{name}_index"], arrays[f"landmark_{name}_weight"]
    return np.einsum("lk,lkd->ld", weight, points[index])


def _span_gap(new: dict[str, np.ndarray], old: dict[str, np.ndarray]) -> float:
    """How far the old directions lie outside the span of the new ones, metres at most."""
    A = new["shape_dirs"].astype(float).reshape(-1, new["shape_dirs"].shape[-1])
    B = old["shape_dirs"].astype(float).reshape(A.shape)
    fitted = A @ np.linalg.solve(A.T @ A, A.T @ B)
    return float(np.abs(fitted - B).max())


def _actions(arrays: dict[str, np.ndarray]) -> np.ndarray:
    coef = arrays["arkit_coef"].astype(float)
    return np.einsum("ae,vde->avd", coef, arrays["expression_dirs"].astype(float))
