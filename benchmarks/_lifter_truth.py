"""The lifter beside a truth of sorts: joints triangulated from two calibrated views of a person."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pear_avatar.evaluation.metrics import procrustes_align
from pear_avatar.geometry.cameras import default_world_camera
from pear_avatar.perception import detect_clip
from pear_avatar.recovery.lifter import Lifter
from pear_avatar.types import Camera, ClipDetections

_VIEWS = ("cam01", "cam03")
_FULL_HEIGHT = 1920  # pixels that the calibration is for
#: Shoulders, elbows, wrists, hips, knees, ankles of the pose landmarks.
_LIMBS = [11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
_LEFT_HIP, _RIGHT_HIP = 6, 7


@dataclass(frozen=True)
class TwoViewScore:
    """Errors in mm over twelve joints, means over both views, of the lifter and of the
    detector's own 3D: hips aligned, and after a similarity transform (pa)."""

    lifter: float
    lifter_pa: float
    detector: float
    detector_pa: float


def two_view_score(lifter: Lifter, folder: Path, *, frames: int, side: int) -> TwoViewScore:
    """Lift each of two synchronised views and compare with what both together say.

    Args:
        lifter: to be measured; it gets the cameras' intrinsics.
        folder: with ``cam01.mp4``, ``cam03.mp4`` and ``cameras_opencv.json``.
        frames, side: at most so many frames, at most so many pixels a side.
    """
    cameras = json.loads((folder / "cameras_opencv.json").read_text("utf-8"))
    clips = [
        detect_clip(folder / f"{name}.mp4", max_frames=frames, max_side=side)[0] for name in _VIEWS
    ]
    K = [_scaled(cameras[n], clip) for n, clip in zip(_VIEWS, clips, strict=True)]
    R = [np.array(cameras[name]["R_w2c"]) for name in _VIEWS]
    t = [np.array(cameras[name]["t_w2c_m"]).reshape(3, 1) for name in _VIEWS]
    projections = [k @ np.hstack([r, s]) for k, r, s in zip(K, R, t, strict=True)]
    truth = _triangulate(projections, [clip.pose_px[:, _LIMBS] for clip in clips])
    rows = []
    for clip, k, r in zip(clips, K, R, strict=True):
        goal = torch.from_numpy(truth @ r.T).float()
        found = _lifted(lifter, clip, k)
        detected = torch.from_numpy(clip.pose_world[:, _LIMBS]).float()
        rows.append([*_errors(found, goal), *_errors(detected, goal)])
    return TwoViewScore(*np.mean(rows, axis=0).tolist())


def _scaled(camera: dict[str, list[list[float]]], clip: ClipDetections) -> np.ndarray:
    """(3, 3) intrinsics in the clip's pixels."""
    K = np.array(camera["K"])
    K[:2] *= clip.height / _FULL_HEIGHT
    return K


def _triangulate(projections: list[np.ndarray], pixels: list[np.ndarray]) -> np.ndarray:
    """(N, L, 3) metres: each point from its (N, L, 2) pixels in all views (linear)."""
    rows = []
    for P, uv in zip(projections, pixels, strict=True):
        rows += [uv[..., :1] * P[2] - P[0], uv[..., 1:] * P[2] - P[1]]
    _, _, Vt = np.linalg.svd(np.stack(rows, axis=-2))
    point = Vt[..., -1, :]
    return point[..., :3] / point[..., 3:]


def _lifted(lifter: Lifter, clip: ClipDetections, K: np.ndarray) -> Tensor:
    """(N, 12, 3) landmarks in camera axes, metres."""
    world = default_world_camera()
    camera = Camera(torch.from_numpy(K).float(), world, clip.width, clip.height)
    params = lifter.lift(clip, camera).params
    with torch.no_grad():
        posed = lifter.body.shape(params.betas, params.expression).pose(params.rotations)
    return posed.landmarks("mediapipe_pose")[:, _LIMBS] @ world[:3, :3].T


def _errors(points: Tensor, truth: Tensor) -> tuple[float, float]:
    def from_hips(x: Tensor) -> Tensor:
        return x - x[:, [_LEFT_HIP, _RIGHT_HIP]].mean(1, keepdim=True)

    rooted = (from_hips(points) - from_hips(truth)).norm(dim=-1).mean()
    aligned = (procrustes_align(points, truth) - truth).norm(dim=-1).mean()
    return 1e3 * float(rooted), 1e3 * float(aligned)
