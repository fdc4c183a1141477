"""Avatars of real clips judged without truth: by a detector, and by a second camera.

Faces      A network that has seen real people looks at the drawn head from the front and turned.
           Found or not, and the median distance of its landmarks from the avatar's own, in
           percent of the head's height.
Second     A clip filmed by two calibrated cameras: fitted to one, judged in the other by the
camera     overlap of the silhouettes, with the avatar where the fit says that it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks._footage import DATA
from pear_avatar.avatar.avatar import Avatar
from pear_avatar.body import load_body
from pear_avatar.evaluation.metrics import iou
from pear_avatar.geometry.cameras import intrinsics, look_at, project
from pear_avatar.perception.clip import detect_clip
from pear_avatar.perception.detectors import PartDetector
from pear_avatar.rendering.showcase import standard_pose, to_uint8
from pear_avatar.tracking.calibration import load_camera
from pear_avatar.types import Camera, Track

FACE_YAWS = (0, 30, -30, 45, -45, 60, -60)
CLIPS = (
    "fullbody_juggle.mp4",
    "talkinghead_glasses.mp4",
    "upper_hands_plaid_want.mkv",
    "back_longhair_cardigan.mp4",
)
SECOND_FRAMES = 40
_SIDE, _HEAD_FILLS, _DISTANCE = 384, 0.62, 1.2
_HEAD_JOINTS = (15, 22, 23, 24)
#: a found face that is larger or smaller than this (heads), or further off, is another one's
_FACE_SIZE, _FACE_OFF = (0.45, 1.25), 0.3

Figures = dict[str, float]


def data_folder() -> Path | None:
    """Where the real clips lie: ``PEAR_AVATAR_DATA``, or shared/data beside the repository."""
    return DATA if DATA.is_dir() else None


@torch.no_grad()
def draw_head(avatar: Avatar, yaw: float) -> tuple[np.ndarray, np.ndarray, float]:
    """The head from ``yaw`` degrees: picture (H, W, 3), its face landmarks (478, 2), height px."""
    params = standard_pose(avatar, "down")
    posed = avatar.body.shape(None, params.expression).pose(params.rotations, params.transl)
    vertices = posed.vertices()
    head = vertices[avatar.body.skin_weights_t[list(_HEAD_JOINTS)].sum(0) > 0.5]
    low, high = head.amin(0), head.amax(0)
    center, height = (low + high) / 2, float(high[1] - low[1])
    angle = np.radians(yaw)
    away = torch.tensor([np.sin(angle), 0.02, np.cos(angle)], dtype=torch.float32)
    T = look_at(center + _DISTANCE * away, center)
    K = intrinsics(_SIDE * _HEAD_FILLS * _DISTANCE / height, _SIDE, _SIDE)
    camera = Camera(K, T, _SIDE, _SIDE)
    out = avatar.gaussians(params).render(camera, torch.full((3,), 0.85))
    marks = load_body().landmark_set("mediapipe_face").gather(posed.joints, vertices)
    return to_uint8(out.color), project(camera, marks)[0].numpy(), _SIDE * _HEAD_FILLS


def face_figures(avatar: Avatar, detector: PartDetector) -> Figures:
    """ "face 45 found" (share of the two sides) and "face 45 error" (% of the head's height)."""
    found: dict[int, list[float]] = {}
    errors: dict[int, list[float]] = {}
    for yaw in FACE_YAWS:
        picture, marks, height = draw_head(avatar, yaw)
        error = _face_error(detector.find(picture), marks, height)
        found.setdefault(abs(yaw), []).append(float(error is not None))
        if error is not None:
            errors.setdefault(abs(yaw), []).append(error)
    figures = {f"face {yaw} found": float(np.mean(values)) for yaw, values in found.items()}
    return figures | {f"face {yaw} error": float(np.mean(v)) for yaw, v in errors.items()}


def _face_error(
    found: tuple[np.ndarray, float, str] | None, marks: np.ndarray, height: float
) -> float | None:
    if found is None:
        return None
    points = found[0][: len(marks)]
    size = np.ptp(points[:, 1]) / height
    off = abs(points[:, 0].mean() - _SIDE / 2) / _SIDE
    if not _FACE_SIZE[0] < size < _FACE_SIZE[1] or off > _FACE_OFF:
        return None
    return float(100 * np.median(np.linalg.norm(points - marks[: len(points)], axis=1)) / height)


def second_camera_figures(
    avatar: Avatar, track: Track, video: Path, calibration: Path, name: str, *, cache: Path
) -> Figures:
    """Overlap with the person's silhouette in a camera that the fit has not seen."""
    camera = load_camera(calibration, name)
    detections, masks = detect_clip(video, cache_dir=cache, max_frames=SECOND_FRAMES)
    row_of = {int(f): k for k, f in enumerate(track.frame_index)}
    overlaps = []
    for row in range(detections.num_frames):
        k = row_of.get(int(detections.frame_index[row]))
        if k is None or not track.trusted[k]:
            continue
        scale = detections.width / camera.width
        small = _scaled(camera, scale, detections.width, detections.height)
        with torch.no_grad():
            out = avatar.gaussians(track.motion.params[k]).render(small)
        mask = torch.from_numpy(masks.mask(row)).float() / 255
        overlaps.append(float(iou(out.alpha[..., 0], mask)))
    return {"second camera iou": float(np.mean(overlaps))} if overlaps else {}


def _scaled(camera: Camera, scale: float, width: int, height: int) -> Camera:
    K: Tensor = camera.K.clone()
    K[:2] *= scale
    return Camera(K, camera.T_camera_world, width, height)


def contact_sheet(avatars: Sequence[Avatar]) -> np.ndarray:
    """Heads from all yaws, a row for each avatar."""
    yaws = sorted(FACE_YAWS)
    return np.concatenate([np.concatenate([draw_head(a, y)[0] for y in yaws], 1) for a in avatars])
