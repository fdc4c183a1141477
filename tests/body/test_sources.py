"""Stand-ins, bodies completed from the open one, and where bodies come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from standins.fields import waves
from standins.mesh import landmark_points, make_mesh
from standins.models import smplx_arrays

from pear_avatar.body import face_from_arkit, load_body
from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES
from pear_avatar.body.licensed.known import known_sets
from pear_avatar.body.licensed.model_files import ModelFile
from pear_avatar.body.licensed.smplx_files import VERTEX_LANDMARKS, read_smplx
from pear_avatar.body.sources import BodySource, load_ehm, load_hands, load_licensed_body
from pear_avatar.body.transfer import complete_body
from pear_avatar.body.transfer.regions import REGIONS
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.geometry.surface import closest_on_surface

NEEDED = (
    "mediapipe_pose",
    "mediapipe_left_hand",
    "mediapipe_right_hand",
    "mediapipe_face",
    "coco17",
    "wholebody133",
)


def somebody():
    """Another person in another rest pose: arms and legs lowered, fingers bent, head tilted."""
    body = load_body()
    turn = torch.zeros(55, 3)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        turn[JOINT_INDEX[f"{side}_shoulder"], 2] = -0.12 * sign
        turn[JOINT_INDEX[f"{side}_hip"], 2] = 0.06 * sign
        turn[JOINT_INDEX[f"{side}_elbow"], 1] = -0.1 * sign
        start = JOINT_INDEX[f"{side}_index1"]
        turn[start : start + 12, 2] = -0.08 * sign
    turn[JOINT_INDEX["left_wrist"], 0] = 0.1
    turn[JOINT_INDEX["neck"], 0] = 0.08
    betas = 0.8 * torch.randn(100, generator=torch.Generator().manual_seed(3))
    shift = torch.tensor([0.01, -0.3, 0.02])  # the pelvis need not lie at the origin
    posed = body.shape(betas).pose(axis_angle_to_matrix(turn), shift)
    return replace(body, v_template=posed.vertices(), joint_template=posed.joints)


@pytest.fixture(scope="module")
def person():
    return somebody()


@pytest.fixture(scope="module")
def person_mesh(person):
    return make_mesh(person)


@pytest.fixture(scope="module")
def person_arrays(person, person_mesh):
    return smplx_arrays(person, person_mesh)


@pytest.fixture(scope="module")
def completed(person_arrays):
    file = ModelFile(Path("person.npz"), person_arrays, "")
    target = read_smplx(file).body
    return complete_body(load_body(), target, known_sets(load_body(), target)).body


def test_standins_are_exact_where_the_open_body_is(person, person_mesh, person_arrays):
    """Shape rows, skinning and joints of the vertices that stayed; known vertices in place."""
    arrays = person_arrays
    chosen = person_mesh.vertex
    assert len(np.unique(chosen)) == 10475
    assert np.array_equal(arrays["v_template"], person.v_template.double().numpy()[chosen])
    shapes = person.shape_dirs.double().numpy()[chosen]
    assert np.array_equal(arrays["shapedirs"][..., :100], shapes)
    assert (np.abs(arrays["shapedirs"]).max((0, 1)) > 0).all()
    joints = arrays["J_regressor"] @ arrays["v_template"]
    plain = load_body()
    regressed = (
        (plain.joint_weight[..., None] * person.v_template[plain.joint_index])
        .sum(1)
        .double()
        .numpy()
    )
    assert np.abs(joints - regressed).max() < 1e-6
    tips = landmark_points(person, "mediapipe_left_hand")
    tip = arrays["v_template"][VERTEX_LANDMARKS["left_index_tip"]]
    assert np.linalg.norm(tip - tips[8]) < 0.01
    assert arrays["f"].shape == (20908, 3)
    assert arrays["posedirs"].shape == (10475, 3, 486)
    corners = arrays["v_template"][arrays["f"].astype(int)]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    assert area.min() > 0


def test_standins_are_the_same_every_time(person, person_mesh):
    again = make_mesh(person)
    assert np.array_equal(again.vertex, person_mesh.vertex)
    assert np.array_equal(again.faces, person_mesh.faces)
    points = person.v_template.double().numpy()[:50]
    assert np.array_equal(waves(points, 7, 1e-3, seed=1), waves(points, 7, 1e-3, seed=1))


@pytest.mark.parametrize("name", NEEDED)
def test_landmarks_land_where_the_open_body_has_them(person, completed, name):
    """On another person in another rest pose, at 10475 vertices: below 3 mm on average.

    Half of what is left is the reduced mesh; smooth skin (shoulders, hips) slides the rest.
    """
    error = np.linalg.norm(landmark_points(completed, name) - landmark_points(person, name), axis=1)
    assert error.mean() < (0.0015 if name == "mediapipe_face" else 0.003)
    assert error.max() < 0.010
    marks = completed.landmark_set(name)
    assert torch.equal(marks.sigma, load_body().landmark_set(name).sigma)
    assert (marks.weight.sum(1) - 1).abs().max() < 1e-5


def test_every_joint_belongs_to_one_region():
    assert sorted(j for region in REGIONS for j in region) == sorted(JOINT_NAMES)


def test_bodies_whose_joints_mean_something_else_are_refused(completed):
    turned = replace(
        completed, joint_template=completed.joint_template * torch.tensor([-1.0, 1, 1])
    )
    with pytest.raises(ValueError, match=r"the bone to .* points 1[0-9]+ degrees away"):
        complete_body(load_body(), turned, known_sets(load_body(), turned))


def test_facial_actions_move_the_same_skin(person_mesh, completed):
    plain = load_body()

    def moved(body):
        face = face_from_arkit(body, torch.eye(52))
        rotations = face.apply(torch.eye(3).expand(55, 3, 3))
        with torch.no_grad():
            return body.shape(None, face.expression).pose(rotations).vertices() - body.v_template

    assert completed.arkit_names == plain.arkit_names
    truth, found = moved(plain)[:, person_mesh.vertex], moved(completed)
    inner = np.isin(
        np.array(plain.part_names)[plain.face_part.numpy()],
        ["mouth_cavity", "eye_cavity.L", "eye_cavity.R", "tongue", "teeth"],
    )
    skin = np.zeros(plain.num_vertices, bool)
    skin[plain.faces.numpy()[~inner]] = True
    skin = torch.from_numpy(skin[person_mesh.vertex])
    length = truth.norm(dim=-1)
    error = (truth - found).norm(dim=-1)
    for i, name in enumerate(plain.arkit_names):
        chosen = skin & (length[i] > 0.002)
        if chosen.any():
            assert error[i, chosen].mean() < 0.2 * length[i, chosen].mean(), name


def test_parts_scalp_and_eyelids_are_carried(person_mesh, completed):
    plain = load_body()
    scalp = plain.scalp.numpy()[person_mesh.vertex]
    assert (completed.scalp.numpy() != scalp).sum() < 0.1 * scalp.sum()
    lids = plain.eyelid_dirs[person_mesh.vertex]
    assert (completed.eyelid_dirs - lids).norm(dim=1).max() < 0.002
    count = np.bincount(completed.face_part.numpy(), minlength=len(completed.part_names))
    for part in ("hand.L", "hand.R", "head", "foot.L", "body", "eye_front.L"):
        assert count[completed.part_names.index(part)] > 0, part
    left = completed.face_part == completed.part_names.index("hand.L")
    assert completed.v_template[completed.faces[left]][..., 0].min() > 0


def test_smplx_with_a_flame_head(body_models):
    """EHM-s on licensed files; at rest with FLAME's own mean head the stand-in is unchanged."""
    source = BodySource("smplx", body_models)
    ehm = load_ehm(source)
    assert load_ehm(source) is ehm
    body = load_licensed_body(source)
    assert ehm.body is body
    assert (body.num_vertices, body.num_joints, body.pose_dirs.shape[-1]) == (10475, 55, 486)
    assert set(NEEDED) | {"ibug51", "ibug_contour"} <= set(body.landmark_sets)
    assert len(ehm.head.arkit_names) == len(body.arkit_names) == 52
    assert float(ehm.head.eyelid_dirs.norm(dim=1).max()) > 0.005
    left, right = load_hands(source)
    assert left.components.shape == right.components.shape == (45, 45)


