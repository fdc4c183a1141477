"""EHM-s on the open body: what it must leave alone, how its seams look, what a person keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pear_avatar.body import load_body
from pear_avatar.body.ehm import open_ehm
from pear_avatar.geometry.meshes import mesh_edges
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import Proportions

NECK, HEAD, JAW = 12, 15, 22


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def ehm(body):
    return open_ehm(body)


def scales(head, hand=1.0):
    return Proportions(torch.full((3,), float(head)), torch.full((3,), float(hand)))


def person_in_pose(body, strength=0.3, neck=True, seed=0):
    """betas, expression and rotations; the trunk's bones agree where ``neck`` is False."""
    generator = torch.Generator().manual_seed(seed)
    betas = torch.randn(body.num_betas, generator=generator)
    expression = 0.5 * torch.randn(body.num_expression, generator=generator)
    pose = strength * torch.randn(55, 3, generator=generator)
    if not neck:
        pose[[3, 6, 9, NECK, 13, 14, HEAD]] = 0
    return betas, expression, axis_angle_to_matrix(pose)


def millimetres(a, b):
    return 1e3 * (a - b).norm(dim=-1)


@pytest.mark.parametrize("variant", ["pear", "guava", "tracker"])
@pytest.mark.parametrize("own_head", [True, False])
def test_scale_one_and_the_same_head_change_nothing(body, variant, own_head):
    """Jaw and eyes posed; what is left is float32 rounding and skin of jaw and shoulders both."""
    ehm = open_ehm(body, variant)
    betas, expression, rotations = person_in_pose(body, neck=False)
    same = scales(1)
    if not own_head:
        same = replace(same, head_betas=ehm.head_betas_of(betas))
    plain = body.shape(betas, expression).pose(rotations)
    posed = ehm.shape(betas, expression, same).pose(rotations)
    assert millimetres(posed.vertices(), plain.vertices()).max() < 0.2
    assert millimetres(posed.joints, plain.joints).max() < 0.01


def test_a_bent_neck_differs_only_where_skin_hangs_on_neck_and_jaw(body, ehm):
    betas, expression, rotations = person_in_pose(body)
    plain = body.shape(betas, expression).pose(rotations)
    error = millimetres(ehm.shape(betas, expression).pose(rotations).vertices(), plain.vertices())
    weights = body.skin_weights_t
    others = 1 - weights[[HEAD, 22, 23, 24]].sum(0)
    both = (others > 1e-6) & (weights[22:25].sum(0) > 0)
    assert error[~both].max() < 0.01
    assert error.mean() < 0.01
    assert error.max() < 1.0


def test_the_head_spans_the_bodys_own_heads_and_no_others(body, ehm):
    """The shape space is orthogonal, ordered by size, centred on the eyes."""
    dirs = ehm.head.shape_dirs.double().flatten(0, 1)
    spread = dirs.T @ dirs
    sizes = spread.diagonal()
    assert (sizes.diff() <= 1e-9).all()
    off = spread - torch.diag(sizes)
    assert off.abs().max() < 1e-4 * sizes.max()
    head = ehm.head.shape(ehm.head_betas_of(torch.randn(100)))
    assert head.joints[3:5].mean(0).abs().max() < 1e-6
    table = ehm.betas_to_head
    assert torch.allclose(table @ table.T, torch.eye(100), atol=1e-5)
    assert ehm.head_betas_of(torch.ones(7)).shape == (100,)


def test_the_head_is_cut_in_the_neck(body, ehm):
    assert len(ehm.head_vertices) == 4801
    assert ehm.head.num_joints == 5
    assert len(ehm.lower) < len(ehm.neck) < 300
    turning = body.skin_weights_t[22:25].sum(0) > 0
    inside = torch.zeros(body.num_vertices, dtype=torch.bool)
    inside[ehm.head_vertices] = True
    assert not (turning & ~inside).any()  # jaw and eyes lie in the cut
    assert len(ehm.left_hand) == len(ehm.right_hand) > 1500


def seam_jump(ehm, given, inside):
    """Millimetres by which edges across a seam change; (n,)."""
    body = ehm.body
    moved = ehm.shape(None, None, given).vertices() - body.shape().vertices()
    edges = mesh_edges(body.faces)
    edges = edges[inside[edges[:, 0]] != inside[edges[:, 1]]]
    return millimetres(moved[edges[:, 0]], moved[edges[:, 1]])


@pytest.mark.parametrize("variant", ["pear", "guava", "tracker"])
def test_blended_seams_do_not_tear(body, variant):
    inside = torch.zeros(body.num_vertices, dtype=torch.bool)
    ehm = open_ehm(body, variant)
    inside[ehm.head_vertices] = True
    inside[ehm.head_vertices[{"pear": ehm.neck, "tracker": ehm.lower}.get(variant, [])]] = False
    hard = replace(ehm, blend=0.0)
    assert seam_jump(ehm, scales(1.05), inside).mean() < 2
    assert seam_jump(hard, scales(1.05), inside).mean() > 5
    hand = torch.zeros(body.num_vertices, dtype=torch.bool)
    hand[ehm.left_hand] = True
    assert seam_jump(ehm, scales(1, 1.05), hand).mean() < 1
    assert seam_jump(hard, scales(1, 1.05), hand).mean() > 2


