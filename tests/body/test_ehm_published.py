"""The "pear" convention beside the published order of PEAR and the EHM tracker, written out here.

The arithmetic below shares nothing with the package but the arrays of the model files.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pear_avatar.body.ehm import EhmModel
from pear_avatar.body.licensed.flame_files import load_flame_masks
from pear_avatar.body.sources import BodySource, load_ehm
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import Proportions

#: Metres; float32 on a body of 2 m leaves less.
EXACT = 2e-5
EYES, HEAD_EYES = slice(23, 25), slice(3, 5)


@pytest.fixture(scope="module")
def arrays(body_models):
    """SMPL-X as its file has it."""
    with np.load(next(body_models.rglob("SMPLX_NEUTRAL.npz")), allow_pickle=True) as data:
        names = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights", "kintree_table")
        return {name: np.asarray(data[name]) for name in names}


def f64(tensor):
    return tensor.double().numpy()


def chain(rotations, joints, parents):
    """World rotations and positions of a skeleton, one joint after the other."""
    R, p = [rotations[0]], [joints[0]]
    for j in range(1, len(joints)):
        R.append(R[parents[j]] @ rotations[j])
        p.append(p[parents[j]] + R[parents[j]] @ (joints[j] - joints[parents[j]]))
    return np.array(R), np.array(p)


def skinned(rest, joints, rotations, parents, *, weights, posedirs):
    if posedirs is not None:
        rest = rest + posedirs @ (rotations[1:] - np.eye(3)).reshape(-1)
    R, p = chain(rotations, joints, parents)
    moved = np.einsum("jab,jvb->jva", R, rest[None] - joints[:, None]) + p[:, None]
    return np.einsum("vj,jva->va", weights, moved), p


def someone(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "betas": rng.normal(size=200) * 0.8,
        "expression": rng.normal(size=50),
        "head_betas": rng.normal(size=300) * 0.8,
        "head_expression": rng.normal(size=50),
        "head_scale": 1 + 0.05 * rng.normal(size=3),
        "hand_scale": 1 + 0.05 * rng.normal(size=3),
        "offsets": 0.01 * rng.normal(size=(55, 3)),
        "eyelids": rng.random(2),
        "rotations": f64(axis_angle_to_matrix(torch.from_numpy(0.3 * rng.normal(size=(55, 3))))),
    }


def published_head(head, x):
    """The posed and scaled head, and the midpoint of its eyes, which is not scaled."""
    shape = f64(head.v_template) + f64(head.shape_dirs)[..., :300] @ x["head_betas"]
    shape = shape + f64(head.expression_dirs)[..., :50] @ x["head_expression"]
    regressor = np.zeros((5, len(shape)))
    for j in range(5):
        np.add.at(regressor[j], head.joint_index[j].numpy(), f64(head.joint_weight[j]))
    joints = regressor @ shape
    rotations = np.stack([np.eye(3), np.eye(3), *x["rotations"][22:25]])
    posed, moved = skinned(
        shape,
        joints,
        rotations,
        head.parents,
        weights=f64(head.skin_weights_t).T,
        posedirs=f64(head.pose_dirs),
    )
    lids = f64(head.eyelid_dirs)
    posed = posed + lids[..., 0] * x["eyelids"][0] + lids[..., 1] * x["eyelids"][1]
    return posed * x["head_scale"], moved[HEAD_EYES].mean(0)


def published(arrays, ehm, x, kept, hands):
    """Vertices and joints in the order of the published programs."""
    body = arrays["v_template"] + arrays["shapedirs"][..., :200] @ x["betas"]
    body = body + arrays["shapedirs"][..., 300:350] @ x["expression"]
    joints = arrays["J_regressor"] @ body + x["offsets"]
    head, eyes = published_head(ehm.head, x)
    where = ehm.head_vertices.numpy()
    rows = np.setdiff1d(np.arange(len(where)), kept)
    body[where[rows]] = (head - eyes + joints[EYES].mean(0))[rows]
    for hand in hands:
        centre = arrays["v_template"][hand].mean(0)
        body[hand] = body[hand] * x["hand_scale"] + (1 - x["hand_scale"]) * centre
    joints = arrays["J_regressor"] @ body + x["offsets"]
    rotations = x["rotations"].copy()
    rotations[22:25] = np.eye(3)
    parents = arrays["kintree_table"][0].astype(np.int64)
    posed, joints = skinned(
        body, joints, rotations, parents, weights=arrays["weights"], posedirs=arrays["posedirs"]
    )
    return posed, joints


def ours(ehm, x, *, hand_scale):
    t = {name: torch.from_numpy(value).float() for name, value in x.items()}
    given = Proportions(
        t["head_scale"],
        t["hand_scale"] if hand_scale else torch.ones(3),
        t["head_betas"],
        t["offsets"],
    )
    shaped = ehm.shape(
        t["betas"],
        t["expression"],
        given,
        eyelids=t["eyelids"],
        head_expression=t["head_expression"],
    )
    return shaped.pose(t["rotations"])


@pytest.mark.parametrize("seed", range(3))
def test_pear_equals_the_published_order(arrays, body_models, seed):
    ehm = load_ehm(BodySource("smplx", body_models, convention="pear"))
    masks = load_flame_masks(next(body_models.rglob("FLAME_masks.pkl")))
    kept = np.union1d(masks["neck"].numpy(), masks["boundary"].numpy())
    x = someone(seed)
    vertices, joints = published(arrays, ehm, x, kept, ())
    posed = ours(ehm, x, hand_scale=False)  # PEAR predicts a scale of the hands, and applies none
    assert np.abs(f64(posed.vertices()) - vertices).max() < EXACT
    assert np.abs(f64(posed.joints) - joints).max() < EXACT


def test_the_tracker_keeps_the_lower_neck_and_scales_the_hands(arrays, body_models):
    ehm = load_ehm(BodySource("smplx", body_models, convention="pear"), "tracker")
    x = someone(5)
    hands = (ehm.left_hand.numpy(), ehm.right_hand.numpy())
    vertices, joints = published(arrays, ehm, x, ehm.lower.numpy(), hands)
    posed = ours(ehm, x, hand_scale=True)
    assert np.abs(f64(posed.vertices()) - vertices).max() < EXACT
    assert np.abs(f64(posed.joints) - joints).max() < EXACT


def test_the_eased_convention_is_another_body(body_models):
    """What parity costs where it is not wanted: the scale's centre and the seam matter."""
    pear = load_ehm(BodySource("smplx", body_models, convention="pear"))
    eased = load_ehm(BodySource("smplx", body_models))
    x = someone(1)
    moved = ours(pear, x, hand_scale=False).vertices() - ours(eased, x, hand_scale=False).vertices()
    assert moved.norm(dim=-1)[pear.head_vertices].mean() > 5e-4
    assert pear.in_convention("eased").blend == eased.blend
    with pytest.raises(ValueError, match="convention must be 'eased' or 'pear', got 'smplx'"):
        pear.in_convention("smplx")


