"""The demo's protocol: a perfect fit has no error, and depth and scale may trade places."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pear_avatar.avatar.avatar import Avatar, SplatSet, personalise
from pear_avatar.avatar.binding import sample_surface
from pear_avatar.body import BodyModel, load_body
from pear_avatar.evaluation.avatar_truth import measure_truth, unseen_frames
from pear_avatar.geometry.cameras import default_world_camera, intrinsics, project
from pear_avatar.motion.choreography import UNSEEN, choreograph
from pear_avatar.synthesis.synthetic_clip import SceneTruth, SyntheticClip
from pear_avatar.types import BodyParams, Camera, Motion, Track

WIDTH, HEIGHT, FOCAL, FRAMES = 96, 128, 180.0, 3


@pytest.fixture(scope="module")
def body() -> BodyModel:
    return load_body()


@pytest.fixture(scope="module")
def avatar(body: BodyModel) -> Avatar:
    binding = sample_surface(body.v_template, body.faces, torch.ones(len(body.faces)), 4000, seed=0)
    n = binding.count
    splats = SplatSet(
        torch.zeros(n, 3),
        torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(n, 4).contiguous(),
        torch.full((n, 3), 0.012).log(),
        torch.full((n,), 4.0),
        torch.rand(n, 3, generator=torch.Generator().manual_seed(0)),
    )
    betas = torch.zeros(10)
    return Avatar(
        personalise(body, betas, torch.zeros_like(body.v_template)), binding, splats, betas
    )


def scene(avatar: Avatar, body: BodyModel) -> SceneTruth:
    """Frames of the unseen motion, 4 m away, pictured by the avatar itself."""
    params = choreograph(body, avatar.betas.numpy(), UNSEEN, FRAMES)
    transl = params.transl + torch.tensor([0.1, 0.0, -4.0])
    params = BodyParams(avatar.betas, params.expression, params.rotations, transl)
    camera = Camera(intrinsics(FOCAL, WIDTH, HEIGHT), default_world_camera(), WIDTH, HEIGHT)
    images = np.empty((FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    alpha = np.empty((FRAMES, HEIGHT, WIDTH), np.uint8)
    with torch.no_grad():
        joints = body.shape(avatar.betas).pose(params.rotations, transl).joints.float().numpy()
        for i in range(FRAMES):
            out = avatar.gaussians(params[i]).render(camera)
            cover = out.alpha.clamp(1e-3, 1)
            images[i] = (out.color / cover).clamp(0, 1).mul(255).round().byte().numpy()
            alpha[i] = out.alpha[..., 0].mul(255).round().byte().numpy()
    return SceneTruth(Motion(params, np.arange(FRAMES) / 24.0), camera, joints, alpha, images)


def perfect_track(truth: SceneTruth) -> Track:
    camera = Camera(
        truth.camera.K.expand(FRAMES, 3, 3).contiguous(),
        truth.camera.T_camera_world.expand(FRAMES, 4, 4).contiguous(),
        WIDTH,
        HEIGHT,
    )
    trusted = np.ones(FRAMES, bool)
    return Track(truth.motion, camera, np.arange(FRAMES), trusted, np.zeros(FRAMES))


def test_a_perfect_fit_has_no_error(avatar: Avatar, body: BodyModel) -> None:
    truth = scene(avatar, body)
    clip = SyntheticClip(Path("clip.mp4"), truth, truth)
    figures = measure_truth(avatar, perfect_track(truth), clip, body)
    assert figures.mpjpe_all_mm == pytest.approx(0.0, abs=1e-3)
    assert figures.pa_mpjpe_all_mm == pytest.approx(0.0, abs=1e-2)
    assert figures.depth_ratio == pytest.approx(1.0, abs=1e-5)
    # Only the rounding to 8 bits is left: half a step is 54 dB.
    assert figures.psnr_unseen_rotations > 45
    assert figures.psnr_unseen_poses > 40  # the fit to joints stops a hundredth of a pixel off
    assert figures.silhouette_iou_unseen_poses > 0.99


def test_a_wrong_joint_is_measured_in_millimetres(avatar: Avatar, body: BodyModel) -> None:
    truth = scene(avatar, body)
    moved = truth.joints.copy()
    moved[:, 5] += [0.0, 0.066, 0.0]
    clip = SyntheticClip(Path("clip.mp4"), replace(truth, joints=moved), truth)
    figures = measure_truth(avatar, perfect_track(truth), clip, body)
    assert figures.mpjpe_mm == pytest.approx(66.0 / 22, rel=1e-3)
    assert figures.mpjpe_all_mm == pytest.approx(66.0 / 55, rel=1e-3)


@pytest.mark.parametrize("focal", [1.0, 1.2, 0.9])
@pytest.mark.parametrize("fit_joints", [True, False])
def test_the_joints_stay_on_their_pixels_under_a_wrong_focal_length(
    avatar: Avatar, body: BodyModel, focal: float, fit_joints: bool
) -> None:
    truth = scene(avatar, body)
    track = perfect_track(truth)
    K = track.camera.K.clone()
    K[:, 0, 0] *= focal
    K[:, 1, 1] *= focal
    track = replace(track, camera=replace(track.camera, K=K))
    clip = SyntheticClip(Path("clip.mp4"), truth, truth)
    frames = unseen_frames(avatar, track, clip, fit_joints=fit_joints)
    for i, (params, camera) in enumerate(frames):
        joints = avatar.body.shape(None).pose(params.rotations, params.transl).joints[:22]
        px, z = project(camera, joints.float())
        true_px, true_z = project(truth.camera, torch.from_numpy(truth.joints[i, :22]))
        # A wrong focal length changes the perspective of a body half a metre deep by a pixel.
        assert (px - true_px).norm(dim=-1).mean() < (
            0.01 if focal == 1.0 and not fit_joints else 0.6
        )
        torch.testing.assert_close(z / true_z, torch.full_like(z, focal), atol=0.06, rtol=0)
