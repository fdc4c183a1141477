"""Detections as weighted measurements: which points, how sure, and the detector's 3D hints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.topology import (
    FIRST_IRIS,
    IRIS_POINTS,
    LEFT_ANKLE,
    NUM_HAND,
    NUM_POSE,
    TRACKED_FACE_POINTS,
    TRACKED_OVAL,
)
from pear_avatar.errors import MediaError
from pear_avatar.types import ClipDetections

#: Pose landmarks whose place on the body may be shifted for a clip: limbs and trunk. The head's
#: and fingers' have better models of their own.
OFFSET_LANDMARKS: tuple[int, ...] = (*range(11, 17), *range(23, NUM_POSE))

#: Bones whose direction the detector's own 3D estimate hints at (pose landmarks).
DIRECTION_BONES: tuple[tuple[int, int], ...] = (
    (11, 13), (13, 15), (12, 14), (14, 16), (23, 25), (25, 27), (24, 26), (26, 28),
    (12, 11), (24, 23), (23, 11), (24, 12), (29, 31), (30, 32),
)  # fmt: skip

#: The detector's depth relative to the truth: 0.6 over limbs on renders with known depth, about 1
#: for the tilt of trunk and legs on calibrated footage.
WORLD_DEPTH_SLOPE = 0.8

#: metres: spread of repeated detections about their own mean place
_POSE_NOISE = 0.014
_FOOT_NOISE = 0.018
_HAND_NOISE = 0.006
_FACE_NOISE = 0.002
_OVAL_NOISE = 0.008
_IRIS_NOISE = 0.0012

#: Pose landmarks that the hand and face models place much better, or that sit loosely.
_POSE_TRUST: dict[int, float] = {
    **dict.fromkeys(range(0, 7), 0.15),
    7: 0.3,
    8: 0.3,
    9: 0.1,
    10: 0.1,
    **dict.fromkeys(range(17, 23), 0.25),
    23: 0.6,
    24: 0.6,
}

#: below this confidence a pose landmark is mostly the detector's imagination
_LOW_CONFIDENCE = 0.3


@dataclass(frozen=True)
class Observations:
    """Measurements of N frames (tensors of one dtype).

    pose_px (N, 33, 2); hand_px left, right (N, 21, 2); face_px (N, F, 2); weights in [0, 1] of
    the same leading shape, 0 where unseen or untrusted. noise_* in metres at the body's depth.
    direction: (N, B, 3) unit, solver world (y up, z towards the camera); weight (N, B).
    """

    pose_px: Tensor
    pose_weight: Tensor
    pose_noise: Tensor
    left_hand_px: Tensor
    left_hand_weight: Tensor
    right_hand_px: Tensor
    right_hand_weight: Tensor
    hand_noise: Tensor
    face_px: Tensor
    face_weight: Tensor
    face_noise: Tensor
    direction: Tensor
    direction_weight: Tensor
    time: Tensor

    @property
    def num_frames(self) -> int:
        """Number of frames N."""
        return int(self.pose_px.shape[0])


def check_detections(detections: ClipDetections) -> None:
    """Raise ``MediaError`` where a clip cannot be tracked at all."""
    n = detections.num_frames
    if n == 0:
        raise MediaError("the clip has no frames: nothing to track")
    if not detections.trusted.any():
        reasons = sorted({str(r) for r in detections.reason if r}) or ["no person found"]
        raise MediaError(
            f"none of the clip's {n} frames can be trusted ({', '.join(reasons[:3])}): "
            "use a clip in which one person is clearly seen"
        )
    if n > 1 and not (np.diff(detections.time) > 0).all():
        raise MediaError("the clip's time stamps must increase from frame to frame")


def make_observations(
    detections: ClipDetections, dtype: torch.dtype = torch.float32
) -> Observations:
    """Turn detections into weighted measurements; nothing untrusted keeps any weight."""
    trusted = detections.trusted.astype(np.float32)
    pose_weight = _pose_weight(detections) * trusted[:, None]
    face_index = [*TRACKED_FACE_POINTS, *IRIS_POINTS]
    face_noise = [
        _IRIS_NOISE if i >= FIRST_IRIS else _OVAL_NOISE if i in TRACKED_OVAL else _FACE_NOISE
        for i in face_index
    ]
    pose_noise = [_FOOT_NOISE if i >= LEFT_ANKLE else _POSE_NOISE for i in range(NUM_POSE)]
    direction, direction_weight = _directions(detections, pose_weight)

    def tensor(x: np.ndarray | list[float]) -> Tensor:
        return torch.as_tensor(np.nan_to_num(np.asarray(x)), dtype=dtype)

    def spread(weight: np.ndarray, count: int) -> Tensor:
        return tensor((weight * trusted)[:, None].repeat(count, axis=1))

    return Observations(
        pose_px=tensor(detections.pose_px),
        pose_weight=tensor(pose_weight),
        pose_noise=tensor(pose_noise),
        left_hand_px=tensor(detections.left_hand_px),
        left_hand_weight=spread(detections.left_hand_confidence, NUM_HAND),
        right_hand_px=tensor(detections.right_hand_px),
        right_hand_weight=spread(detections.right_hand_confidence, NUM_HAND),
        hand_noise=tensor([_HAND_NOISE] * NUM_HAND),
        face_px=tensor(detections.face_px[:, face_index]),
        face_weight=spread(detections.face_confidence, len(face_index)),
        face_noise=tensor(face_noise),
        direction=tensor(direction),
        direction_weight=tensor(direction_weight),
        time=tensor(detections.time - detections.time[0]),
    )


def _pose_weight(detections: ClipDetections) -> np.ndarray:
    """(N, 33) confidence, made small where low, zero outside the picture."""
    confidence = np.nan_to_num(detections.pose_confidence).astype(np.float32)
    x, y = np.nan_to_num(detections.pose_px).transpose(2, 0, 1)
    inside = (x >= 0) & (x <= detections.width) & (y >= 0) & (y <= detections.height)
    weight = confidence * inside
    weight = np.where(weight < _LOW_CONFIDENCE, 0.2 * weight, weight)
    trust = np.ones(NUM_POSE, np.float32)
    for i, value in _POSE_TRUST.items():
        trust[i] = value
    return weight * trust


def corrected_world(detections: ClipDetections) -> np.ndarray:
    """(N, 33, 3) the detector's 3D in the solver's axes (y up, z to the camera), depth unshrunk."""
    world = np.nan_to_num(detections.pose_world).astype(np.float64)
    return world * np.array([1.0, -1.0, -1.0 / WORLD_DEPTH_SLOPE])


def _directions(
    detections: ClipDetections, pose_weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    world = corrected_world(detections)
    a, b = np.array(DIRECTION_BONES).T
    bone = world[:, b] - world[:, a]
    length = np.linalg.norm(bone, axis=-1, keepdims=True)
    direction = bone / np.maximum(length, 1e-6)
    trust = np.ones(NUM_POSE, np.float32)
    for i, value in _POSE_TRUST.items():
        trust[i] = value
    sure = pose_weight / trust
    weight = np.minimum(sure[:, a], sure[:, b]) * (length[..., 0] > 1e-3)
    return direction, weight
