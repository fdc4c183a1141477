"""Licensed layouts against the smplx package: body, head, hands and face landmarks.

Ours runs in float32 and the smplx package in float64, so that every difference is ours: sums of
some hundred products of metre-sized numbers, about 1e-6 m each.
"""

from __future__ import annotations

import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse
from standins.python2_pickle import Chumpy, dump_python2
from standins.smplx_layout import to_smplx_arrays

from pear_avatar.body import load_body
from pear_avatar.body.licensed import face_contour, load_flame, load_mano_hand, load_smplx
from pear_avatar.body.licensed.face_landmarks import FLAME_NECK_CHAIN, contour_rows, table_sets
from pear_avatar.body.licensed.find import find_asset
from pear_avatar.body.licensed.model_files import ModelFile, open_model_file
from pear_avatar.geometry.rotations import axis_angle_to_matrix

smplx = pytest.importorskip("smplx", reason="the smplx package is not installed")
TOLERANCE = 1e-5
SMPLX_EXTRA = 21  # vertices that the smplx package appends to the joints
F64 = torch.float64


@pytest.fixture
def chumpy(monkeypatch):
    """What the smplx package's own unpickling needs of chumpy."""
    if "chumpy" in sys.modules:
        return

    class Ch:
        def __array__(self, dtype=None, copy=None):
            return np.asarray(self.x, dtype)

        @property
        def shape(self):
            return self.x.shape

        def __getitem__(self, index):
            return self.x[index]

    Ch.__module__ = "chumpy.ch"
    package, module = types.ModuleType("chumpy"), types.ModuleType("chumpy.ch")
    package.ch, module.Ch = module, Ch
    monkeypatch.setitem(sys.modules, "chumpy", package)
    monkeypatch.setitem(sys.modules, "chumpy.ch", module)


@pytest.fixture(scope="module")
def smplx_path(body_models):
    return find_asset(body_models, "SMPL-X neutral")


@pytest.fixture(scope="module")
def ours(smplx_path):
    return load_smplx(smplx_path)


def normal(*size, scale=1.0, seed=0):
    return scale * torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=F64)


def pose_blocks(batch, hands):
    pose = normal(batch, 25, 3, scale=0.4, seed=1)
    left, right = normal(batch, hands, scale=0.5, seed=2), normal(batch, hands, scale=0.5, seed=3)
    return pose, left, right


def peer_output(model, betas, expression, pose, left, *, right, transl):
    with torch.no_grad():
        return model(
            betas=betas,
            expression=expression,
            transl=transl,
            global_orient=pose[:, 0],
            body_pose=pose[:, 1:22].flatten(1),
            jaw_pose=pose[:, 22],
            leye_pose=pose[:, 23],
            reye_pose=pose[:, 24],
            left_hand_pose=left,
            right_hand_pose=right,
        )


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize(("comps", "flat"), [(None, True), (None, False), (12, False), (6, True)])
def test_smplx_layout_equals_the_smplx_package(smplx_path, ours, batch, comps, flat):
    shapes, expressions = ours.body.num_betas, ours.body.num_expression
    peer = smplx.SMPLX(
        str(smplx_path),
        ext=smplx_path.suffix[1:],
        num_betas=shapes,
        dtype=F64,
        num_expression_coeffs=expressions,
        use_pca=comps is not None,
        num_pca_comps=comps or 45,
        flat_hand_mean=flat,
        use_face_contour=True,
        batch_size=batch,
    )
    betas, expression = normal(batch, shapes), normal(batch, expressions, seed=4)
    transl = normal(batch, 3, seed=5)
    pose, left, right = pose_blocks(batch, comps or 45)
    theirs = peer_output(peer, betas, expression, pose, left, right=right, transl=transl)

    hands = []
    for hand, given in ((ours.left_hand, left), (ours.right_hand, right)):
        make = hand.axis_angle if comps else hand.full_axis_angle
        hands.append(make(given.float(), flat_hand_mean=flat))
    rotations = axis_angle_to_matrix(torch.cat([pose.float(), *hands], 1))
    with torch.no_grad():
        posed = ours.body.shape(betas.float(), expression.float()).pose(rotations, transl.float())
        assert (posed.vertices() - theirs.vertices).abs().max() < TOLERANCE
        assert (posed.joints - theirs.joints[:, :55]).abs().max() < TOLERANCE
        landmarks = torch.cat([posed.landmarks("ibug51"), face_contour(posed)], 1)
    assert landmarks.shape == (batch, 68, 3)
    assert (landmarks - theirs.joints[:, 55 + SMPLX_EXTRA :]).abs().max() < TOLERANCE


