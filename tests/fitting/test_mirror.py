"""One side of the body takes after the other where the clip shows only that one."""

import pytest
import torch

from pear_avatar.body import load_body
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_state import FitState, new_state
from pear_avatar.fitting.mirror import (
    Partners,
    light_between_sides,
    share_of_partner,
    take_after,
)
from pear_avatar.fitting.visibility import neighbours_on_surface
from pear_avatar.geometry.rotations import quat_wxyz_to_matrix
from pear_avatar.splatting.skin_and_bind import skin_and_bind

COUNT = 6000


@pytest.fixture
def state() -> FitState:
    body = load_body()
    return new_state(body, torch.zeros(body.num_betas), 1, FittingConfig(num_splats=COUNT))


@pytest.fixture
def partners(state: FitState) -> Partners:
    return Partners.of(load_body(), state.binding)


def at_rest(state: FitState) -> tuple[torch.Tensor, torch.Tensor]:
    """Centres (N, 3) and covariances (N, 3, 3) of the splats at rest."""
    body = load_body()
    rest = torch.eye(3, 4).repeat(body.num_joints, 1, 1)
    s = state.splats
    _, means, quats = skin_and_bind(
        state.skinned, body.v_template, rest, s["offsets"], s["local_quats"]
    )
    axes = quat_wxyz_to_matrix(torch.nn.functional.normalize(quats, dim=-1))
    axes = axes * s["log_scales"].exp()[:, None, :]
    return means, axes @ axes.mT


def test_splats_are_made_in_exact_pairs(state: FitState, partners: Partners) -> None:
    assert partners.usable.all()
    torch.testing.assert_close(partners.index, torch.arange(COUNT).roll(COUNT // 2))
    means, _ = at_rest(state)
    flip = torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(means[partners.index], means * flip, atol=1e-5, rtol=0)


def test_a_hidden_side_becomes_the_exact_mirror_image(state: FitState, partners: Partners) -> None:
    generator = torch.Generator().manual_seed(1)
    left = torch.arange(COUNT) < COUNT // 2
    s = state.splats
    for name, size in (("offsets", 0.004), ("local_quats", 0.1), ("log_scales", 0.3)):
        noise = torch.randn(s[name].shape, generator=generator) * size
        s[name] += noise * left[:, None]
    s["colors"].copy_(torch.rand(COUNT, 3, generator=generator))
    before = s["colors"].clone()
    share = share_of_partner(partners, left.float())
    take_after(state, partners, share, torch.zeros(COUNT, 3))
    torch.testing.assert_close(s["colors"][left], before[left])
    torch.testing.assert_close(s["colors"][~left], before[left])
    means, covariance = at_rest(state)
    flip = torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(means[~left], means[left] * flip, atol=1e-5, rtol=0)
    mirrored = torch.diag(flip) @ covariance[left] @ torch.diag(flip)
    torch.testing.assert_close(covariance[~left], mirrored, atol=1e-8, rtol=1e-3)


def test_the_better_shown_side_wins_and_equals_keep_their_own(partners: Partners) -> None:
    evidence = torch.ones(COUNT)
    assert share_of_partner(partners, evidence).abs().max() == 0
    evidence[: COUNT // 2] = 0.1
    share = share_of_partner(partners, evidence)
    assert share[: COUNT // 2].min() > 0.6
    assert share[COUNT // 2 :].max() == 0
    assert share_of_partner(partners, torch.zeros(COUNT)).max() == 0


def test_what_is_shown_fairly_takes_nothing(partners: Partners) -> None:
    evidence = torch.ones(COUNT)
    evidence[: COUNT // 2] = 0.5
    assert share_of_partner(partners, evidence).max() == 0


def test_copied_colours_are_put_into_the_light_of_their_side(
    state: FitState, partners: Partners
) -> None:
    body = load_body()
    points = state.binding.rest_points(body.v_template)
    lit = 0.5 + 0.2 * (points[:, :1] > 0)
    colors = lit.expand(-1, 3).contiguous()
    evidence = (points[:, 1] > points[:, 1].median()).float()
    ring = neighbours_on_surface(body, state, 8)
    light = light_between_sides(colors, partners, evidence, ring)
    away = points[:, 0].abs() > 0.1
    near = away & (evidence > 0)
    expected = torch.log(torch.tensor(0.74 / 0.54))
    assert (light[near & (points[:, 0] < 0)] + expected).abs().median() < 0.05
    assert (light[near & (points[:, 0] > 0)] - expected).abs().median() < 0.05
