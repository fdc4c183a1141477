"""Pooling a person's shape keeps every frame's picture."""

from __future__ import annotations

import torch
from fake_source import ehm

from pear_avatar.geometry.cameras import default_world_camera, intrinsics, project
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.recovery.pooling import pool_person
from pear_avatar.recovery.recovered import PoseEstimate
from pear_avatar.types import BodyParams, Camera, Proportions


def one_person(frames: int, spread: float) -> PoseEstimate:
    """The same pose in every frame, its shape wavering by ``spread`` standard deviations."""
    generator = torch.Generator().manual_seed(3)
    rotations = torch.eye(3).expand(frames, 55, 3, 3).clone()
    rotations[:, 16] = axis_angle_to_matrix(torch.tensor([0.0, 0.0, -1.1]))
    betas = 0.5 + spread * torch.randn(frames, 8, generator=generator)
    scale = 1.0 + 0.05 * spread * torch.randn(frames, 3, generator=generator)
    params = BodyParams(
        betas, torch.zeros(frames, 4), rotations, torch.tensor([0.1, 0.2, -4.0]).repeat(frames, 1)
    )
    camera = Camera(intrinsics(800.0, 640, 480), default_world_camera(), 640, 480)
    return PoseEstimate(params, Proportions(scale, torch.ones(frames, 3)), camera)


def pixels(recovered: PoseEstimate, row: int) -> torch.Tensor:
    p, q = recovered.params, recovered.proportions
    one = p[row]
    scales = Proportions(
        q.head_scale if q.head_scale.dim() == 1 else q.head_scale[row],
        q.hand_scale if q.hand_scale.dim() == 1 else q.hand_scale[row],
    )
    posed = ehm().shape(one.betas, None, scales).pose(one.rotations, one.transl)
    return project(recovered.camera, posed.joints)[0]


def test_equal_shapes_are_left_alone() -> None:
    before = one_person(4, 0.0)
    after = pool_person(before, torch.ones(4), ehm())
    assert after.params.betas.shape == (8,)
    assert after.proportions.head_scale.shape == (3,)
    assert (after.params.transl - before.params.transl).abs().max() < 1e-5


def test_bodies_keep_their_size_in_the_picture() -> None:
    before = one_person(6, 0.8)
    after = pool_person(before, torch.ones(6), ehm())
    kept = torch.stack(
        [(pixels(after, i) - pixels(before, i)).norm(dim=-1).mean() for i in range(6)]
    )
    still = BodyParams(
        after.params.betas, before.params.expression, before.params.rotations, before.params.transl
    )
    unmoved = PoseEstimate(still, after.proportions, before.camera)
    naive = torch.stack(
        [(pixels(unmoved, i) - pixels(before, i)).norm(dim=-1).mean() for i in range(6)]
    )
    # What remains is the change of proportions, which no placement can undo.
    assert kept.mean() < 0.75 * naive.mean()


def test_frames_of_weight_zero_do_not_count() -> None:
    before = one_person(5, 1.0)
    weight = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0])
    after = pool_person(before, weight, ehm())
    assert torch.allclose(after.params.betas, before.params.betas[1], atol=1e-6)
    equal = pool_person(before, torch.zeros(5), ehm())
    assert torch.allclose(equal.params.betas, before.params.betas.mean(0), atol=1e-6)
