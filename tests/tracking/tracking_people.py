"""Synthetic detections with known truth: the body's own landmarks, seen by a noisy detector."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from pear_avatar.body import BodyModel
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.geometry.cameras import (
    default_world_camera,
    intrinsics,
    project,
    to_camera,
)
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import BodyParams, Camera, ClipDetections

#: metres: how far a landmark sits off the body's own point for a whole clip, how it wanders
#: slowly, and how it jitters; measured on renders of the body by a real detector
POSE_ERROR = (0.010, 0.006, 0.003)
HAND_ERROR = (0.004, 0.003, 0.0015)
FACE_ERROR = (0.0012, 0.0008, 0.0004)
WORLD_ERROR = (0.03, 0.03, 0.08)
WORLD_SLOPE = 0.59


def tall_camera(width: int = 720, height: int = 1280) -> Camera:
    """A phone held upright."""
    K = intrinsics(1.1 * height, width, height)
    return Camera(K, default_world_camera(), width, height)


def moving_person(
    body: BodyModel, num_frames: int = 24, *, yaw: float = 0.0, seed: int = 0, distance: float = 3.6
) -> BodyParams:
    """Somebody who waves, steps and turns a little, ``yaw`` radians away from the camera."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 2 * np.pi, num_frames)
    aa = torch.zeros(num_frames, 55, 3)

    def put(joint: str, axis: int, values: np.ndarray) -> None:
        aa[:, JOINT_INDEX[joint], axis] = torch.from_numpy(values).float()

    put("left_shoulder", 2, -0.9 + 0.7 * np.sin(t))
    put("right_shoulder", 2, 1.0 - 0.2 * np.sin(t))
    put("left_elbow", 1, -0.9 - 0.5 * np.cos(t))
    put("right_elbow", 1, 0.5 + 0.3 * np.sin(t))
    put("left_hip", 0, -0.3 + 0.3 * np.sin(t))
    put("right_hip", 0, -0.3 - 0.3 * np.sin(t))
    put("left_knee", 0, 0.4 - 0.3 * np.sin(t))
    put("right_knee", 0, 0.4 + 0.3 * np.sin(t))
    put("spine1", 0, 0.08 + 0.05 * np.sin(t))
    put("head", 1, 0.2 * np.sin(t))
    for finger in ("index", "middle", "ring", "pinky"):
        for k in (1, 2, 3):
            put(f"left_{finger}{k}", 2, -0.4 - 0.25 * np.sin(t))
            put(f"right_{finger}{k}", 2, 0.4 + 0.25 * np.sin(t))
    rotations = axis_angle_to_matrix(aa)
    turn = torch.zeros(num_frames, 3)
    turn[:, 1] = torch.from_numpy(yaw + 0.2 * np.sin(t)).float()
    rotations[:, 0] = axis_angle_to_matrix(turn)
    betas = torch.zeros(body.num_betas)
    betas[:10] = torch.from_numpy(rng.standard_normal(10) * 0.7).float()
    expression = torch.zeros(num_frames, body.num_expression)
    transl = torch.stack(
        [
            torch.from_numpy(0.15 * np.sin(t)).float(),
            torch.from_numpy(0.02 * np.sin(2 * t) - 0.05).float(),
            torch.full((num_frames,), -distance),
        ],
        dim=1,
    )
    return BodyParams(betas, expression, rotations, transl)


def detect(
    body: BodyModel, params: BodyParams, camera: Camera, *, seed: int = 0, noise: float = 1.0
) -> ClipDetections:
    """What a detector with realistic errors would say about these frames; 24 frames a second."""
    rng = np.random.default_rng(seed + 1000)
    N = params.num_frames
    posed = body.shape(params.betas, params.expression).pose(params.rotations, params.transl)
    depth = project(camera, posed.joints)[1].median()
    focal = float(camera.K[..., 0, 0].mean())
    scale = focal / float(depth)

    def pixels(name: str, errors: tuple[float, float, float]) -> np.ndarray:
        points = posed.landmarks(name)
        bias = torch.from_numpy(rng.standard_normal((points.shape[1], 3))).float()
        px = project(camera, points + noise * errors[0] * bias)[0].numpy()
        slow = _slow(rng, px.shape, 3.0) * errors[1]
        white = rng.standard_normal(px.shape) * errors[2]
        return (px + noise * scale * (slow + white)).astype(np.float32)

    pose = pixels("mediapipe_pose", POSE_ERROR)
    world = to_camera(camera, posed.landmarks("mediapipe_pose")).numpy()
    world = world - world[:, 23:25].mean(1, keepdims=True)
    world[..., 2] *= WORLD_SLOPE
    world = world + noise * _slow(rng, world.shape, 6.0) * np.array(WORLD_ERROR)
    x, y = pose[..., 0], pose[..., 1]
    inside = (x > 0) & (x < camera.width) & (y > 0) & (y < camera.height)
    ones = np.ones(N, np.float32)
    return ClipDetections(
        frame_index=np.arange(N),
        time=np.arange(N) / 24.0,
        pose_px=pose,
        pose_confidence=0.95 * inside.astype(np.float32),
        pose_world=world.astype(np.float32),
        left_hand_px=pixels("mediapipe_left_hand", HAND_ERROR),
        left_hand_confidence=ones,
        right_hand_px=pixels("mediapipe_right_hand", HAND_ERROR),
        right_hand_confidence=ones,
        face_px=pixels("mediapipe_face", FACE_ERROR),
        face_confidence=ones,
        box_xyxy=np.stack([x.min(1), y.min(1), x.max(1), y.max(1)], axis=1),
        trusted=np.ones(N, bool),
        reason=np.full(N, ""),
        width=camera.width,
        height=camera.height,
    )


