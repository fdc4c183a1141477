"""How well a track explains its detections."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from pear_avatar.body import BodyModel
from pear_avatar.body.topology import NUM_POSE
from pear_avatar.geometry.cameras import project
from pear_avatar.types import ClipDetections, Track

#: a pose landmark counts from this confidence on, and only inside the picture
CONFIDENT = 0.5
_LANDMARK_SETS = {
    "pose": "mediapipe_pose",
    "left_hand": "mediapipe_left_hand",
    "right_hand": "mediapipe_right_hand",
    "face": "mediapipe_face",
}
_POSE_PARTS = {
    "head": range(0, 11),
    "arms": range(11, 17),
    "fingers": range(17, 23),
    "legs": range(23, 29),
    "feet": range(29, NUM_POSE),
}
_ANKLES = (27, 28)
#: share of trusted frames that must show both ankles for a clip to count as full-body
_FULL_BODY_SHARE = 0.5


def confident_landmarks(detections: ClipDetections) -> np.ndarray:
    """(N, 33) bool: pose landmarks that are confident, inside the picture and trusted."""
    x, y = detections.pose_px[..., 0], detections.pose_px[..., 1]
    inside = (x >= 0) & (x < detections.width) & (y >= 0) & (y < detections.height)
    sure = detections.pose_confidence >= CONFIDENT
    return inside & sure & np.asarray(detections.trusted, bool)[:, None]


def project_landmarks(track: Track, body: BodyModel) -> dict[str, np.ndarray]:
    """Projected landmarks of every frame by part: (N, L, 2) pixels."""
    params = track.motion.params
    with torch.no_grad():
        shaped = body.shape(params.betas, params.expression)
        posed = shaped.pose(params.rotations, params.transl)
        return {
            part: project(track.camera, posed.landmarks(name))[0].numpy()
            for part, name in _LANDMARK_SETS.items()
        }


def body_height(track: Track, body: BodyModel) -> float:
    """Standing height of the shaped body in its T-pose, metres."""
    with torch.no_grad():
        y = body.shape(track.motion.params.betas).vertices()[..., 1]
        return float(y.max() - y.min())


def image_height(track: Track, detections: ClipDetections, body: BodyModel) -> float:
    """The person's height in the image in pixels: the yardstick of relative errors.

    Where most trusted frames show both ankles it is the median height of the box around the
    pose landmarks (nose to toes: a little less than the person). Where the picture cuts the
    person it is the tracked body's standing height projected at the pelvis' median depth.
    """
    trusted = np.asarray(detections.trusted, bool)
    ankles = confident_landmarks(detections)[:, _ANKLES].all(1)[trusted]
    if ankles.size and ankles.mean() >= _FULL_BODY_SHARE:
        y = detections.pose_px[trusted, :, 1]
        return float(np.median(y.max(1) - y.min(1)))
    params = track.motion.params
    with torch.no_grad():
        pelvis = body.shape(params.betas).pose(params.rotations, params.transl).joints[:, :1]
        depth = project(track.camera, pelvis)[1][:, 0].numpy()[trusted]
    focal = track.camera.K[:, 1, 1].numpy()[trusted]
    return body_height(track, body) * float(np.median(focal / np.maximum(depth, 1e-3)))


def frame_errors(track: Track, detections: ClipDetections, body: BodyModel) -> np.ndarray:
    """(N,) mean 2D distance of confident pose landmarks over the person's image height."""
    distance = np.linalg.norm(project_landmarks(track, body)["pose"] - detections.pose_px, axis=-1)
    sure = confident_landmarks(detections)
    count = sure.sum(1)
    mean = (distance * sure).sum(1) / np.maximum(count, 1)
    mean = mean / image_height(track, detections, body)
    return np.where(count > 0, mean, np.nan).astype(np.float32)


def track_report(track: Track, detections: ClipDetections, body: BodyModel) -> dict[str, Any]:
    """Figures of a track against the detections it was made from.

    ``landmark_error_rel`` is the mean, over the confident pose landmarks (confidence at least
    0.5, inside the picture) of all trusted frames, of the 2D distance between the projected
    landmark of the body and its detection, over :func:`image_height`. ``parts_px`` splits it by
    part of the body and adds hands and face, all in pixels.
    """
    projected = project_landmarks(track, body)
    sure = confident_landmarks(detections)
    distance = np.linalg.norm(projected["pose"] - detections.pose_px, axis=-1)
    height_px = image_height(track, detections, body)
    parts = {
        name: _mean(distance[:, list(points)], sure[:, list(points)])
        for name, points in _POSE_PARTS.items()
    }
    trusted = np.asarray(detections.trusted, bool)
    for part in ("left_hand", "right_hand", "face"):
        found = np.linalg.norm(projected[part] - getattr(detections, f"{part}_px"), axis=-1)
        seen = (getattr(detections, f"{part}_confidence") > 0) & trusted
        parts[part] = _mean(found, np.broadcast_to(seen[:, None], found.shape))
    mean = _mean(distance, sure)
    return {
        "landmark_error_rel": None if mean is None else mean / height_px,
        "landmark_error_px": mean,
        "image_height_px": height_px,
        "parts_px": parts,
        "frames": detections.num_frames,
        "frames_trusted": int(trusted.sum()),
        "height_m": body_height(track, body),
        "focal_px": float(track.camera.K[:, 1, 1].mean()),
    }


def _mean(values: np.ndarray, chosen: np.ndarray) -> float | None:
    return float(values[chosen].mean()) if chosen.any() else None