def test_a_person_keeps_both_expressions(body_models):
    """A baked person is exact with an even scale and the jaw at rest."""
    ehm: EhmModel = load_ehm(BodySource("smplx", body_models, convention="pear"))
    x = someone(2)
    x["rotations"][22:25] = np.eye(3)
    x["head_scale"] = np.full(3, 1.04)
    posed = ours(ehm, x, hand_scale=False)
    t = {name: torch.from_numpy(value).float() for name, value in x.items()}
    given = Proportions(t["head_scale"], torch.ones(3), t["head_betas"], t["offsets"])
    person = ehm.person(given)
    expression = ehm.person_expression(
        t["head_expression"], t["expression"], t["eyelids"], has_head=True
    )
    assert expression.shape == (person.num_expression,)
    assert person.arkit_coef.shape == (52, person.num_expression)
    baked = person.shape(t["betas"], expression).pose(t["rotations"])
    # The neck's correctives turn about joints that the expression moved: hundredths of a mm.
    assert (baked.vertices() - posed.vertices()).norm(dim=-1).max() < 1e-4
    others = [j for j in range(55) if not 22 <= j < 25]
    assert (baked.joints - posed.joints)[others].norm(dim=-1).max() < EXACT


def test_without_a_head_of_its_own_the_scale_keeps_the_heads_origin(body_models):
    """The body's own head scales about the point at which FLAME's origin lies in it."""
    ehm = load_ehm(BodySource("smplx", body_models, convention="pear"))
    scale = torch.full((3,), 1.1)
    given = Proportions(scale, torch.ones(3))
    plain = ehm.body.shape()
    eyes = plain.joints[EYES].mean(0)
    centre = eyes - ehm.head.joint_template[HEAD_EYES].mean(0)
    rows = ehm.head_vertices[ehm.head_share == 1]
    expected = (plain.vertices()[rows] - centre) * scale + centre
    assert (ehm.shape(None, None, given).vertices()[rows] - expected).norm(dim=-1).max() < EXACT


def test_eyelid_files_are_read_where_they_are(body_models, tmp_path, caplog):
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("SMPLX_NEUTRAL.npz", "SMPL-X__FLAME_vertex_ids.npy", "FLAME_masks.pkl"):
        (folder / name).symlink_to(next(body_models.rglob(name)))
    (folder / "flame2023.pkl").symlink_to(
        next(
            p
            for p in body_models.rglob("*.pkl")
            if p.name in ("flame2023.pkl", "generic_model.pkl")
        )
    )
    without = load_ehm(BodySource("smplx", folder))
    assert "no l_eyelid.npy and r_eyelid.npy" in caplog.text
    lids = np.zeros((2, 5023, 3))
    lids[0, 100:300], lids[1, 300:500] = [0, -0.008, 0.001], [0, -0.007, 0.002]
    again = tmp_path / "again"
    again.mkdir()
    for path in folder.iterdir():
        (again / path.name).symlink_to(path.resolve())
    np.save(again / "l_eyelid.npy", lids[0])
    np.save(again / "r_eyelid.npy", lids[1])
    with_files = load_ehm(BodySource("smplx", again))
    assert np.abs(f64(with_files.head.eyelid_dirs) - np.moveaxis(lids, 0, -1)).max() < 1e-8
    assert not torch.equal(with_files.head.eyelid_dirs, without.head.eyelid_dirs)
