"""The report says what was seen, mirrored and made up, and which frames were left out."""

import numpy as np
import pytest
import torch

from pear_avatar.avatar.avatar import Avatar, SplatSet
from pear_avatar.avatar.binding import sample_surface
from pear_avatar.body import load_body
from pear_avatar.report.origins import origin_shares, origin_views, refused_frames


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    body = load_body()
    binding = sample_surface(body.v_template, body.faces, torch.ones(len(body.faces)), 4000, 0)
    n = binding.count
    splats = SplatSet(
        torch.zeros(n, 3),
        torch.tensor([1.0, 0, 0, 0]).repeat(n, 1),
        torch.full((n, 3), -4.6),
        torch.full((n,), 4.0),
        torch.full((n, 3), 0.5),
    )
    return Avatar(body, binding, splats, torch.zeros(body.num_betas))


def test_the_map_shows_a_seen_front_and_a_made_up_back(avatar: Avatar) -> None:
    points = avatar.binding.rest_points(avatar.body.v_template)
    front = (points[:, 2] > points[:, 2].median()).float()
    origins = torch.stack([front, 0 * front, 1 - front], 1)
    pictures = dict(origin_views(avatar, origins, (90, 128)))
    blue = {
        label: int(p[..., 2].astype(int).sum() - p[..., 0].sum()) for label, p in pictures.items()
    }
    assert blue["0°"] > 3 * abs(blue["180°"])


def test_shares_sum_to_one(avatar: Avatar) -> None:
    n = avatar.num_splats
    shares = origin_shares(avatar, torch.tensor([0.25, 0.25, 0.5]).repeat(n, 1))
    assert shares == {"seen": 0.25, "mirrored": 0.25, "made_up": 0.5}


def test_refused_frames_are_named_in_ranges_with_their_reason() -> None:
    frame = np.arange(0, 20, 2)
    trusted = np.ones(10, bool)
    trusted[[1, 2, 3, 6, 9]] = False
    reason = np.array(
        ["", "too small", "too small", "too small", "", "", "another person", "", "", ""]
    )
    assert refused_frames(frame, trusted, list(reason)) == {
        "too small": "2-6",
        "another person": "12",
        "refused after tracking": "18",
    }
    assert refused_frames(frame, np.ones(10, bool), [""] * 10) == {}
