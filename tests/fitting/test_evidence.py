"""Splats go where the clip's pixels are, and leave no gaps where it shows little."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.spatial import cKDTree
from synthetic_clip import camera, true_motion

from pear_avatar.avatar.binding import sample_surface
from pear_avatar.body import load_body
from pear_avatar.fitting.evidence import evidence_density
from pear_avatar.fitting.fit_state import splat_density


@pytest.fixture(scope="module")
def body():
    return load_body()


def test_a_close_up_gets_its_splats_on_what_it_shows(body):
    params = true_motion(3)
    near = replace(params, transl=params.transl + torch.tensor([0.0, -0.8, 3.2]))
    prior = splat_density(body)
    density = evidence_density(body, near, camera(3), prior, 0.7)
    head = body.skin_weights_t[[15, 22, 23, 24]].sum(0)[body.faces].mean(1) > 0.5
    legs = body.skin_weights_t[[1, 2, 4, 5]].sum(0)[body.faces].mean(1) > 0.5

    def share(values, part):
        v = body.v_template
        a, b, c = (v[body.faces[:, k]] for k in range(3))
        weight = values * torch.linalg.cross(b - a, c - a).norm(dim=-1)
        return float(weight[part].sum() / weight.sum())

    assert share(density, head) > 1.8 * share(prior, head)
    assert 0 < share(density, legs) < 0.45 * share(prior, legs)


def test_without_evidence_or_share_the_prior_stays(body):
    params, prior = true_motion(2), splat_density(body)
    away = replace(params, transl=params.transl + torch.tensor([50.0, 0.0, 0.0]))
    assert torch.equal(evidence_density(body, away, camera(2), prior, 0.7), prior)
    even = evidence_density(body, params, camera(2), prior, 0.0)
    assert torch.allclose(even / even.sum(), prior / prior.sum())


def test_density_changes_gently(body):
    """Neighbouring faces on the skin differ by less than four times: no pinholes at a step."""
    params = true_motion(3)
    near = replace(params, transl=params.transl + torch.tensor([0.0, -0.8, 3.2]))
    prior = torch.ones(len(body.faces))
    density = evidence_density(body, near, camera(3), prior, 0.7)
    corner = torch.zeros(body.num_vertices)
    for reduce, start in (("amax", 0.0), ("amin", 1e9)):
        corner = torch.full((body.num_vertices,), start).scatter_reduce(
            0, body.faces.flatten(), density.repeat_interleave(3), reduce
        )
        if reduce == "amax":
            largest = corner
    ratio = largest / corner
    assert float(ratio.quantile(0.99)) < 4


def test_splats_keep_their_distance(body):
    binding = sample_surface(body.v_template, body.faces, splat_density(body), 8000, 0)
    points = binding.rest_points(body.v_template).numpy()
    nearest = cKDTree(points).query(points, k=2)[0][:, 1] / binding.spacing.numpy()
    # Independent points have a mean of 0.55 and a spread of 0.24.
    assert nearest.mean() > 0.7
    assert nearest.std() < 0.2
    again = sample_surface(body.v_template, body.faces, splat_density(body), 8000, 0)
    assert torch.equal(again.barycentric, binding.barycentric)
