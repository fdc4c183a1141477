"""The parts of the open body's build that need neither anny nor a detector."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES, NUM_JOINTS, PARENTS
from tools.build_body.body_landmarks import POSE_NAMES, mirrored_points, other_side
from tools.build_body.compare import differences
from tools.build_body.expressions import fit_jaw, rigid_motion
from tools.build_body.face_landmarks import closest_point
from tools.build_body.joints_map import JOINT_BONES, give_to_jaw, joint_of_bone
from tools.build_body.parts import PART_NAMES, face_parts
from tools.build_body.posing import joint_transforms
from tools.build_body.regressor import farthest_points, solve_convex, transport_point
from tools.build_body.render import look_at, rasterise_mesh
from tools.build_body.scenes import matrices
from tools.build_body.shape_basis import held_out_errors, shape_basis
from tools.build_body.teeth import split_quads
from tools.build_body.write import sparse_rows, write_npz


def rotation(rng) -> np.ndarray:
    return matrices(np.tile(rng.standard_normal(3), (NUM_JOINTS, 1)))[0]


def symmetric_mesh(rng, pairs=20, middle=5):
    left = rng.uniform(0.1, 1.0, (pairs, 3))
    center = rng.uniform(-1.0, 1.0, (middle, 3)) * [0.0, 1.0, 1.0]
    mirror = np.concatenate(
        [np.arange(pairs, 2 * pairs), np.arange(pairs), np.arange(2 * pairs, 2 * pairs + middle)]
    )
    return np.concatenate([left, left * [-1, 1, 1], center]), mirror


def test_shape_basis_explains_its_samples_and_is_symmetric():
    rng = np.random.default_rng(0)
    template, mirror = symmetric_mesh(rng)
    dirs = rng.standard_normal((3, len(template), 3)) * 0.05
    samples = template + np.einsum("nk,kvd->nvd", rng.standard_normal((300, 3)), dirs)
    basis = shape_basis(samples, mirror, 6)  # 3 directions split into 3 + 3
    assert held_out_errors(basis, samples, 6).max() < 1e-9
    flip = np.array([-1.0, 1.0, 1.0])
    sign = np.where(basis.antisymmetric, -1.0, 1.0)
    assert np.allclose(basis.mean[mirror] * flip, basis.mean, atol=1e-12)
    assert np.allclose(
        basis.directions[mirror] * flip[:, None], basis.directions * sign, atol=1e-12
    )
    assert basis.antisymmetric.sum() == 3
    # A unit coefficient is one standard deviation over the samples and their mirror images.
    both = np.concatenate([samples, samples[:, mirror] * flip])
    variance = ((both - basis.mean) ** 2).sum() / (len(both) - 1)
    assert np.isclose((basis.directions**2).sum(), variance, rtol=0.01)


def test_solve_convex_finds_the_weights_and_respects_the_limit():
    rng = np.random.default_rng(1)
    columns = rng.standard_normal((40, 12, 3))
    truth = np.zeros(12)
    truth[[2, 5, 7]] = 0.5, 0.3, 0.2
    targets = np.einsum("c,ncd->nd", truth, columns)
    assert np.allclose(solve_convex(columns, targets, 4), truth, atol=1e-4)
    sparse = solve_convex(columns, targets, 2)
    assert (sparse > 0).sum() <= 2
    assert np.isclose(sparse.sum(), 1.0)


def test_transported_point_follows_a_similarity():
    rng = np.random.default_rng(2)
    anchors, point = rng.standard_normal((10, 3)), rng.standard_normal(3)
    R, t = rotation(rng), rng.standard_normal(3)
    moved = transport_point(point, anchors, (1.3 * anchors @ R.T + t)[None])
    assert np.allclose(moved[0], 1.3 * R @ point + t)


def test_farthest_points_are_spread():
    line = np.linspace(0, 1, 101)[:, None] * [1.0, 0.0, 0.0]
    chosen = farthest_points(line, np.zeros(3), 3)
    assert sorted(line[chosen, 0].tolist()) == [0.0, 0.5, 1.0]
    assert len(farthest_points(line[:2], np.zeros(3), 9)) == 2


def test_jaw_hinge_is_recovered():
    rng = np.random.default_rng(3)
    pivot = np.array([0.0, 0.65, 0.06])
    vertices = pivot + rng.uniform(-0.08, 0.08, (200, 3)) + [0, -0.05, 0.05]
    R = matrices(np.tile([0.4, 0.0, 0.0], (NUM_JOINTS, 1)))[0]
    weight = np.concatenate([np.ones(60), rng.random(140)])
    offset = weight[:, None] * ((vertices - pivot) @ (R - np.eye(3)).T)
    teeth = np.arange(200) < 60
    jaw = fit_jaw(vertices, offset, teeth)
    assert np.allclose(jaw.pivot, pivot, atol=1e-9)
    assert np.allclose(jaw.R, R, atol=1e-9)
    assert jaw.residual < 1e-9
    moved = np.linalg.norm(offset, axis=1) > 1e-4
    assert np.allclose(jaw.weights[moved], weight[moved], atol=1e-6)


def test_rigid_motion_is_recovered():
    rng = np.random.default_rng(4)
    x, R, t = rng.standard_normal((9, 3)), rotation(rng), rng.standard_normal(3)
    found = rigid_motion(x, x @ R.T + t)
    assert np.allclose(found[0], R)
    assert np.allclose(found[1], t)


def test_bones_merge_upwards():
    names = ("root", "spine03", "upperarm01.L", "upperarm02.L", "lowerarm01.L")
    merged = joint_of_bone(names, (-1, 0, 1, 2, 3))
    assert [JOINT_NAMES[j] for j in merged] == [
        "pelvis",
        "spine1",
        "left_shoulder",
        "left_shoulder",
        "left_elbow",
    ]
    assert set(JOINT_BONES) == set(JOINT_NAMES) - {"jaw"}
    weights = give_to_jaw(np.eye(NUM_JOINTS)[[15]], np.array([0.25]))
    assert weights[0, JOINT_INDEX["jaw"]] == 0.25
    assert weights[0, JOINT_INDEX["head"]] == 0.75


def test_posing_keeps_bone_lengths_and_the_root():
    rng = np.random.default_rng(5)
    joints = rng.standard_normal((NUM_JOINTS, 3))
    T = joint_transforms(joints, matrices(rng.standard_normal((NUM_JOINTS, 3))))
    posed = np.einsum("jab,jb->ja", T[:, :3, :3], joints) + T[:, :3, 3]
    assert np.allclose(posed[0], joints[0])
    parents = np.array(PARENTS[1:])
    rest = np.linalg.norm(joints[1:] - joints[parents], axis=1)
    assert np.allclose(np.linalg.norm(posed[1:] - posed[parents], axis=1), rest)


def test_rasteriser_sees_the_nearest_triangle():
    view = look_at(np.array([0.0, 0.0, 2.0]), np.zeros(3), 100.0, 64, 48)
    square = np.array([[-0.3, -0.2], [0.3, -0.2], [0.3, 0.2], [-0.3, 0.2]])
    near = np.column_stack([0.5 * square, np.full(4, 0.5)])
    vertices = np.concatenate([np.column_stack([square, np.zeros(4)]), near])
    faces = split_quads(np.array([[0, 1, 2, 3], [4, 5, 6, 7]]))
    face, barycentric = rasterise_mesh(*view.project(vertices), faces, 64, 48)
    assert (face >= 0).sum() == 30 * 20  # 0.6 x 0.4 m at 50 px per metre
    assert ((face == 2) | (face == 3)).sum() == 20 * 14  # 0.3 x 0.2 m at 66.7, pixel centres
    hit = face >= 0
    points = np.einsum("pk,pkc->pc", barycentric[hit], vertices[faces[face[hit]]])
    pixel = view.project(points)[0]
    row, column = np.nonzero(hit)
    assert np.abs(pixel - np.column_stack([column, row]) - 0.5).max() < 1e-9


def test_closest_point_on_faces_edges_and_corners():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    faces = np.array([[0, 1, 2]])
    for point, spot in (
        ((0.2, 0.3, 0.7), (0.2, 0.3, 0)),
        ((0.5, -1, 0), (0.5, 0, 0)),
        ((-1, -1, 1), (0, 0, 0)),
        ((1, 1, 0), (0.5, 0.5, 0)),
    ):
        face, weights = closest_point(np.array(point, float), vertices, faces, np.array([0]))
        assert face == 0
        assert np.allclose(weights @ vertices, spot)
        assert (weights >= 0).all()


def test_landmark_partners():
    assert other_side("left_ankle") == "right_ankle"
    assert other_side("mouth_right") == "mouth_left"
    assert other_side("nose") == "nose"
    assert all(other_side(n) in POSE_NAMES for n in POSE_NAMES)
    mirror = np.array([1, 0, 2])
    index = np.array([JOINT_INDEX["left_hip"], 0, NUM_JOINTS, NUM_JOINTS + 2])
    expected = [JOINT_INDEX["right_hip"], 0, NUM_JOINTS + 1, NUM_JOINTS + 2]
    assert mirrored_points(index, mirror).tolist() == expected


def test_part_labels_are_checked():
    assert face_parts(np.array(["teeth", "body"])).tolist() == [PART_NAMES.index("teeth"), 0]
    with pytest.raises(ValueError, match="tail"):
        face_parts(np.array(["body", "tail"]))


def test_sparse_rows_keep_the_largest():
    dense = np.array([[0.5, 0.0, 0.3, 0.2], [0.0, 1.0, 0.0, 0.0]])
    index, value = sparse_rows(dense, 0.25)
    assert index.tolist() == [[0, 2], [1, 1]]
    assert np.allclose(value, [[0.625, 0.375], [1.0, 0.0]])


def test_written_files_are_repeatable(tmp_path):
    arrays = {"b": np.arange(4.0), "a": np.array("text"), "c": np.eye(3, order="F")}
    write_npz(tmp_path / "one.npz", arrays)
    time.sleep(2.1)  # zip dates have a resolution of two seconds
    write_npz(tmp_path / "two.npz", dict(reversed(arrays.items())))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with np.load(tmp_path / "one.npz", allow_pickle=False) as data:
        assert str(data["a"]) == "text"
        assert np.array_equal(data["c"], np.eye(3))
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []


def test_differences_name_the_array():
    from importlib import resources

    path = resources.files("pear_avatar.body") / "assets" / "open_body.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        shipped = dict(archive)
    assert differences(shipped, shipped) == []
    changed = {**shipped, "scalp": ~shipped["scalp"], "v_template": shipped["v_template"] + 1e-3}
    lines = differences(changed, shipped)
    assert any(line.startswith("scalp") for line in lines)
    assert any(line.startswith("v_template") for line in lines)
    assert differences({**shipped, "extra": np.zeros(1)}, shipped) == ["arrays differ: ['extra']"]