def without_face(detections: ClipDetections) -> ClipDetections:
    """The same clip of somebody whose face is never found."""
    zero = np.zeros_like(detections.face_confidence)
    return replace(detections, face_confidence=zero)


def joint_errors(found: torch.Tensor, true: torch.Tensor) -> tuple[float, float]:
    """Mean error of the 22 body joints in mm, aligned at the pelvis and by Procrustes."""
    a, b = found[:, :22].double(), true[:, :22].double()
    rooted = (a - a[:, :1] - b + b[:, :1]).norm(dim=-1).mean()
    a0, b0 = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    U, S, Vt = torch.linalg.svd(a0.transpose(1, 2) @ b0)
    sign = torch.linalg.det(U @ Vt).sign()
    D = torch.ones_like(S)
    D[:, 2] = sign
    R = U @ torch.diag_embed(D) @ Vt
    scale = (S * D).sum(1) / a0.square().sum((1, 2))
    aligned = (scale[:, None, None] * (a0 @ R) - b0).norm(dim=-1).mean()
    return 1e3 * float(rooted), 1e3 * float(aligned)


def _slow(rng: np.random.Generator, shape: tuple[int, ...], width: float) -> np.ndarray:
    """Unit-variance noise that wanders over about ``width`` frames."""
    noise = gaussian_filter1d(rng.standard_normal((shape[0] + 40, *shape[1:])), width, axis=0)
    return noise[20 : 20 + shape[0]] * np.sqrt(2 * width * np.sqrt(np.pi))


def standing_person(body: BodyModel, num_frames: int = 16, *, distance: float = 3.8) -> BodyParams:
    """Somebody who stands in balance on both feet and gestures with hanging arms."""
    t = np.linspace(0, 2 * np.pi, num_frames)
    aa = torch.zeros(num_frames, 55, 3)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        lift = -1.1 + 0.25 * np.sin(t + (sign > 0))
        aa[:, JOINT_INDEX[f"{side}_shoulder"], 2] = sign * torch.from_numpy(lift).float()
        aa[:, JOINT_INDEX[f"{side}_elbow"], 1] = -sign * torch.from_numpy(0.5 + 0.3 * np.cos(t))
        aa[:, JOINT_INDEX[f"{side}_hip"], 0] = -0.06
        aa[:, JOINT_INDEX[f"{side}_knee"], 0] = 0.10
        aa[:, JOINT_INDEX[f"{side}_ankle"], 0] = -0.04
    aa[:, 0, 0] = 0.01
    transl = torch.tensor([0.0, -0.05, -distance]).repeat(num_frames, 1)
    return BodyParams(
        torch.zeros(body.num_betas),
        torch.zeros(num_frames, body.num_expression),
        axis_angle_to_matrix(aa),
        transl,
    )


def bend(params: BodyParams, joint: str, degrees: float) -> BodyParams:
    """The same motion with one joint turned further about its own x axis."""
    turn = axis_angle_to_matrix(torch.tensor([np.radians(degrees), 0.0, 0.0]).float())
    rotations = params.rotations.clone()
    rotations[:, JOINT_INDEX[joint]] = rotations[:, JOINT_INDEX[joint]] @ turn
    return replace(params, rotations=rotations)


def pitched_camera(pitch: float, roll: float, distance: float = 3.8) -> Camera:
    """A tall camera that looks ``pitch`` degrees down at the person's middle, rolled."""
    down = axis_angle_to_matrix(torch.tensor([np.radians(pitch), 0.0, 0.0]).float())
    askew = axis_angle_to_matrix(torch.tensor([0.0, 0.0, np.radians(roll)]).float())
    level = tall_camera()
    T_level_world = torch.eye(4)
    centre = torch.tensor([0.0, -0.05, -distance])
    T_level_world[:3, :3] = askew @ down
    T_level_world[:3, 3] = centre - askew @ down @ centre
    return replace(level, T_camera_world=level.T_camera_world @ T_level_world)
