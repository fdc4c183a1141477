"""The staged body on a small random model: values, gradients, batches, messages."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pear_avatar.body.skinning import fk_transforms
from pear_avatar.geometry.rotations import axis_angle_to_matrix

F64 = torch.float64
BATCHES = st.sampled_from([(), (1,), (2, 3)])
RELAXED = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def random_rotations(*batch):
    return axis_angle_to_matrix(0.5 * torch.randn(*batch, 55, 3, dtype=F64))


def test_zero_parameters_give_the_template(small_body):
    posed = small_body.shape().pose(torch.eye(3, dtype=F64).expand(55, 3, 3))
    assert torch.allclose(posed.vertices(), small_body.v_template, atol=1e-12)
    assert torch.allclose(posed.joints, small_body.joint_template, atol=1e-12)


@RELAXED
@given(batch=BATCHES, shared_shape=st.booleans())
def test_any_batch_shape_equals_one_at_a_time(small_body, batch, shared_shape):
    shape_batch = () if shared_shape else batch
    betas = torch.randn(*shape_batch, 6, dtype=F64)
    expression = torch.randn(*batch, 5, dtype=F64)
    rotations, transl = random_rotations(*batch), torch.randn(*batch, 3, dtype=F64)
    posed = small_body.shape(betas, expression).pose(rotations, transl)
    vertices, face = posed.vertices(), posed.landmarks("face")
    assert vertices.shape == (*batch, 80, 3)
    assert face.shape == (*batch, 30, 3)
    assert posed.T_world_joint.shape == (*batch, 55, 4, 4)
    flat_betas = betas.expand(*batch, 6).reshape(-1, 6)
    for i in range(flat_betas.shape[0]):
        one = small_body.shape(flat_betas[i], expression.reshape(-1, 5)[i]).pose(
            rotations.reshape(-1, 55, 3, 3)[i], transl.reshape(-1, 3)[i]
        )
        assert torch.allclose(one.vertices(), vertices.reshape(-1, 80, 3)[i], atol=1e-10)
        assert torch.allclose(one.landmarks("face"), face.reshape(-1, 30, 3)[i], atol=1e-10)
        assert torch.allclose(one.joints, posed.joints.reshape(-1, 55, 3)[i], atol=1e-10)


def test_landmarks_equal_those_of_the_whole_mesh(small_body):
    posed = small_body.shape(
        torch.randn(2, 6, dtype=F64),
        torch.randn(2, 5, dtype=F64),
        vertex_offsets=torch.randn(80, 3, dtype=F64),
        joint_offsets=torch.randn(55, 3, dtype=F64),
    ).pose(random_rotations(2), torch.randn(2, 3, dtype=F64))
    together = posed.landmarks_many("face", "coco17")
    for name, shared in zip(("face", "coco17"), together, strict=True):
        slow = small_body.landmark_set(name).gather(posed.joints, posed.vertices())
        assert torch.allclose(posed.landmarks(name), slow, atol=1e-12)
        assert torch.allclose(shared, slow, atol=1e-12)


def test_joints_do_not_touch_the_mesh(small_body):
    blind = replace(
        small_body,
        v_template=torch.full((80, 3), torch.nan),
        shape_dirs=torch.full((80, 3, 6), torch.nan),
    )
    betas, rotations = torch.randn(6, dtype=F64), random_rotations(3)
    joints = blind.shape(betas).pose(rotations).joints
    assert torch.allclose(joints, small_body.shape(betas).pose(rotations).joints)


def test_rest_to_posed_is_the_product_of_its_parts(small_body):
    rotations, transl = random_rotations(2), torch.randn(2, 3, dtype=F64)
    shaped = small_body.shape(torch.randn(6, dtype=F64))
    posed = shaped.pose(rotations, transl)
    expected = fk_transforms(rotations, shaped.joints, small_body.tree)
    assert torch.allclose(posed.rest_to_posed[..., :3], expected[..., :3])
    assert torch.allclose(posed.rest_to_posed[..., 3], expected[..., 3] + transl[:, None])


def test_pose_correctives_follow_smplx(small_body):
    dirs = 0.1 * torch.randn(80, 3, 54 * 9, dtype=F64)
    corrected = replace(small_body, pose_dirs=dirs)
    rotations = random_rotations(2)
    feature = (rotations[:, 1:] - torch.eye(3, dtype=F64)).flatten(1)
    offsets = torch.einsum("vcp,bp->bvc", dirs, feature)
    expected = small_body.shape(vertex_offsets=offsets).pose(rotations)
    posed = corrected.shape().pose(rotations)
    assert torch.allclose(posed.vertices(), expected.vertices(), atol=1e-12)
    assert torch.allclose(posed.landmarks("face"), expected.landmarks("face"), atol=1e-12)


def test_gradients_by_finite_differences(small_body):
    index = torch.tensor([0, 3, 17, 25])

    def outputs(betas, expression, axis_angle, transl):
        full = torch.zeros(55, 3, dtype=F64).index_add(0, index, axis_angle)
        posed = small_body.shape(betas, expression).pose(axis_angle_to_matrix(full), transl)
        return posed.vertices()[::20], posed.landmarks("face")[::10], posed.joints[::10]

    inputs = [torch.randn(*n, dtype=F64, requires_grad=True) for n in ((6,), (5,), (4, 3), (3,))]
    assert torch.autograd.gradcheck(outputs, inputs)


def test_fewer_coefficients_are_padded_and_more_refused(small_body):
    short, long = torch.randn(2, dtype=F64), torch.zeros(6, dtype=F64)
    long[:2] = short
    assert torch.allclose(small_body.shape(short).vertices(), small_body.shape(long).vertices())
    with pytest.raises(ValueError, match=r"betas has 300 coefficients.*only 6"):
        small_body.shape(torch.zeros(300, dtype=F64))


def test_unknown_landmark_sets_are_named(small_body):
    with pytest.raises(ValueError, match="'nose' on this body; there are: coco17, face"):
        small_body.shape().pose(random_rotations()).landmarks("nose")


def test_vertex_offsets_of_the_wrong_size_are_refused(small_body):
    with pytest.raises(ValueError, match=r"\(\*B, 80, 3\), got \(79, 3\)"):
        small_body.shape(vertex_offsets=torch.zeros(79, 3))
