"""EHM-s on the files' layout: a head model that reaches below the neck must not tear the chest."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pear_avatar.body.ehm import EhmModel
from pear_avatar.body.ehm.region import of_head_or_neck
from pear_avatar.body.sources import BodySource, load_ehm
from pear_avatar.geometry.meshes import mesh_edges
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import Proportions

TRUNK = [3, 6, 9, 12, 13, 14, 15]


@pytest.fixture(scope="module")
def ehm(body_models) -> EhmModel:
    return load_ehm(BodySource("smplx", body_models))


def scales(head, hand=1.0):
    return Proportions(torch.full((3,), float(head)), torch.full((3,), float(hand)))


def millimetres(a, b):
    return 1e3 * (a - b).norm(dim=-1)


def moved_by(ehm, given):
    """(V, 3) metres by which proportions move the mean body's vertices."""
    return ehm.shape(None, None, given).vertices() - ehm.body.shape().vertices()


def jumps(moved, edges):
    return millimetres(moved[edges[:, 0]], moved[edges[:, 1]])


def crossing(body, inside):
    """Edges with one end inside."""
    edges = mesh_edges(body.faces)
    return edges[inside[edges[:, 0]] != inside[edges[:, 1]]]


@pytest.mark.parametrize(
    ("variant", "mean", "largest"), [("pear", 1.0, 4), ("tracker", 1.5, 4), ("guava", 2.0, 6)]
)
def test_blended_seams_do_not_tear(ehm, variant, mean, largest):
    """Where the new head begins, and anywhere else on the mesh."""
    ehm = replace(ehm, variant=variant)
    body = ehm.body
    inside = torch.zeros(body.num_vertices, dtype=torch.bool)
    inside[ehm.head_vertices] = ehm.head_share > 0
    moved = moved_by(ehm, scales(1.05))
    assert jumps(moved, crossing(body, inside)).mean() < mean
    assert jumps(moved, mesh_edges(body.faces)).max() < largest
    hard = moved_by(replace(ehm, blend=0.0), scales(1.05))
    assert jumps(hard, mesh_edges(body.faces)).max() > 1.5 * largest
    hand = torch.zeros(body.num_vertices, dtype=torch.bool)
    hand[ehm.left_hand] = True
    assert jumps(moved_by(ehm, scales(1, 1.05)), crossing(body, hand)).mean() < 1


@pytest.mark.parametrize("variant", ["pear", "guava", "tracker"])
def test_shoulders_stay_the_bodys_whatever_the_heads_size(ehm, variant):
    ehm = replace(ehm, variant=variant)
    lower = ~of_head_or_neck(ehm.body)
    for hold in ("neck", "eyes"):
        moved = moved_by(ehm, ehm.scaled(1.5, hold=hold))
        assert torch.equal(moved[lower], torch.zeros_like(moved[lower]))


def test_a_hard_overwrite_takes_the_published_sets_as_they_are(ehm):
    hard = replace(ehm, blend=0.0)
    kept = torch.nonzero(hard.head_share == 0).squeeze(-1)
    assert torch.equal(kept, hard.neck.sort().values)
    assert (replace(hard, variant="guava").head_share == 1).all()


@pytest.mark.parametrize("variant", ["pear", "guava", "tracker"])
def test_scale_one_of_the_bodys_own_head_changes_nothing(ehm, real_body_models, variant):
    """Jaw and eyes posed, trunk at rest; a baked person is exact there as well."""
    if real_body_models:
        pytest.skip("the real files give SMPL-X and FLAME jaws of their own")
    ehm = replace(ehm, variant=variant)
    body = ehm.body
    generator = torch.Generator().manual_seed(0)
    betas = torch.randn(10, generator=generator)
    expression = 0.5 * torch.randn(body.num_expression, generator=generator)
    pose = 0.3 * torch.randn(55, 3, generator=generator)
    pose[TRUNK] = 0
    rotations = axis_angle_to_matrix(pose)
    posed = ehm.shape(betas, expression, scales(1)).pose(rotations)
    plain = body.shape(betas, expression).pose(rotations)
    assert millimetres(posed.vertices(), plain.vertices()).max() < 0.01
    given = scales(1.3, 0.9)
    posed = ehm.shape(betas, expression, given).pose(rotations)
    baked = ehm.person(given).shape(betas, expression).pose(rotations)
    assert millimetres(posed.vertices(), baked.vertices()).max() < 0.01
