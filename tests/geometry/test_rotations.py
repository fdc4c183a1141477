"""Rotations: round trips, gradients at the degenerate points, any batch shape."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pear_avatar.geometry import rotations as rot

BATCHES = st.sampled_from([(), (1,), (5,), (2, 3), (0,)])
ANGLES = [0.0, 1e-9, 1e-5, 1e-3, 3.2e-3, 0.03, 1.0, 2.5, math.pi - 1e-3, math.pi - 1e-7]


def random_axis_angle(batch, angle=None, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    axis = torch.randn(*batch, 3, dtype=dtype, generator=generator)
    axis = axis / axis.norm(dim=-1, keepdim=True)
    if angle is None:
        angle = math.pi * torch.rand(*batch, 1, dtype=dtype, generator=generator)
    return axis * angle


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize(("dtype", "tol"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_axis_angle_to_matrix_equals_scipy(angle, dtype, tol):
    aa = random_axis_angle((64,), angle)
    truth = torch.from_numpy(Rotation.from_rotvec(aa.numpy()).as_matrix())
    assert (rot.axis_angle_to_matrix(aa.to(dtype)).double() - truth).abs().max() < tol


@pytest.mark.parametrize("angle", ANGLES)
def test_axis_angle_round_trip(angle):
    aa = random_axis_angle((64,), angle, seed=1)
    assert (rot.matrix_to_axis_angle(rot.axis_angle_to_matrix(aa)) - aa).abs().max() < 1e-9


def test_exact_half_turns_return_the_same_rotation():
    axes = torch.tensor(
        [[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0.6, 0, -0.8]], dtype=torch.float64
    )
    R = 2 * axes[:, :, None] * axes[:, None, :] - torch.eye(3)
    back = rot.matrix_to_axis_angle(R)
    assert torch.allclose(back.norm(dim=-1), torch.full((5,), math.pi).double())
    assert (rot.axis_angle_to_matrix(back) - R).abs().max() < 1e-12


@settings(max_examples=40, deadline=None)
@given(batch=BATCHES, seed=st.integers(0, 10_000))
def test_quaternion_conversions_any_batch(batch, seed):
    R = rot.axis_angle_to_matrix(random_axis_angle(batch, seed=seed))
    quat = rot.matrix_to_quat_wxyz(R)
    assert R.shape == (*batch, 3, 3)
    assert quat.shape == (*batch, 4)
    assert bool((quat[..., 0] >= 0).all())
    assert torch.allclose(rot.quat_wxyz_to_matrix(3.0 * quat), R, atol=1e-12)
    assert torch.allclose(rot.rotation_6d_to_matrix(rot.matrix_to_rotation_6d(R)), R, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(batch=BATCHES, seed=st.integers(0, 10_000))
def test_quaternion_product_is_the_matrix_product(batch, seed):
    a = rot.axis_angle_to_matrix(random_axis_angle(batch, seed=seed))
    b = rot.axis_angle_to_matrix(random_axis_angle(batch, seed=seed + 1))
    product = rot.quat_multiply_wxyz(rot.matrix_to_quat_wxyz(a), rot.matrix_to_quat_wxyz(b))
    assert torch.allclose(rot.quat_wxyz_to_matrix(product), a @ b, atol=1e-12)


def test_rotation_6d_makes_rotations_of_anything():
    R = rot.rotation_6d_to_matrix(torch.randn(100, 6, dtype=torch.float64))
    assert torch.allclose(R @ R.mT, torch.eye(3).double().expand_as(R), atol=1e-12)
    assert torch.allclose(torch.linalg.det(R), torch.ones(100).double())


@pytest.mark.parametrize("angle", ANGLES)
def test_gradients_by_finite_differences(angle):
    aa = random_axis_angle((3,), angle, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(rot.axis_angle_to_matrix, aa)
    if 1e-5 < angle < math.pi - 1e-4:  # closer to a half turn the answer itself jumps
        assert torch.autograd.gradcheck(
            lambda x: rot.matrix_to_axis_angle(rot.axis_angle_to_matrix(x)), aa
        )


def test_axis_angle_gradient_at_identity_is_the_identity():
    aa = torch.zeros(3, dtype=torch.float64)
    jac = torch.autograd.functional.jacobian(
        lambda x: rot.matrix_to_axis_angle(rot.axis_angle_to_matrix(x)), aa
    )
    assert torch.allclose(jac, torch.eye(3).double(), atol=1e-12)


@pytest.mark.parametrize("diagonal", [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)])
def test_gradients_are_finite_at_identity_and_half_turns(diagonal):
    R = torch.diag(torch.tensor(diagonal, dtype=torch.float32)).requires_grad_()
    rot.matrix_to_axis_angle(R).sum().backward()
    assert bool(R.grad.isfinite().all())


def test_geodesic_angle():
    a = rot.axis_angle_to_matrix(random_axis_angle((50,), seed=3))
    step = random_axis_angle((50,), seed=4)
    b = a @ rot.axis_angle_to_matrix(step)
    assert torch.allclose(rot.geodesic_angle(a, b), step.norm(dim=-1), atol=1e-9)


def test_rotation_between_turns_the_shortest_way():
    s, t = torch.randn(2, 200, 3, dtype=torch.float64)
    R = rot.rotation_between(s, t)
    unit = torch.nn.functional.normalize
    assert torch.allclose((R @ s[..., None]).squeeze(-1) / s.norm(dim=-1, keepdim=True), unit(t))
    expected = torch.acos((unit(s) * unit(t)).sum(-1))
    assert torch.allclose(rot.geodesic_angle(R, torch.eye(3).double()), expected, atol=1e-7)


def test_rotation_between_opposite_directions_is_a_half_turn():
    s = torch.cat([torch.eye(3), torch.randn(20, 3)]).double()
    R = rot.rotation_between(s, -s)
    assert torch.allclose((R @ s[..., None]).squeeze(-1), -s, atol=1e-9)
    assert torch.allclose(torch.linalg.det(R), torch.ones(len(s)).double())


def test_slerp_moves_at_constant_speed():
    a = rot.matrix_to_quat_wxyz(rot.axis_angle_to_matrix(random_axis_angle((30,), seed=5)))
    step = random_axis_angle((30,), seed=6) * 0.9
    b = rot.quat_multiply_wxyz(a, rot.matrix_to_quat_wxyz(rot.axis_angle_to_matrix(step)))
    for fraction in (0.0, 0.3, 1.0):
        mid = rot.slerp_wxyz(a, -b, torch.full((30,), fraction).double())
        angle = rot.geodesic_angle(rot.quat_wxyz_to_matrix(a), rot.quat_wxyz_to_matrix(mid))
        assert torch.allclose(angle, fraction * step.norm(dim=-1), atol=1e-8)


def test_wrong_shapes_say_what_was_found():
    with pytest.raises(ValueError, match=r"\(\*B, 3, 3\), got \(4, 3\)"):
        rot.matrix_to_quat_wxyz(torch.zeros(4, 3))