@pytest.mark.parametrize("batch", [1, 4])
def test_the_open_layout_equals_the_smplx_package_too(tmp_path, batch):
    """The open body's own file, with pose correctives as SMPL-X would have, and its face."""
    body = load_body()
    bent = 1e-3 * torch.randn(body.num_vertices, 3, 486, generator=torch.Generator().manual_seed(8))
    arrays = to_smplx_arrays(replace(body, pose_dirs=bent))
    np.savez(tmp_path / "SMPLX_NEUTRAL.npz", **arrays)
    peer = smplx.SMPLX(
        str(tmp_path),
        num_betas=100,
        num_expression_coeffs=52,
        use_pca=False,
        dtype=F64,
        flat_hand_mean=True,
        use_face_contour=True,
        batch_size=batch,
    )
    tables = ModelFile(tmp_path / "SMPLX_NEUTRAL.npz", arrays, "")
    keys = {
        "ibug51": ("lmk_faces_idx", "lmk_bary_coords"),
        "ibug_contour": ("dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords"),
    }
    sets = table_sets(tables, body.faces.numpy(), 55, keys)
    ours = replace(body, pose_dirs=bent, landmark_sets=sets)
    betas, expression = normal(batch, 100), normal(batch, 52, seed=4)
    transl = normal(batch, 3, seed=5)
    pose, left, right = pose_blocks(batch, 45)
    theirs = peer_output(peer, betas, expression, pose, left, right=right, transl=transl)
    full = torch.cat([pose, left.unflatten(1, (15, 3)), right.unflatten(1, (15, 3))], 1)
    with torch.no_grad():
        posed = ours.shape(betas.float(), expression.float()).pose(
            axis_angle_to_matrix(full.float()), transl.float()
        )
        assert (posed.vertices() - theirs.vertices).abs().max() < TOLERANCE
        assert (posed.joints - theirs.joints[:, :55]).abs().max() < TOLERANCE
        landmarks = torch.cat([posed.landmarks("ibug51"), face_contour(posed)], 1)
        assert (landmarks - theirs.joints[:, 55 + SMPLX_EXTRA :]).abs().max() < TOLERANCE
        rest = ours.shape().pose(torch.eye(3).expand(55, 3, 3)).landmarks("ibug51")
        own = body.shape().pose(torch.eye(3).expand(55, 3, 3)).landmarks("wholebody133")[40:91]
        assert (rest - own).norm(dim=-1).max() < 1e-3  # the points themselves


def test_the_pickle_form_and_the_old_layout(smplx_path, ours, tmp_path):
    """As a pickle of Python 2 with chumpy arrays and ten shapes and ten expressions."""
    file = open_model_file(smplx_path, "")
    shapes = {
        "v_template": ("V", 3), "shapedirs": ("V", 3, "C"), "posedirs": ("V", 3, 486),
        "J_regressor": (55, "V"), "weights": ("V", 55), "hands_meanl": (45,),
        "hands_meanr": (45,), "hands_componentsl": (45, 45), "hands_componentsr": (45, 45),
        "lmk_bary_coords": (51, 3),
    }  # fmt: skip
    arrays = {key: file.real(key, shape).astype(np.float32) for key, shape in shapes.items()}
    if arrays["shapedirs"].shape[-1] >= 400:
        arrays["shapedirs"] = arrays["shapedirs"][..., [*range(10), *range(300, 310)]]
    arrays["f"] = ours.body.faces.numpy().astype(np.uint32)
    arrays["lmk_faces_idx"] = file.integers("lmk_faces_idx", (51,))
    arrays["kintree_table"] = np.array([[2**32 - 1, *ours.body.parents[1:]], range(55)])
    arrays["J_regressor"] = sparse.csc_matrix(arrays["J_regressor"])
    path = tmp_path / "SMPLX_NEUTRAL.pkl"
    path.write_bytes(dump_python2({**arrays, "shapedirs": Chumpy(arrays["shapedirs"])}))
    old = load_smplx(path)
    assert (old.body.num_betas, old.body.num_expression) == (10, 10)
    assert set(old.body.landmark_sets) == {"ibug51"}
    pose, left, right = pose_blocks(1, 6)
    hands = [h.axis_angle(p.float()) for h, p in ((old.left_hand, left), (old.right_hand, right))]
    rotations = axis_angle_to_matrix(torch.cat([pose.float(), *hands], 1))
    betas, expression = normal(1, 10).float(), normal(1, 10, seed=4).float()
    with torch.no_grad():
        posed = old.body.shape(betas, expression).pose(rotations)
        whole = ours.body.shape(betas, expression).pose(rotations)
        assert (posed.vertices() - whole.vertices()).abs().max() < TOLERANCE
        assert (posed.landmarks("ibug51") - whole.landmarks("ibug51")).abs().max() < TOLERANCE


