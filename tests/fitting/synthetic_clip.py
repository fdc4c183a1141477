"""A tiny clip with known truth: a striped body that sways, tracked with errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_state import new_state
from pear_avatar.fitting.frames import FrameSet, carry_color_outwards
from pear_avatar.geometry.cameras import default_world_camera, intrinsics
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.splatting import rasterise
from pear_avatar.splatting.skin_and_bind import skin_and_bind
from pear_avatar.types import BodyParams, Camera, ClipDetections, Motion, Track

WIDTH, HEIGHT = 112, 192


def true_motion(num_frames: int) -> BodyParams:
    """A body that turns a little and lifts its arms, 3 m in front of the camera."""
    t = torch.linspace(0, 1, num_frames)
    axis_angle = torch.zeros(num_frames, 55, 3)
    axis_angle[:, 0, 1] = 0.5 * torch.sin(2 * torch.pi * t)
    axis_angle[:, JOINT_INDEX["left_shoulder"], 2] = -1.0 + 0.3 * t
    axis_angle[:, JOINT_INDEX["right_shoulder"], 2] = 1.0 - 0.3 * t
    axis_angle[:, JOINT_INDEX["left_knee"], 0] = 0.3 * t
    transl = torch.tensor([0.0, 0.15, -4.0]).repeat(num_frames, 1)
    body = load_body()
    betas = torch.zeros(body.num_betas)
    betas[:4] = torch.tensor([0.5, -0.4, 0.3, 0.6])
    expression = torch.zeros(num_frames, body.num_expression)
    return BodyParams(betas, expression, axis_angle_to_matrix(axis_angle), transl)


def camera(num_frames: int) -> Camera:
    K = intrinsics(1.9 * HEIGHT, WIDTH, HEIGHT).expand(num_frames, 3, 3)
    T = default_world_camera().expand(num_frames, 4, 4)
    return Camera(K.contiguous(), T.contiguous(), WIDTH, HEIGHT)


def _stripes(points: torch.Tensor) -> torch.Tensor:
    """Colours that a fit can get wrong: stripes along the body, two hues."""
    wave = 0.5 + 0.4 * torch.sin(18 * points[:, 1])
    blue = 0.2 + 0.6 * (points[:, 0] > 0).float()
    return torch.stack([wave, 0.3 + 0 * wave, blue], -1)


def render_truth(params: BodyParams, cameras: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Pictures (N, h, w, 3) and masks (N, h, w), uint8, over a grey background."""
    body = load_body()
    state = new_state(body, params.betas, 1, FittingConfig(num_splats=12000))
    colors = _stripes(state.binding.rest_points(body.v_template))
    images, masks = [], []
    for i in range(params.num_frames):
        posed = body.shape(params.betas).pose(params.rotations[i], params.transl[i])
        _, means, quats = skin_and_bind(
            state.skinned,
            posed.rest_vertices(),
            posed.rest_to_posed,
            state.splats["offsets"],
            state.splats["local_quats"],
        )
        out = rasterise(
            means,
            quats,
            state.splats["log_scales"].exp(),
            torch.full((len(means),), 0.99),
            colors,
            camera=cameras[i],
            background=torch.full((3,), 0.5),
        )
        images.append((out.color.clamp(0, 1) * 255).byte().numpy())
        masks.append((out.alpha[..., 0] * 255).byte().numpy())
    return np.stack(images), np.stack(masks)


def make_frames(num_frames: int) -> tuple[FrameSet, BodyParams]:
    params, cameras = true_motion(num_frames), camera(num_frames)
    images, masks = render_truth(params, cameras)
    targets = np.stack([carry_color_outwards(i, m) for i, m in zip(images, masks, strict=True)])
    split = np.zeros(num_frames, np.int8)
    split[2::4] = 1
    frames = FrameSet(
        images=images,
        targets=targets,
        masks=masks,
        valid=np.full_like(masks, 255),
        camera=cameras,
        row=np.arange(num_frames, dtype=np.int64),
        split=split,
    )
    return frames, params


def noisy_track(params: BodyParams, cameras: Camera, seed: int = 0) -> Track:
    """The truth with a few centimetres and degrees of smooth error, and a wrong shape."""
    g = torch.Generator().manual_seed(seed)
    n = params.num_frames
    wrong = 0.05 * torch.randn(1, 55, 3, generator=g).repeat(n, 1, 1)
    wrong[:, 22:] = 0
    noisy = replace(
        params,
        betas=torch.zeros_like(params.betas),
        rotations=params.rotations @ axis_angle_to_matrix(wrong),
        transl=params.transl + torch.tensor([0.02, -0.01, 0.05]),
    )
    return Track(
        Motion(noisy, np.arange(n) / 24.0),
        cameras,
        np.arange(n),
        np.ones(n, bool),
        np.zeros(n),
    )


def detections_of(params: BodyParams, cameras: Camera) -> ClipDetections:
    from pear_avatar.geometry.cameras import project

    body = load_body()
    posed = body.shape(params.betas).pose(params.rotations, params.transl)
    px, _ = project(cameras, posed.landmarks("mediapipe_pose"))
    n = params.num_frames
    return ClipDetections(
        frame_index=np.arange(n),
        time=np.arange(n) / 24.0,
        pose_px=px.numpy(),
        pose_confidence=np.ones((n, 33), np.float32),
        pose_world=np.zeros((n, 33, 3), np.float32),
        left_hand_px=np.zeros((n, 21, 2), np.float32),
        left_hand_confidence=np.zeros(n),
        right_hand_px=np.zeros((n, 21, 2), np.float32),
        right_hand_confidence=np.zeros(n),
        face_px=np.zeros((n, 478, 2), np.float32),
        face_confidence=np.zeros(n),
        box_xyxy=np.tile([0, 0, WIDTH, HEIGHT], (n, 1)).astype(np.float32),
        trusted=np.ones(n, bool),
        reason=np.array([""] * n),
        width=WIDTH,
        height=HEIGHT,
    )