def test_the_open_body_is_the_default():
    assert load_ehm().body is load_body()
    assert load_ehm() is load_ehm(BodySource("open"))
    with pytest.raises(ValueError, match="unknown body 'smpl': choose from open, smplx"):
        BodySource("smpl")
    with pytest.raises(ValueError, match="unknown gender 'm': choose from neutral, male, female"):
        BodySource(gender="m")


def test_without_flame_the_head_is_cut_from_smplx(body_models, tmp_path, caplog):
    (tmp_path / "SMPLX_NEUTRAL.npz").symlink_to(next(body_models.rglob("SMPLX_NEUTRAL.npz")))
    ehm = load_ehm(BodySource("smplx", tmp_path))
    assert ehm.betas_to_head is not None
    assert "FLAME neutral and head correspondence not in" in caplog.text
    with pytest.raises(FileNotFoundError, match=r"no SMPL-X male in .*smpl-x\.is\.tue\.mpg\.de"):
        load_ehm(BodySource("smplx", tmp_path, "male"))


def test_nearest_places_on_a_mesh_equal_brute_force():
    rng = np.random.default_rng(0)
    vertices, faces = rng.normal(size=(40, 3)), rng.integers(0, 40, (60, 3))
    faces = faces[
        (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    ]
    points = rng.normal(size=(30, 3))
    found = closest_on_surface(points, vertices, faces, candidates=len(faces))
    grid = np.array([(i, j, 40 - i - j) for i in range(41) for j in range(41 - i)]) / 40
    every = np.einsum("gc,fcd->fgd", grid, vertices[faces]).reshape(-1, 3)
    slow = np.linalg.norm(points[:, None] - every, axis=2).min(1)
    assert (found.distance <= slow + 1e-9).all()
    assert (slow - found.distance).max() < 0.1  # the grid's spacing
    there = found.carry(vertices, faces)
    assert np.allclose(np.linalg.norm(there - points, axis=1), found.distance)
    assert np.allclose(found.barycentric.sum(1), 1)
    assert found.barycentric.min() >= 0
