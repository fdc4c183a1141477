"""A step moves the picture equally far at every distance and for every joint."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from synthetic_clip import camera, true_motion

from pear_avatar.body import load_body
from pear_avatar.fitting.fit_config import RatesConfig
from pear_avatar.fitting.step_sizes import measure_step_sizes, pose_rates
from pear_avatar.geometry.cameras import project
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import BodyParams


@pytest.fixture(scope="module")
def params() -> BodyParams:
    return true_motion(3)


def vertices_px(params: BodyParams) -> torch.Tensor:
    body = load_body()
    posed = body.shape(params.betas, params.expression).pose(params.rotations, params.transl)
    return project(camera(len(params.rotations)), posed.vertices())[0]


def test_a_pixel_of_translation_moves_the_picture_by_a_pixel(params: BodyParams) -> None:
    sizes = measure_step_sizes(load_body(), params, camera(3), 10)
    sideways = torch.zeros(3, 3)
    sideways[:, 0] = sizes.transl
    moved = vertices_px(replace(params, transl=params.transl + sideways)) - vertices_px(params)
    assert moved.norm(dim=-1).mean(1) == pytest.approx(1.0, rel=0.05)


def test_sizes_follow_the_distance_and_the_crop(params: BodyParams) -> None:
    body, near = load_body(), camera(3)
    sizes = measure_step_sizes(body, params, near, 10)
    finer = replace(near, K=near.K * torch.tensor([2.0, 2.0, 1.0])[:, None], width=224, height=384)
    double = measure_step_sizes(body, params, finer, 10)
    assert double.metres == pytest.approx(float(sizes.metres) / 2, rel=1e-3)
    assert torch.allclose(double.rotations, sizes.rotations / 2, rtol=0.02)
    assert torch.allclose(double.betas, sizes.betas / 2, rtol=1e-3)


def test_a_turn_of_the_root_moves_what_is_seen_by_about_a_pixel(params: BodyParams) -> None:
    sizes = measure_step_sizes(load_body(), params, camera(3), 10)
    turn = torch.zeros(3, 55, 3)
    turn[:, 0, 2] = sizes.rotations[:, 0]  # about the sight: nothing is lost to depth
    turned = replace(params, rotations=params.rotations @ axis_angle_to_matrix(turn))
    moved = (vertices_px(turned) - vertices_px(params)).norm(dim=-1)
    assert moved.square().mean(1).sqrt() == pytest.approx(1.0, rel=0.35)


def test_small_and_hidden_parts_keep_the_bound(params: BodyParams) -> None:
    rates = RatesConfig()
    sizes = measure_step_sizes(load_body(), params, camera(3), 10)
    full = pose_rates(sizes, rates, 1, 1.0)
    turn = full["rotations"]
    assert turn.shape == (165,)
    assert full["transl"].shape == (3,)
    assert full["expression"] == rates.expression
    assert float(turn.max()) == pytest.approx(rates.rotation_max)
    assert float(turn[:3].max()) < float(turn[-3:].max())  # the root against a finger
    assert torch.allclose(pose_rates(sizes, rates, 1, 0.5)["rotations"], 0.5 * turn)


def test_joints_out_of_the_picture_do_not_set_the_distance(params: BodyParams) -> None:
    """A head and shoulders close up: the knees lie elsewhere, and say nothing."""
    near = replace(params, transl=params.transl + torch.tensor([0.0, -0.45, 3.2]))
    wide = camera(3)
    sizes = measure_step_sizes(load_body(), near, wide, 10)
    body = load_body()
    joints = body.shape(near.betas).pose(near.rotations, near.transl).joints
    head = -joints[:, 15, 2].mean()
    assert float(sizes.metres * wide.K[0, 0, 0]) == pytest.approx(float(head), rel=0.25)