@pytest.fixture(scope="module")
def flame_path(body_models):
    return find_asset(body_models, "FLAME neutral")


@pytest.mark.parametrize("batch", [1, 4])
def test_flame_equals_the_smplx_package(flame_path, chumpy, tmp_path, batch):
    tables = [
        flame_path.parent / n for n in ("flame_static_embedding.pkl", "flame_dynamic_embedding.npy")
    ]
    if not all(t.is_file() for t in tables):
        pytest.skip("the landmark tables do not lie beside the FLAME model")
    for path in tables:
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / f"FLAME_NEUTRAL{flame_path.suffix}").symlink_to(flame_path)
    head = load_flame(flame_path)
    peer = smplx.FLAME(
        str(tmp_path),
        ext=flame_path.suffix[1:],
        num_betas=head.num_betas,
        dtype=F64,
        num_expression_coeffs=head.num_expression,
        use_face_contour=True,
        batch_size=batch,
    )
    betas, expression = normal(batch, head.num_betas), normal(batch, head.num_expression, seed=4)
    pose, transl = normal(batch, 5, 3, scale=0.4, seed=1), normal(batch, 3, seed=5)
    with torch.no_grad():
        theirs = peer(
            betas=betas,
            expression=expression,
            transl=transl,
            global_orient=pose[:, 0],
            neck_pose=pose[:, 1],
            jaw_pose=pose[:, 2],
            leye_pose=pose[:, 3],
            reye_pose=pose[:, 4],
        )
        rotations = axis_angle_to_matrix(pose.float())
        posed = head.shape(betas.float(), expression.float()).pose(rotations, transl.float())
    assert (posed.vertices() - theirs.vertices).abs().max() < TOLERANCE
    assert (posed.joints - theirs.joints[:, :5]).abs().max() < TOLERANCE
    # The smplx package counts only the root's turn, not the neck's.
    landmarks = torch.cat([posed.landmarks("ibug51"), face_contour(posed, (0,))], 1)
    assert (landmarks - theirs.joints[:, 5:]).abs().max() < TOLERANCE


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("comps", "flat"), [(12, False), (12, True), (44, False)])
def test_mano_hands_equal_the_smplx_package(body_models, chumpy, side, comps, flat):
    path = find_asset(body_models, f"MANO {side}")
    if path is None:
        pytest.skip(f"no MANO {side} in the folder of body models")
    peer = smplx.MANO(
        str(path),
        is_rhand=side == "right",
        use_pca=True,
        num_pca_comps=comps,
        flat_hand_mean=flat,
        dtype=F64,
        batch_size=4,
    )
    given = normal(4, comps, scale=0.5)
    with torch.no_grad():
        theirs = peer(hand_pose=given, return_full_pose=True).full_pose[:, 3:]
    hand = load_mano_hand(path)
    found = hand.axis_angle(given.float(), flat_hand_mean=flat)
    assert (found.flatten(1) - theirs).abs().max() < 1e-6
    back = hand.first(comps).coefficients(found, flat_hand_mean=flat)
    assert (back - given).abs().max() < 1e-4


def test_gradients_by_finite_differences(ours):
    """Through shape, expression, hand components, correctives and both kinds of landmarks."""
    body = ours.body.to(dtype=F64)
    hand = ours.left_hand.to(dtype=F64)
    base = normal(55, 3, scale=0.2, seed=6)

    def outputs(betas, expression, joints, coefficients):
        pose = torch.cat([base[:22], joints, hand.axis_angle(coefficients), base[40:]])
        posed = body.shape(betas, expression).pose(axis_angle_to_matrix(pose))
        return posed.landmarks("ibug51")[::9], face_contour(posed)[::5], posed.joints[::9]

    sizes = ((3,), (3,), (3, 3), (2,))
    inputs = [normal(*n, scale=0.3, seed=7).requires_grad_() for n in sizes]
    assert torch.autograd.gradcheck(outputs, inputs, atol=1e-6)


@pytest.mark.parametrize("degrees", [0, 1, -1, 17.4, -17.4, 38, -38, 60, -60])
def test_contour_rows_follow_the_yaw(degrees):
    turn = axis_angle_to_matrix(torch.tensor([0.0, np.radians(degrees), 0.0]))
    rotations = torch.eye(3).repeat(5, 1, 1)
    rotations[1] = turn
    row = int(contour_rows(rotations, FLAME_NECK_CHAIN))
    turned = round(min(abs(degrees), 39))
    assert row == (39 + turned if degrees > 0 else turned)
