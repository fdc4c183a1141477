"""Kinematics and skinning against slow twins and finite differences."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pear_avatar.body.joints import PARENTS
from pear_avatar.body.skinning import (
    KinematicTree,
    SkinTable,
    fk_transforms,
    forward_kinematics,
    linear_blend_skinning,
)
from pear_avatar.geometry.rotations import axis_angle_to_matrix

TREE = KinematicTree.from_parents(PARENTS)
BATCHES = st.sampled_from([(), (1,), (2, 3)])
F64 = torch.float64


def slow_fk(rotations, joints, parents):
    """One body, one joint after the other, 4 x 4."""
    world = []
    for j, parent in enumerate(parents):
        local = torch.eye(4, dtype=rotations.dtype)
        local[:3, :3] = rotations[j]
        local[:3, 3] = joints[j] if parent < 0 else joints[j] - joints[parent]
        world.append(local if parent < 0 else world[parent] @ local)
    return torch.stack(world)[:, :3]


def slow_lbs(vertices, transforms, weights):
    """One body, by the textbook formula."""
    blended = torch.einsum("vj,jrc->vrc", weights, transforms)
    homogeneous = torch.cat([vertices, torch.ones_like(vertices[:, :1])], dim=-1)
    return torch.einsum("vrc,vc->vr", blended, homogeneous)


def random_weights(num_joints, num_vertices):
    weights = torch.rand(num_joints, num_vertices, dtype=F64)
    return weights / weights.sum(0)


@settings(max_examples=12, deadline=None)
@given(pose_batch=BATCHES, shared=st.booleans(), seed=st.integers(0, 999))
def test_fk_equals_the_slow_twin(pose_batch, shared, seed):
    torch.manual_seed(seed)
    rotations = axis_angle_to_matrix(torch.randn(*pose_batch, 55, 3, dtype=F64))
    joints = torch.randn(*(() if shared else pose_batch), 55, 3, dtype=F64)
    world = forward_kinematics(rotations, joints, TREE)
    assert world.shape == (*pose_batch, 55, 3, 4)
    flat_joints = joints.expand(*pose_batch, 55, 3).reshape(-1, 55, 3)
    for R, j, T in zip(
        rotations.reshape(-1, 55, 3, 3), flat_joints, world.reshape(-1, 55, 3, 4), strict=True
    ):
        assert torch.allclose(T, slow_fk(R, j, PARENTS), atol=1e-10)


def test_fk_gives_many_shapes_one_pose():
    rotations = axis_angle_to_matrix(torch.randn(55, 3, dtype=F64))
    joints = torch.randn(4, 55, 3, dtype=F64)
    world = forward_kinematics(rotations, joints, TREE)
    assert torch.allclose(world[2], slow_fk(rotations, joints[2], PARENTS))


@settings(max_examples=12, deadline=None)
@given(batch=BATCHES, shared=st.booleans(), num=st.integers(1, 40))
def test_lbs_equals_the_slow_twin(batch, shared, num):
    transforms = torch.randn(*batch, 5, 3, 4, dtype=F64)
    vertices = torch.randn(*(() if shared else batch), num, 3, dtype=F64)
    weights_t = random_weights(5, num)
    out = linear_blend_skinning(vertices, transforms, weights_t)
    assert out.shape == (*batch, num, 3)
    flat = vertices.expand(*batch, num, 3).reshape(-1, num, 3)
    for v, A, o in zip(flat, transforms.reshape(-1, 5, 3, 4), out.reshape(-1, num, 3), strict=True):
        assert torch.allclose(o, slow_lbs(v, A, weights_t.T), atol=1e-12)


def test_fk_gradcheck():
    parents = (-1, 0, 1, 1, 0)
    tree = KinematicTree.from_parents(parents)
    rotations = torch.randn(2, 5, 3, 3, dtype=F64, requires_grad=True)
    joints = torch.randn(5, 3, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda r, j: fk_transforms(r, j, tree), (rotations, joints))


@pytest.mark.parametrize("shared", [False, True])
def test_lbs_gradcheck(shared, monkeypatch):
    monkeypatch.setattr("pear_avatar.body.skinning._CHUNK_VERTICES", 20)  # several chunks
    transforms = torch.randn(3, 4, 3, 4, dtype=F64, requires_grad=True)
    vertices = torch.randn(*(() if shared else (3,)), 9, 3, dtype=F64, requires_grad=True)
    weights_t = random_weights(4, 9)
    assert torch.autograd.gradcheck(
        lambda v, a: linear_blend_skinning(v, a, weights_t), (vertices, transforms)
    )


def test_one_rigid_motion_of_all_joints_moves_the_mesh_rigidly():
    R = axis_angle_to_matrix(torch.tensor([0.3, -0.5, 0.7], dtype=F64))
    rotations = torch.eye(3, dtype=F64).repeat(55, 1, 1)
    rotations[0] = R
    joints, vertices = torch.randn(55, 3, dtype=F64), torch.randn(30, 3, dtype=F64)
    moved = linear_blend_skinning(
        vertices, fk_transforms(rotations, joints, TREE), random_weights(55, 30)
    )
    assert torch.allclose(moved, (vertices - joints[0]) @ R.T + joints[0])  # about the pelvis


def test_bad_skeletons_and_shapes_are_named():
    with pytest.raises(ValueError, match="root"):
        KinematicTree.from_parents((0, -1))
    with pytest.raises(ValueError, match="joint 1 must follow its parent, got parent 2"):
        KinematicTree.from_parents((-1, 2, 0))
    with pytest.raises(ValueError, match=r"\(\*B, 55, 3, 3\), got \(54, 3, 3\)"):
        forward_kinematics(torch.zeros(54, 3, 3), torch.zeros(55, 3), TREE)


@pytest.mark.parametrize("shared_vertices", [True, False])
@pytest.mark.parametrize("batch", [(), (1,), (3,), (2, 2)])
def test_the_core_skins_as_torch_does(batch, shared_vertices):
    """Values and gradients in float32, whose rounding is the tolerance."""
    generator = torch.Generator().manual_seed(0)
    dense = torch.rand(5, 40, generator=generator)
    dense = dense * (torch.rand(5, 40, generator=generator) < 0.6)
    dense[0] += 1e-3
    dense = dense / dense.sum(0)
    shape = () if shared_vertices else batch
    vertices = torch.randn(*shape, 40, 3, generator=generator)
    transforms = torch.randn(*batch, 5, 3, 4, generator=generator)
    wanted = torch.randn(*batch, 40, 3, generator=generator)
    results = []
    for table in (None, SkinTable.from_dense(dense)):
        v, t = vertices.clone().requires_grad_(), transforms.clone().requires_grad_()
        out = linear_blend_skinning(v, t, dense, table)
        (out * wanted).sum().backward()
        results.append((out.detach(), v.grad, t.grad))
    for slow, fast in zip(*results, strict=True):
        assert torch.allclose(slow, fast, atol=1e-5)
