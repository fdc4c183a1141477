"""The shipped open-body file: what every array must fulfil, read straight from the npz."""

from __future__ import annotations

import json
import os
from importlib import resources, util

import numpy as np
import pytest

from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES, MIRROR, NUM_JOINTS

ASSET = resources.files("pear_avatar.body") / "assets" / "open_body.npz"
SIZES = {
    "mediapipe_pose": 33,
    "mediapipe_left_hand": 21,
    "mediapipe_right_hand": 21,
    "mediapipe_face": 478,
    "coco17": 17,
    "wholebody133": 133,
}
FLIP = np.array([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def data() -> dict[str, np.ndarray]:
    with ASSET.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def joints(data) -> np.ndarray:
    corners = data["v_template"][data["joint_regressor_index"]].astype(float)
    return np.einsum("jk,jkd->jd", data["joint_regressor_weight"], corners)


@pytest.fixture(scope="module")
def mirror(data) -> np.ndarray:
    """(V,) the vertex at each vertex's mirror image."""
    from scipy.spatial import cKDTree

    distance, index = cKDTree(data["v_template"]).query(data["v_template"] * FLIP)
    assert distance.max() < 1e-6  # the mesh is symmetric to float32 precision
    assert (index[index] == np.arange(len(index))).all()
    return index


def landmarks(data, joints, name) -> np.ndarray:
    points = np.concatenate([joints, data["v_template"]])
    weight = data[f"landmark_{name}_weight"].astype(float)
    return np.einsum("lk,lkd->ld", weight, points[data[f"landmark_{name}_index"]])


def test_the_file_is_small_and_has_the_agreed_sizes(data):
    with ASSET.open("rb") as file:
        assert file.seek(0, os.SEEK_END) <= 10e6
    vertices, faces = len(data["v_template"]), len(data["faces"])
    assert data["shape_dirs"].shape == (vertices, 3, 100)
    assert data["expression_dirs"].shape == (vertices, 3, 52)
    assert data["eyelid_dirs"].shape == (vertices, 3, 2)
    assert data["arkit_coef"].shape == (52, 52)
    assert data["arkit_pose"].shape == (52, 9)
    assert data["uv_faces"].shape == data["faces"].shape == (faces, 3)
    assert data["faces"].max() == vertices - 1
    assert len(np.unique(data["faces"])) == vertices  # no loose vertex
    assert data["uv"].min() >= 0
    assert data["uv"].max() <= 1


def test_skinning_weights_sum_to_one(data):
    assert (data["skin_weights"] >= 0).all()
    assert data["skin_joints"].max() < NUM_JOINTS
    assert np.abs(data["skin_weights"].sum(axis=1) - 1).max() < 1e-6


def test_joint_regressor_is_convex_and_sparse(data):
    weight = data["joint_regressor_weight"]
    assert weight.shape == (NUM_JOINTS, 16)
    assert (weight >= 0).all()
    assert np.abs(weight.sum(axis=1) - 1).max() < 1e-6


def test_joints_do_not_move_with_the_face(data):
    # Each column at ten times its root mean square is far beyond any real expression.
    dirs = data["expression_dirs"].astype(float)[data["joint_regressor_index"]]
    moved = np.einsum("jk,jkde->jde", data["joint_regressor_weight"], dirs)
    lids = np.einsum(
        "jk,jkde->jde",
        data["joint_regressor_weight"],
        data["eyelid_dirs"].astype(float)[data["joint_regressor_index"]],
    )
    assert np.abs(10 * moved).max() < 1e-4
    assert np.abs(lids).max() < 1e-4


def test_the_template_is_a_t_pose(joints, data):
    left = np.stack([joints[JOINT_INDEX[f"left_{n}"]] for n in ("shoulder", "elbow", "wrist")])
    assert (np.diff(left[:, 0]) > 0.15).all()  # the person's left is at +x
    assert np.ptp(left[:, 1]) < 0.02
    assert joints[JOINT_INDEX["head"], 1] > joints[JOINT_INDEX["pelvis"], 1] + 0.4
    assert data["v_template"][:, 2].max() > 0.1  # nose and toes point to +z
    height = np.ptp(data["v_template"][:, 1])
    assert 1.6 < height < 1.8


def test_joints_and_weights_are_symmetric(data, joints, mirror):
    assert np.abs(joints[list(MIRROR)] * FLIP - joints).max() < 1e-5
    dense = np.zeros((len(mirror), NUM_JOINTS))
    rows = np.arange(len(mirror))[:, None]
    np.add.at(dense, (rows, data["skin_joints"]), data["skin_weights"])
    assert np.abs(dense[mirror][:, list(MIRROR)] - dense).max() < 1e-4


def test_shape_directions_are_symmetric_or_antisymmetric(data, mirror):
    dirs = data["shape_dirs"].astype(np.float32)
    flipped = dirs[mirror] * FLIP[:, None].astype(np.float32)
    same = np.abs(flipped - dirs).max(axis=(0, 1))
    opposite = np.abs(flipped + dirs).max(axis=(0, 1))
    assert np.minimum(same, opposite).max() < 1e-5
    assert (same < opposite)[:10].all()  # the widest variations keep the body symmetric


def test_parts_label_every_face(data, joints):
    names = data["part_names"].tolist()
    counts = np.bincount(data["face_part"], minlength=len(names))
    assert (counts > 0).all()
    center = data["v_template"][data["faces"]].mean(axis=1)
    for name in names:
        if name.endswith((".L", ".R")):
            side = center[data["face_part"] == names.index(name), 0]
            assert ((side > 0) == name.endswith(".L")).all(), name


def test_teeth_follow_jaw_and_skull(data, joints):
    teeth = np.unique(
        data["faces"][data["face_part"] == data["part_names"].tolist().index("teeth")]
    )
    assert len(teeth) == 136
    owner = data["skin_joints"][teeth, 0]
    jaw = owner == JOINT_INDEX["jaw"]
    assert jaw.sum() == 68
    assert (owner[~jaw] == JOINT_INDEX["head"]).all()
    assert data["v_template"][teeth[jaw], 1].mean() < data["v_template"][teeth[~jaw], 1].mean()
    assert (data["skin_weights"][teeth, 0] == 1).all()
    assert np.abs(data["v_template"][teeth] - joints[JOINT_INDEX["jaw"]]).max() < 0.12


def test_scalp_is_on_top_of_the_head(data, joints):
    scalp = data["v_template"][data["scalp"]]
    eyes = joints[[JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"]]].mean(axis=0)
    assert 200 < len(scalp) < 1500
    assert scalp[:, 1].max() == data["v_template"][:, 1].max()
    front = scalp[scalp[:, 2] > eyes[2]]
    assert (front[:, 1] > eyes[1] + 0.04).all()  # no hair on the face


def test_arkit_names_drive_the_face(data):
    names = data["arkit_names"].tolist()
    assert len(names) == len(set(names)) == 52
    pose = dict(zip(names, data["arkit_pose"], strict=True))
    assert 0.3 < pose["jawOpen"][0] < 0.5  # about 22 degrees about x
    assert np.abs(pose["jawOpen"][1:]).max() < 1e-6
    assert pose["eyeLookInLeft"][4] < -0.1  # the left eye turns towards the nose, about -y
    assert pose["eyeLookInRight"][7] > 0.1
    assert np.abs(pose["mouthSmileLeft"]).max() == 0
    offsets = np.einsum(
        "ae,vde->avd", data["arkit_coef"].astype(float), data["expression_dirs"].astype(float)
    )
    for lid, name in enumerate(("eyeBlinkLeft", "eyeBlinkRight")):
        stored = data["eyelid_dirs"][..., lid].astype(float)
        gap = np.linalg.norm(offsets[names.index(name)] - stored, axis=1)
        assert gap.max() < 0.15e-3  # fp16 twice, through 52 coefficients
        # Inside the head the other side may move as well; nobody sees it.
        skin = data["faces"][data["face_part"] == data["part_names"].tolist().index("head")]
        moved = np.intersect1d(skin, np.nonzero(np.linalg.norm(stored, axis=1) > 1e-3)[0])
        assert ((data["v_template"][moved, 0] > 0) == (lid == 0)).all()
    moved = np.linalg.norm(offsets, axis=2).max(axis=1)
    still = {n for n, m in zip(names, moved, strict=True) if m < 1e-3}
    assert all(n.startswith("eyeLook") for n in still), still


@pytest.mark.parametrize("name", SIZES)
def test_landmark_rows_are_convex(data, name):
    index, weight, sigma = (data[f"landmark_{name}_{k}"] for k in ("index", "weight", "sigma"))
    assert index.shape == weight.shape
    assert len(index) == len(sigma) == SIZES[name]
    assert index.shape[1] <= 8
    assert index.min() >= 0
    assert index.max() < NUM_JOINTS + len(data["v_template"])
    assert (weight >= 0).all()
    assert np.abs(weight.sum(axis=1) - 1).max() < 1e-6
    assert (sigma > 1e-4).all()
    assert (sigma < 0.05).all()


def test_landmarks_are_symmetric(data, joints):
    pose = landmarks(data, joints, "mediapipe_pose")
    left = [1, 2, 3, 7, 9, *range(11, 33, 2)]
    right = [4, 5, 6, 8, 10, *range(12, 34, 2)]
    assert np.abs(pose[left] * FLIP - pose[right]).max() < 1e-5
    hands = [landmarks(data, joints, f"mediapipe_{side}_hand") for side in ("left", "right")]
    assert np.abs(hands[0] * FLIP - hands[1]).max() < 1e-5
    assert (hands[0][:, 0] > 0.5).all()  # the person's left hand
    coco = landmarks(data, joints, "coco17")
    assert np.abs(coco[1::2] * FLIP - coco[2::2]).max() < 1e-5
    face = landmarks(data, joints, "mediapipe_face")
    gap = np.linalg.norm((face * FLIP)[:, None] - face[None], axis=2).min(axis=1)
    assert gap.max() < 1e-3  # exact for pairs; the middle ones may stray from the plane


def test_landmark_sets_agree_with_each_other(data, joints):
    pose, face = (landmarks(data, joints, f"mediapipe_{n}") for n in ("pose", "face"))
    coco, whole = (landmarks(data, joints, n) for n in ("coco17", "wholebody133"))
    assert np.array_equal(whole[:17], coco)
    assert np.array_equal(whole[91:112], landmarks(data, joints, "mediapipe_left_hand"))
    assert np.array_equal(whole[112:], landmarks(data, joints, "mediapipe_right_hand"))
    assert np.allclose(whole[23 + 30], face[4])  # the tip of the nose
    same = {5: 11, 7: 13, 9: 15, 11: 23, 13: 25, 15: 27}  # COCO: MediaPipe, left side
    gap = np.linalg.norm(coco[list(same)] - pose[list(same.values())], axis=1)
    assert gap.max() < 0.08
    iris = face[[468, 473]]  # the person's right and left
    eyes = joints[[JOINT_INDEX["right_eye"], JOINT_INDEX["left_eye"]]]
    assert np.linalg.norm(iris - eyes, axis=1).max() < 0.02
    hand = landmarks(data, joints, "mediapipe_left_hand")
    for tip, name in ((4, "thumb"), (8, "index"), (12, "middle"), (16, "ring"), (20, "pinky")):
        assert np.linalg.norm(hand[tip] - joints[JOINT_INDEX[f"left_{name}3"]]) < 0.04, name


def test_measured_figures_reach_their_targets(data):
    meta = json.loads(str(data["meta"]))
    figures = meta["figures"]
    targets = {  # millimetres
        "zero_pose_max": 0.01,
        "pose_strength_0.6_mean": 0.5,
        "pose_strength_0.6_p99": 8.0,
        "shape_held_out_mean": 0.5,
        "jaw_hinge_residual_mean": 1.0,
        "arkit_round_trip_max": 0.15,
        "joint_held_out_mean": 3.0,
        "joint_held_out_worst_finger": 1.0,
        "joint_moved_by_expression_max": 0.1,
        "face_all": 3.0,
        "face_eyes": 2.0,
        "face_lips": 2.0,
        "hand_mean": 8.0,
    }
    missed = {k: figures[k] for k, limit in targets.items() if figures[k] > limit}
    assert not missed
    assert meta["license"] == "Apache-2.0"
    assert "anny" in meta["source"]


def test_names_are_plain_text(data):
    for key in ("part_names", "arkit_names", "meta"):
        assert data[key].dtype.kind == "U"
    assert len(JOINT_NAMES) == NUM_JOINTS


@pytest.mark.slow
@pytest.mark.skipif(
    os.environ.get("PEAR_AVATAR_SLOW") != "1" or util.find_spec("anny") is None,
    reason="rebuilds the body for minutes: needs PEAR_AVATAR_SLOW=1 and anny",
)
def test_a_rebuild_gives_the_shipped_file(data):
    from tools.build_body.assemble import build_open_body
    from tools.build_body.compare import differences

    assert differences(build_open_body(), data) == []
