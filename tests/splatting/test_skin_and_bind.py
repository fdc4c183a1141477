"""Fused skinning and binding against its torch twin."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pear_avatar import _native
from pear_avatar.geometry.rotations import quat_wxyz_to_matrix
from pear_avatar.splatting.skin_and_bind import SkinnedSplats, skin_and_bind


def _scene(vertices=60, splats=90, joints=9, influences=4, seed=0):
    """A cloud of triangles under random rigid joints; inputs exactly float32."""
    g = torch.Generator().manual_seed(seed)
    skin_joints = torch.randint(joints, (vertices, influences), generator=g)
    weights = torch.rand(vertices, influences, generator=g)
    weights[:, 1:] *= torch.rand(vertices, influences - 1, generator=g) > 0.4  # unused places
    weights = weights / weights.sum(1, keepdim=True)
    corner = torch.rand(splats, vertices, generator=g).argsort(1)[:, :3]  # three different ones
    barycentric = torch.rand(splats, 3, generator=g)
    barycentric = barycentric / barycentric.sum(1, keepdim=True)
    skinned = SkinnedSplats.build(skin_joints, weights, corner, barycentric, joints)
    rotations = quat_wxyz_to_matrix(
        torch.nn.functional.normalize(torch.randn(joints, 4, generator=g), dim=1)
    )
    transforms = torch.cat((rotations, torch.randn(joints, 3, 1, generator=g)), dim=2)
    inputs = [
        torch.randn(vertices, 3, generator=g),
        transforms,
        0.01 * torch.randn(splats, 3, generator=g),
        torch.randn(splats, 4, generator=g),
    ]
    return skinned, inputs


def _run(skinned, inputs, backend, dtype, skip=()):
    leaves = [t.to(dtype).clone().requires_grad_() for t in inputs]
    outputs = skin_and_bind(skinned, *leaves, backend=backend)
    g = torch.Generator().manual_seed(7)
    loss = sum(
        (o * torch.randn(o.shape, generator=g, dtype=torch.float64)).sum()
        for k, o in enumerate(outputs)
        if k not in skip
    )
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    gradients = [
        torch.zeros_like(x) if t is None else t for t, x in zip(gradients, leaves, strict=True)
    ]
    return outputs, gradients


def _assert_close(found, truth, bound):
    for f, t in zip(found, truth, strict=True):
        f, t = f.detach().double(), t.detach()
        assert float((f - t).norm()) <= bound * float(t.norm()) + 1e-12


@settings(max_examples=40, deadline=None)
@given(
    vertices=st.integers(3, 200),
    splats=st.integers(0, 200),
    joints=st.integers(1, 55),
    influences=st.integers(1, 8),
    seed=st.integers(0, 1000),
)
def test_kernel_matches_twin(vertices, splats, joints, influences, seed):
    skinned, inputs = _scene(vertices, splats, joints, influences, seed)
    truth, truth_gradients = _run(skinned, inputs, "torch", torch.float64)
    found, gradients = _run(skinned, inputs, "cpu", torch.float32)
    # A frame turned by nearly 180 degrees has w near 0, whose sign rounding may decide.
    dot = (found[2].double() * truth[2]).sum(1, keepdim=True)
    sign = torch.where(dot < 0, -1.0, 1.0)
    if bool((dot < 0).any()):
        error = (found[2].double() * sign - truth[2]).detach().norm() / truth[2].detach().norm()
        assert error < 1e-4
        return
    # Triangles here may be slivers, whose normals amplify rounding.
    _assert_close(found, truth, 1e-4)
    _assert_close(gradients, truth_gradients, 1e-4)


def test_accuracy_on_good_triangles():
    skinned, inputs = _scene(600, 900, seed=4)
    truth, truth_gradients = _run(skinned, inputs, "torch", torch.float64)
    found, gradients = _run(skinned, inputs, "cpu", torch.float32)
    _assert_close(found, truth, 5e-6)
    _assert_close(gradients, truth_gradients, 5e-6)


@pytest.mark.parametrize("skip", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2)])
def test_outputs_that_get_no_gradient(skip):
    skinned, inputs = _scene(seed=4)
    _, truth = _run(skinned, inputs, "torch", torch.float64, skip)
    _, found = _run(skinned, inputs, "cpu", torch.float32, skip)
    _assert_close(found, truth, 1e-4)


def test_gradcheck_of_the_twin_with_the_frame_held():
    """Offsets and local rotations are exact; vertices and joints are through the mean's
    barycentric part, so check those with the offsets at zero and without the rotations."""
    skinned, inputs = _scene(8, 5, 3, 2)
    v_rest, transforms, offsets, quats = (t.double().requires_grad_() for t in inputs)
    zero = torch.zeros_like(offsets)

    def points(v, t):
        return skin_and_bind(skinned, v, t, zero, quats.detach(), backend="torch")[:2]

    def local(o, q):
        return skin_and_bind(skinned, v_rest.detach(), transforms.detach(), o, q, backend="torch")[
            1:
        ]

    assert torch.autograd.gradcheck(points, (v_rest, transforms))
    assert torch.autograd.gradcheck(local, (offsets, quats))


def test_any_number_of_threads_gives_the_same_bits():
    skinned, inputs = _scene(3000, 5000)
    before = _native.num_threads()
    results = []
    for count in (1, 2, 5):
        _native.set_num_threads(count)
        outputs, gradients = _run(skinned, inputs, "cpu", torch.float32)
        results.append((*outputs, *gradients))
    _native.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_rigid_move_carries_the_splats_along():
    """Turning every joint alike turns means and rotations by the same amount."""
    skinned, inputs = _scene(40, 30, 3)
    turn = quat_wxyz_to_matrix(torch.nn.functional.normalize(torch.randn(4), dim=0))
    still = torch.eye(3, 4).repeat(3, 1, 1)
    turned = torch.cat((turn, torch.tensor([[0.1], [0.2], [0.3]])), dim=1).repeat(3, 1, 1)
    _, means, quats = skin_and_bind(skinned, inputs[0], still, *inputs[2:])
    _, moved, moved_quats = skin_and_bind(skinned, inputs[0], turned, *inputs[2:])
    torch.testing.assert_close(moved, means @ turn.T + turned[0, :, 3], rtol=0, atol=1e-5)
    before = quat_wxyz_to_matrix(torch.nn.functional.normalize(quats, dim=1))
    after = quat_wxyz_to_matrix(torch.nn.functional.normalize(moved_quats, dim=1))
    torch.testing.assert_close(after, turn @ before, rtol=0, atol=2e-4)


def test_degenerate_triangle_stays_finite():
    skinned, inputs = _scene(40, 30, 3)
    inputs[0][:] = 0.0
    outputs, gradients = _run(skinned, inputs, "cpu", torch.float32)
    assert all(t.isfinite().all() for t in (*outputs, *gradients))


def test_errors_name_what_was_found():
    skinned, (v, t, o, q) = _scene()
    with pytest.raises(ValueError, match=r"v_rest must be \(60, 3\), got \(59, 3\)"):
        skin_and_bind(skinned, v[:-1], t, o, q)
    with pytest.raises(ValueError, match=r"joint_transforms must be \(9, 3, 4\)"):
        skin_and_bind(skinned, v, t[:, :, :3], o, q)
    with pytest.raises(ValueError, match=r"skin_joints must lie in \[0, 3\), found"):
        SkinnedSplats.build(
            skinned.skin_joints,
            skinned.skin_weights,
            skinned.face_vertices,
            skinned.barycentric,
            3,
        )
    with pytest.raises(ValueError, match=r"found -1 to"):
        SkinnedSplats.build(
            skinned.skin_joints,
            skinned.skin_weights,
            skinned.face_vertices - 1,
            skinned.barycentric,
            9,
        )
    with pytest.raises(ValueError, match=r"\(60, 4\) and \(60, 3\)"):
        SkinnedSplats.build(
            skinned.skin_joints,
            skinned.skin_weights[:, :3],
            skinned.face_vertices,
            skinned.barycentric,
            9,
        )
