"""What a clip never shows is coloured by the material of its part."""

import numpy as np
import pytest
import torch

from pear_avatar.body import load_body
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_state import FitState, new_state
from pear_avatar.fitting.materials import Materials, Region
from pear_avatar.geometry.meshes import face_normals

SKIN, HAIR = (0.8, 0.6, 0.5), (0.15, 0.1, 0.08)


@pytest.fixture(scope="module")
def state() -> FitState:
    body = load_body()
    return new_state(body, torch.zeros(body.num_betas), 1, FittingConfig(num_splats=12000))


@pytest.fixture(scope="module")
def materials(state: FitState) -> Materials:
    return Materials(load_body(), state.binding)


@pytest.fixture(scope="module")
def dressed(state: FitState, materials: Materials) -> tuple[torch.Tensor, np.ndarray]:
    """Colours of a person in stripes of height, and which splats a frontal clip knows."""
    body = load_body()
    points = state.binding.rest_points(body.v_template)
    stripes = 0.5 + 0.4 * torch.sign(torch.sin(points[:, 1] * 60))
    colors = torch.stack([stripes, 0.3 + 0 * stripes, 0.6 + 0 * stripes], 1)
    region = torch.from_numpy(materials.region)
    for part in (Region.FACE, Region.HAND, Region.NECK):
        colors[region == part] = torch.tensor(SKIN)
    colors[region == Region.SCALP] = torch.tensor(HAIR)
    front = face_normals(body.v_template, state.binding.face_vertices)[:, 2] > 0.5
    known = (front & (region != Region.HAND)).double().numpy()
    return torch.where(torch.from_numpy(known)[:, None] > 0, colors.float(), 0.5), known


def test_every_part_of_a_body_is_found(materials: Materials) -> None:
    counts = np.bincount(materials.region, minlength=len(Region))
    assert counts.min() > 10, dict(zip(Region, counts, strict=True))


def test_hands_are_skin_and_the_back_of_the_head_is_hair(materials, dressed) -> None:
    colors, known = dressed
    guess, found = materials.guess(colors, known)
    hand = torch.from_numpy(materials.region == Region.HAND)
    scalp = torch.from_numpy((materials.region == Region.SCALP) & (known == 0))
    assert found[hand].all()
    assert found[scalp].all()
    torch.testing.assert_close(guess[hand].median(0).values, torch.tensor(SKIN))
    torch.testing.assert_close(guess[scalp].median(0).values, torch.tensor(HAIR))


def test_a_pattern_goes_round_the_body(state, materials, dressed) -> None:
    colors, known = dressed
    guess, found = materials.guess(colors, known)
    body = load_body()
    back = face_normals(body.v_template, state.binding.face_vertices)[:, 2] < -0.7
    own = back & torch.from_numpy(materials.region == Region.TRUNK)
    assert found[own].float().mean() > 0.9
    points = state.binding.rest_points(body.v_template)
    stripes = 0.5 + 0.4 * torch.sign(torch.sin(points[:, 1] * 60))
    right = (guess[own, 0] - stripes[own]).abs() < 0.1
    assert right[found[own]].float().mean() > 0.7


def test_what_sits_on_the_middle_of_a_front_is_not_on_the_back(state, materials, dressed) -> None:
    colors, known = dressed
    body = load_body()
    points = state.binding.rest_points(body.v_template)
    trunk = torch.from_numpy((materials.region == Region.TRUNK) & (known > 0))
    buttons = trunk & (points[:, 0].abs() < 0.02)
    marked = colors.clone()
    marked[buttons] = torch.tensor([0.0, 1.0, 0.0])
    guess, found = materials.guess(marked, known)
    hidden = found & torch.from_numpy((materials.region == Region.TRUNK) & (known == 0))
    green = (guess[hidden, 1] > 0.9).float().mean()
    assert green < 0.02


def test_nothing_known_means_no_guess(materials, dressed) -> None:
    colors, known = dressed
    _, found = materials.guess(colors, np.zeros_like(known))
    assert not found.any()
