"""EHM-s on a small random body: the authors' order, gradients, batches, messages."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ehm_twin import TwinInputs, naive_ehm
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from pear_avatar.body.ehm import EhmModel, open_ehm
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import Proportions

F64 = torch.float64
RELAXED = settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def body(small_body):
    """The small body with hands, a head, eyelids, correctives and joints regressed from all."""
    generator = torch.Generator().manual_seed(1)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=F64)

    def integers(limit, *shape):
        return torch.randint(0, limit, shape, generator=generator)

    part = torch.arange(80) // 16  # trunk, head, left hand, right hand, trunk
    joints = torch.stack([torch.tensor([9, 15, 20, 21, 3])[part], integers(55, 80)], 1)
    turning = part == 1
    joints[turning, 1] = torch.tensor([12, 22, 23, 24])[torch.arange(80) % 4][turning]
    weights = 0.25 + 0.5 * torch.rand(80, 2, generator=generator, dtype=F64)
    weights[(part == 2) | (part == 3), 0] += 3
    dirs = 0.02 * normal(80, 3, 9 * 54)
    lids = torch.zeros(80, 3, 2, dtype=F64)
    lids[16:32] = 0.1 * normal(16, 3, 2)
    index, share = integers(80, 55, 3), torch.rand(55, 3, generator=generator, dtype=F64)
    share = share / share.sum(1, keepdim=True)

    def regress(values):
        return torch.einsum("jk,jk...->j...", share, values[index])

    return replace(
        small_body,
        face_part=torch.ones(120, dtype=torch.int64),  # all faces are body: weights decide
        pose_dirs=dirs,
        eyelid_dirs=lids,
        skin_joints=joints,
        skin_weights=weights / weights.sum(1, keepdim=True),
        joint_index=index,
        joint_weight=share,
        joint_template=regress(small_body.v_template),
        joint_shape_dirs=regress(small_body.shape_dirs),
        joint_expression_dirs=regress(small_body.expression_dirs),
    )


@pytest.fixture(scope="module")
def foreign(body) -> EhmModel:
    """A head with another mesh position, shape space, weights and fewer expressions."""
    own = open_ehm(body, "guava", blend=0)
    generator = torch.Generator().manual_seed(2)
    count = len(own.head_vertices)
    head = replace(
        own.head,
        v_template=own.head.v_template + 0.3,
        shape_dirs=0.1 * torch.randn(count, 3, 4, generator=generator, dtype=F64),
        expression_dirs=0.1 * torch.randn(count, 3, 3, generator=generator, dtype=F64),
        joint_template=own.head.joint_template + 0.3,
        joint_shape_dirs=0.1 * torch.randn(5, 3, 4, generator=generator, dtype=F64),
        joint_expression_dirs=0.1 * torch.randn(5, 3, 3, generator=generator, dtype=F64),
        skin_weights=torch.softmax(torch.randn(count, 5, generator=generator, dtype=F64), 1),
    )
    rows = torch.arange(count)
    return replace(own, head=head, neck=rows[:4], lower=rows[2:5], betas_to_head=None)


def random_inputs(model: EhmModel, head_betas: int | None, seed: int = 0) -> TwinInputs:
    rng = np.random.default_rng(seed)
    rotations = axis_angle_to_matrix(torch.from_numpy(rng.normal(size=(55, 3)) * 0.5))
    return TwinInputs(
        betas=rng.normal(size=model.body.num_betas),
        expression=rng.normal(size=model.body.num_expression),
        rotations=rotations.numpy(),
        transl=rng.normal(size=3),
        head_scale=1 + 0.2 * rng.normal(size=3),
        hand_scale=1 + 0.2 * rng.normal(size=3),
        head_betas=None if head_betas is None else rng.normal(size=head_betas),
        joint_offsets=0.05 * rng.normal(size=(55, 3)),
        eyelids=rng.random(2),
    )


def run(model: EhmModel, x: TwinInputs):
    t = {k: None if v is None else torch.from_numpy(v) for k, v in vars(x).items()}
    own = Proportions(t["head_scale"], t["hand_scale"], t["head_betas"], t["joint_offsets"])
    shaped = model.shape(t["betas"], t["expression"], own, eyelids=t["eyelids"])
    return shaped.pose(t["rotations"], t["transl"])


@pytest.mark.parametrize("variant", ["pear", "guava", "tracker"])
@pytest.mark.parametrize("own_head", [True, False])
def test_every_variant_equals_the_slow_twin(foreign, variant, own_head):
    model = replace(foreign, variant=variant)
    for seed in range(3):
        given_ = random_inputs(model, None if own_head else 4, seed)
        head = model.head
        if own_head:  # the body's own head turns by the body's own weights and correctives
            weights = open_ehm(model.body, blend=0).head.skin_weights
            model = replace(model, head=replace(head, skin_weights=weights))
        posed = run(model, given_)
        vertices, joints, rest_joints = naive_ehm(model, given_)
        np.testing.assert_allclose(posed.vertices().numpy(), vertices, atol=1e-9)
        others = [j for j in range(55) if not 22 <= j < 25]
        np.testing.assert_allclose(posed.joints.numpy()[others], joints[others], atol=1e-9)
        np.testing.assert_allclose(
            posed.rest_joints.numpy()[others], rest_joints[others], atol=1e-9
        )


@pytest.mark.parametrize("blend", [0.0, 0.5])
def test_jaw_and_eyes_of_a_posed_body_are_where_the_head_turns_them(foreign, blend):
    """What the shown jaw transform carries is where skinning has put a vertex of the jaw."""
    rows = torch.zeros(len(foreign.head_vertices), 5, dtype=F64)
    rows[:, 2] = 1
    head = replace(foreign.head, skin_weights=rows, skin_joints=torch.arange(5).expand_as(rows))
    body = replace(foreign.body, pose_dirs=None)
    weights = torch.zeros(80, 1, dtype=F64) + 1
    body = replace(body, skin_weights=weights, skin_joints=torch.full((80, 1), 15))
    model = replace(
        foreign, variant="guava", blend=blend, body=body, head=replace(head, pose_dirs=None)
    )
    given_ = replace(random_inputs(model, 4), eyelids=np.zeros(2), head_scale=np.full(3, 1.3))
    posed = run(model, given_)
    whole = model.head_share == 1
    vertices = model.head_vertices[whole]
    rest = posed.shaped.vertices()[vertices] - posed.shaped.joints[22]
    T = posed.T_world_joint[22]
    carried = rest @ T[:3, :3].T + T[:3, 3]
    assert whole.any()
    assert torch.allclose(carried, posed.vertices()[vertices], atol=1e-9)


@RELAXED
@given(
    batch=st.sampled_from([(), (2,), (2, 3)]),
    shared_shape=st.booleans(),
    shared_scale=st.booleans(),
    blend=st.sampled_from([0.0, 0.5]),
    own_head=st.booleans(),
)
def test_any_batch_shape_equals_one_at_a_time(
    foreign, batch, shared_shape, shared_scale, blend, *, own_head
):
    model = replace(foreign, blend=blend)

    def normal(shared, *shape):
        return torch.randn(*(() if shared else batch), *shape, dtype=F64)

    betas, expression = normal(shared_shape, 6), normal(False, 5)
    lids, transl = normal(False, 2), normal(False, 3)
    rotations = axis_angle_to_matrix(0.5 * normal(False, 55, 3))
    own = Proportions(
        1 + 0.1 * normal(shared_scale, 3),
        1 + 0.1 * normal(False, 3),
        None if own_head else normal(shared_scale, 4),
        0.1 * normal(shared_scale, 55, 3),
    )
    posed = model.shape(betas, expression, own, eyelids=lids).pose(rotations, transl)
    vertices, face = posed.vertices(), posed.landmarks("face")
    assert vertices.shape == (*batch, 80, 3)
    assert face.shape == (*batch, 30, 3)
    assert posed.T_world_joint.shape == (*batch, 55, 4, 4)

    def flat(t, *shape):
        return None if t is None else t.expand(*batch, *shape).reshape(-1, *shape)

    for i in range(max(1, torch.Size(batch).numel())):
        one_own = Proportions(
            flat(own.head_scale, 3)[i],
            flat(own.hand_scale, 3)[i],
            None if own_head else flat(own.head_betas, 4)[i],
            flat(own.joint_offsets, 55, 3)[i],
        )
        one = model.shape(
            flat(betas, 6)[i], flat(expression, 5)[i], one_own, eyelids=flat(lids, 2)[i]
        ).pose(flat(rotations, 55, 3, 3)[i], flat(transl, 3)[i])
        assert torch.allclose(one.vertices(), vertices.reshape(-1, 80, 3)[i], atol=1e-10)
        assert torch.allclose(one.landmarks("face"), face.reshape(-1, 30, 3)[i], atol=1e-10)
        assert torch.allclose(one.joints, posed.joints.reshape(-1, 55, 3)[i], atol=1e-10)


@pytest.mark.parametrize("blend", [0.0, 0.5])
def test_landmarks_equal_those_of_the_whole_mesh(foreign, blend):
    posed = run(replace(foreign, blend=blend), random_inputs(foreign, 4))
    together = posed.landmarks_many("face", "coco17")
    for name, shared in zip(("face", "coco17"), together, strict=True):
        slow = foreign.body.landmark_set(name).gather(posed.joints, posed.vertices())
        assert torch.allclose(posed.landmarks(name), slow, atol=1e-12)
        assert torch.allclose(shared, slow, atol=1e-12)


def test_joints_do_not_touch_the_mesh(foreign):
    """Only the vertices that joints are regressed from are looked at."""
    used = foreign.joint_rows.body.vertex_index
    unused = torch.ones(80, dtype=torch.bool)
    unused[used] = False
    template = foreign.body.v_template.clone()
    template[unused] = torch.nan
    centres = foreign.hand_centres
    blind = replace(foreign, body=replace(foreign.body, v_template=template))
    blind.__dict__["hand_centres"] = centres
    given_ = random_inputs(foreign, 4)
    assert torch.allclose(run(blind, given_).joints, run(foreign, given_).joints)


@pytest.mark.parametrize("blend", [0.0, 0.5])
@pytest.mark.parametrize("own_head", [True, False])
def test_gradients_in_float64(foreign, blend, own_head):
    model = replace(foreign, blend=blend)
    x = random_inputs(model, None if own_head else 4)
    names = [
        "betas",
        "expression",
        "rotations",
        "transl",
        "head_scale",
        "hand_scale",
        "joint_offsets",
        "eyelids",
    ]
    names += [] if own_head else ["head_betas"]
    leaves = [torch.from_numpy(getattr(x, n)).requires_grad_() for n in names]
    weights = torch.randn(80, 3, dtype=F64, generator=torch.Generator().manual_seed(3))

    def call(*tensors):
        t = {"head_betas": None, **dict(zip(names, tensors, strict=True))}
        own = Proportions(t["head_scale"], t["hand_scale"], t["head_betas"], t["joint_offsets"])
        posed = model.shape(t["betas"], t["expression"], own, eyelids=t["eyelids"]).pose(
            t["rotations"], t["transl"]
        )
        face = posed.landmarks("face")
        return (posed.vertices() * weights).sum(), face.square().sum(), posed.joints.sum()

    assert torch.autograd.gradcheck(call, leaves, fast_mode=True)


@pytest.mark.parametrize("own_head", [True, False])
@pytest.mark.parametrize("blend", [0.0, 0.5])
def test_a_baked_person_equals_the_composition(foreign, blend, own_head):
    """With one scale for all axes, and no skin that hangs on jaw and lower bones both."""
    body = foreign.body
    weights_t = body.skin_weights_t.clone()
    inside = torch.zeros(80, dtype=torch.bool)
    inside[foreign.head_vertices] = True
    weights_t[22:25, ~inside] = 0
    weights_t[12:15, inside] = 0
    weights_t[:12, inside] = 0
    weights_t[16:22, inside] = 0
    weights_t[25:, inside] = 0
    weights_t[15, inside] += 1e-3
    weights_t = weights_t / weights_t.sum(0)
    joints = torch.arange(55).expand(80, 55).contiguous()
    index = body.joint_index.clone()
    outside = torch.nonzero(~inside)[0]
    index[inside[index]] = int(outside)  # a person's joints do not follow its face
    dirs = body.pose_dirs.clone()  # nor do correctives of other joints that the jaw carries
    dirs[inside, :, : 9 * 21] = 0
    dirs[inside, :, 9 * 24 :] = 0
    body = replace(
        body,
        pose_dirs=dirs,
        skin_joints=joints,
        skin_weights=weights_t.T.contiguous(),
        joint_index=index,
        joint_template=torch.einsum("jk,jkc->jc", body.joint_weight, body.v_template[index]),
        joint_shape_dirs=torch.einsum("jk,jkcs->jcs", body.joint_weight, body.shape_dirs[index]),
        joint_expression_dirs=torch.einsum(
            "jk,jkcs->jcs", body.joint_weight, body.expression_dirs[index]
        ),
    )
    model = replace(foreign, body=body, blend=blend)
    x = replace(
        random_inputs(model, None if own_head else 4),
        head_scale=np.full(3, 1.3),
        eyelids=np.zeros(2),
    )
    t = {k: None if v is None else torch.from_numpy(v) for k, v in vars(x).items()}
    own = Proportions(t["head_scale"], t["hand_scale"], t["head_betas"], t["joint_offsets"])
    for betas, baked in ((t["betas"], None), (None, t["betas"])):
        person = model.person(own, baked)
        plain = person.shape(betas, t["expression"]).pose(t["rotations"], t["transl"])
        posed = run(model, x)
        assert torch.allclose(plain.vertices(), posed.vertices(), atol=1e-9)
        assert torch.allclose(plain.joints, posed.joints, atol=1e-9)


def test_a_person_gains_the_eyelids_that_its_body_lacks(foreign):
    lids = foreign.body.eyelid_dirs
    body = replace(foreign.body, eyelid_dirs=torch.zeros_like(lids))
    model = replace(foreign, body=body)
    person = model.person(Proportions(torch.full((3,), 1.2), torch.ones(3), torch.zeros(4)))
    assert person.num_expression == body.num_expression + 2
    assert person.arkit_coef.shape == (3, person.num_expression)
    closed = torch.zeros(person.num_expression, dtype=F64)
    closed[-2:] = 1
    moved = person.shape(None, closed).vertices() - person.shape().vertices()
    share = model.head_share[:, None]
    wanted = 1.2 * share * model.head.eyelid_dirs.sum(-1)
    assert torch.allclose(moved[model.head_vertices], wanted, atol=1e-12)
    assert foreign.person(Proportions.neutral(F64)).num_expression == body.num_expression


def test_messages_name_what_is_wrong(foreign):
    neutral = Proportions.neutral(F64)
    with pytest.raises(ValueError, match="FLAME's 5 joints"):
        EhmModel.build(foreign.body, foreign.body, foreign.head_vertices)
    with pytest.raises(ValueError, match="head_vertices"):
        EhmModel.build(foreign.body, foreign.head, foreign.head_vertices[:-1])
    with pytest.raises(ValueError, match="different vertices"):
        EhmModel.build(foreign.body, foreign.head, foreign.head_vertices * 0)
    with pytest.raises(ValueError, match="variant"):
        EhmModel.build(foreign.body, foreign.head, foreign.head_vertices, "flame")
    with pytest.raises(ValueError, match="blend"):
        EhmModel.build(foreign.body, foreign.head, foreign.head_vertices, blend=-1)
    with pytest.raises(ValueError, match="head_scale"):
        foreign.shape(proportions=replace(neutral, head_scale=torch.ones(2)))
    with pytest.raises(ValueError, match="joint_offsets"):
        foreign.shape(proportions=replace(neutral, joint_offsets=torch.ones(3, 3)))
    with pytest.raises(ValueError, match="eyelids"):
        foreign.shape(proportions=neutral, eyelids=torch.ones(3))
    with pytest.raises(ValueError, match="needs head_betas"):
        foreign.shape(proportions=neutral, head_expression=torch.ones(3))
    with pytest.raises(ValueError, match="shape space of its own"):
        foreign.head_betas_of(torch.ones(6))
    with pytest.raises(ValueError, match="no batch axes"):
        foreign.person(replace(neutral, head_scale=torch.ones(2, 3)))


@pytest.mark.parametrize("own_head", [True, False])
def test_nothing_waits_for_the_device(foreign, own_head):
    """Neither mesh nor joints read a value back: fake tensors refuse to give one."""
    x = random_inputs(foreign, None if own_head else 4)
    run(foreign, x).vertices()  # tables are made at the first call
    with FakeTensorMode(allow_non_fake_inputs=True):
        fake = {
            n: None if v is None else torch.empty(v.shape, dtype=F64) for n, v in vars(x).items()
        }
        own = Proportions(
            fake["head_scale"], fake["hand_scale"], fake["head_betas"], fake["joint_offsets"]
        )
        shaped = foreign.shape(fake["betas"], fake["expression"], own, eyelids=fake["eyelids"])
        posed = shaped.pose(fake["rotations"], fake["transl"])
        assert posed.vertices().shape == (80, 3)
        assert posed.joints.shape == (55, 3)