def test_hands_are_really_scaled(body, ehm):
    """Finger bones keep their length times the scale; the other hand and the arm keep theirs."""
    rest, big = (ehm.shape(None, None, scales(1, s)).joints for s in (1.0, 1.2))
    for first, last in ((27, 26), (30, 29), (42, 41)):
        ratio = (big[first] - big[last]).norm() / (rest[first] - rest[last]).norm()
        assert ratio == pytest.approx(1.2, abs=0.01)
    assert millimetres(big[[16, 18]], rest[[16, 18]]).max() < 1e-3


def test_a_scaled_head_keeps_its_eyes_where_they_were(body, ehm):
    betas, expression, _ = person_in_pose(body)
    plain = body.shape(betas, expression).joints[23:25].mean(0)
    for own in (None, torch.randn(100)):
        given = replace(scales(1.4), head_betas=own)
        joints = ehm.shape(betas, expression, given).joints
        assert millimetres(joints[23:25].mean(0), plain) < 1e-3


@pytest.mark.parametrize("own_head", [True, False])
def test_a_baked_person_equals_the_composition(body, ehm, own_head):
    betas, expression, rotations = person_in_pose(body, neck=False)
    given = scales(1.3, 0.9)
    given = replace(
        given,
        head_betas=None if own_head else torch.randn(100),
        joint_offsets=0.01 * torch.randn(55, 3),
    )
    exact = ehm.shape(betas, expression, given).pose(rotations)
    person = ehm.person(given)
    plain = person.shape(betas, expression).pose(rotations)
    assert millimetres(plain.vertices(), exact.vertices()).max() < 0.01
    assert millimetres(plain.joints, exact.joints).max() < 0.01
    names = ("wholebody133", "mediapipe_face")
    for a, b in zip(plain.landmarks_many(*names), exact.landmarks_many(*names), strict=True):
        assert millimetres(a, b).max() < 0.02
    fixed = ehm.person(given, betas).shape(None, expression).pose(rotations)
    assert millimetres(fixed.vertices(), exact.vertices()).max() < 0.02


def test_bounds_of_a_baked_person(body, ehm):
    """A bent neck, and an open jaw in a head that is scaled unevenly."""
    betas, expression, rotations = person_in_pose(body)
    given = scales(1.3)
    error = millimetres(
        ehm.person(given).shape(betas, expression).pose(rotations).vertices(),
        ehm.shape(betas, expression, given).pose(rotations).vertices(),
    )
    assert error.mean() < 0.01
    assert error.max() < 1.5
    uneven = Proportions(torch.tensor([1.1, 1.2, 1.0]), torch.ones(3))
    open_jaw = torch.eye(3).repeat(55, 1, 1)
    open_jaw[JAW] = axis_angle_to_matrix(torch.tensor([0.35, 0.0, 0.0]))
    error = millimetres(
        ehm.person(uneven).shape(betas).pose(open_jaw).vertices(),
        ehm.shape(betas, None, uneven).pose(open_jaw).vertices(),
    )
    assert error.max() < 7
    assert error.mean() < 0.5


@pytest.mark.parametrize("scale", [0.8, 1.3, 2.0])
@pytest.mark.parametrize("hold", ["neck", "eyes"])
def test_children_and_cartoons_do_not_tear(body, ehm, scale, hold):
    """In a lively pose no edge but those of the eased nape and throat stretches by much more
    than the head does, and those stay short."""
    _, _, rotations = person_in_pose(body, strength=0.15)
    plain = body.shape().pose(rotations).vertices()
    given = ehm.scaled(scale, hand=1 + 0.5 * (scale - 1), hold=hold)
    vertices = ehm.shape(None, None, given).pose(rotations).vertices()
    edges = mesh_edges(body.faces)
    was, now = ((v[edges[:, 0]] - v[edges[:, 1]]).norm(dim=-1) for v in (plain, vertices))
    share = torch.ones(body.num_vertices)
    share[ehm.head_vertices] = ehm.head_share
    eased = (share[edges] < 1).any(1) & (share[edges] > 0).any(1)
    assert (now < max(scale, 1) * was + 0.002)[~eased].all()
    assert now[eased].max() < 0.08
    assert torch.isfinite(vertices).all()


def test_a_lifted_head_sits_on_the_neck(body, ehm):
    """Scaling about the eyes and lifting them is scaling about the neck joint."""
    whole = ehm.head_vertices[ehm.head_share == 1]
    neck = body.joint_template[NECK]
    wanted = neck + 1.5 * (body.v_template[whole] - neck)
    shaped = ehm.shape(None, None, ehm.scaled(1.5))
    assert millimetres(shaped.vertices()[whole], wanted).max() < 1e-3
    with pytest.raises(ValueError, match="hold"):
        ehm.scaled(1.5, hold="chin")
    batch = ehm.scaled(torch.tensor([1.0, 1.5]))
    assert batch.joint_offsets.shape == (2, 55, 3)
    assert torch.equal(batch.joint_offsets[0], torch.zeros(55, 3))
