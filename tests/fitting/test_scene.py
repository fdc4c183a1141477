"""The fit poses a body with correctives exactly as the body itself does."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import torch
from synthetic_clip import camera

from pear_avatar.body import load_body
from pear_avatar.body.chain import corrected_chain
from pear_avatar.fitting.fit_scene import Leaves, Pose, make_scene, rest_body
from pear_avatar.fitting.fit_scene import pose_correctives as correctives
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import BodyParams


def test_the_fit_s_body_equals_the_body():
    """Correctives and joints that expressions move: SMPL-X has both, the open body neither."""
    plain, g = load_body(), torch.Generator().manual_seed(0)
    body = replace(
        plain,
        pose_dirs=1e-3 * torch.randn(plain.num_vertices, 3, 486, generator=g),
        joint_expression_dirs=1e-3 * torch.randn(55, 3, plain.num_expression, generator=g),
    )
    betas, expression = torch.randn(10, generator=g), torch.randn(1, 52, generator=g)
    rotations = axis_angle_to_matrix(0.4 * torch.randn(1, 55, 3, generator=g))
    params = BodyParams(betas, expression, rotations, torch.randn(1, 3, generator=g))
    frames = SimpleNamespace(camera=camera(1))
    scene = make_scene(body, frames, params, (torch.zeros(1, 33, 3), torch.zeros(1, 478, 3)), 10)
    offsets = 0.01 * torch.randn(body.num_vertices, 3, generator=g)
    pose = Pose(torch.zeros(55, 3), torch.zeros(3), torch.zeros(52))
    leaves = Leaves({}, offsets, betas, torch.zeros(()), pose)
    one = params[0]
    posed = body.shape(betas, one.expression, vertex_offsets=offsets).pose(
        one.rotations, one.transl
    )
    rest, joints = rest_body(scene, leaves, one.expression)
    found = rest + correctives(body, one.rotations)
    assert (found - posed.rest_vertices()).abs().max() < 1e-5
    _, transforms = corrected_chain(
        one.rotations, torch.zeros(55, 3), joints, one.transl, body.tree
    )
    expected = posed.rest_to_posed.clone()
    assert (transforms - expected).abs().max() < 1e-5
    assert float(correctives(plain, one.rotations).abs().max()) == 0.0


def test_gradients_of_the_body_at_rest():
    """The one-pass gradient of shape, clothes and expression, by differences in float64."""
    g = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    scene = SimpleNamespace(
        body=SimpleNamespace(v_template=random(6, 3), joint_template=random(3, 3)),
        shape_basis=random(18, 4),
        expression_basis=random(6, 2),
        expression_vertices=torch.tensor([1, 4]),
        joint_bases=(random(9, 4), random(9, 2)),
    )

    def at_rest(offsets, betas, expression):
        leaves = Leaves({}, offsets, betas, torch.zeros(()), None)
        return rest_body(scene, leaves, expression)

    leaves = [x.requires_grad_() for x in (random(6, 3), random(4), random(2))]
    assert torch.autograd.gradcheck(at_rest, leaves)
