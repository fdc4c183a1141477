"""The benchmark of unseen sides: its truth, its figures, and a small run of it as a gate."""

import numpy as np
import pytest
import torch

from benchmarks import views
from benchmarks._views_film import (
    HEIGHT,
    NUM_FRAMES,
    WIDTH,
    _phone_turns,
    pose_rotations,
    true_views,
)
from benchmarks._views_measure import (
    grouped,
    knee_degrees,
    lean_degrees,
    measure_track,
    measure_view,
)
from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.geometry.cameras import default_world_camera, intrinsics
from pear_avatar.synthesis import CAST, SceneTruth, dress_person
from pear_avatar.types import BodyParams, Camera, Motion, RenderOutput, Track


@pytest.fixture(scope="module")
def some_views():
    found = {}
    for view in true_views(load_body(), dress_person(load_body(), CAST["elif"]), quick=True):
        found[view.name, view.yaw] = view
        if len(found) == 2:
            break
    return list(found.values())


def drawn(view, shift=0):
    color = np.roll(view.color, shift, axis=1)
    alpha = np.roll(view.alpha, shift, axis=1)[..., None]
    return RenderOutput(torch.from_numpy(color), torch.from_numpy(alpha), None)


def test_the_truth_agrees_with_itself_and_not_with_a_shifted_picture(some_views):
    same = measure_view(drawn(some_views[0]), some_views[0], None)
    assert same["psnr"] > 90
    assert same["iou"] == 1.0
    moved = measure_view(drawn(some_views[0], 6), some_views[0], None)
    assert moved["psnr"] < 20
    assert moved["iou"] < 0.85


def test_views_of_both_sides_are_averaged(some_views):
    rows = [(some_views[1], {"psnr": 10.0}), (some_views[1], {"psnr": 20.0})]
    assert grouped(rows) == {"body 45 psnr": 15.0}


def standing(rotations):
    body = load_body()
    count = len(rotations)
    params = BodyParams(
        torch.zeros(body.num_betas),
        torch.zeros(count, body.num_expression),
        rotations,
        torch.tensor([0.0, 0.0, -3.0]).repeat(count, 1),
    )
    return params, body.shape(params.betas).pose(params.rotations, params.transl).joints


def turned(name, joint, degrees):
    rotations = pose_rotations(name, 0).clone()
    angle = np.radians(degrees)
    c, s = float(np.cos(angle)), float(np.sin(angle))
    rotations[JOINT_INDEX[joint]] = torch.tensor([[1, 0, 0], [0, c, -s], [0, s, c]])
    return rotations


def test_lean_and_knees_are_read_in_degrees():
    rotations = torch.stack(
        [pose_rotations("down", 0), turned("down", "pelvis", 12), turned("down", "left_knee", 30)]
    )
    _, joints = standing(rotations)
    lean, knees = lean_degrees(joints), knee_degrees(joints)
    assert float(lean[1] - lean[0]) == pytest.approx(12, abs=0.3)
    assert float((knees[2] - knees[0]).abs()[0]) == pytest.approx(30, abs=6)
    assert float((knees[2] - knees[0]).abs()[1]) < 1e-3


def test_joint_errors_are_split_along_the_line_of_sight():
    rotations = pose_rotations("down", 0)[None].repeat(4, 1, 1, 1)
    params, joints = standing(rotations)
    K = intrinsics(800.0, 480, 640).expand(4, 3, 3)
    camera = Camera(K, default_world_camera().expand(4, 4, 4), 480, 640)
    time = np.arange(4) / 15
    track = Track(Motion(params, time), camera, np.arange(4), np.ones(4, bool), np.zeros(4))
    moved = joints.clone()
    moved[:, 1:, 2] -= 0.05
    truth = SceneTruth(
        Motion(params, time), camera, moved.numpy(), np.zeros((4, 2, 2), np.uint8), None
    )
    figures = measure_track(track, load_body(), truth)
    assert figures["joints along"] == pytest.approx(50 * 21 / 22, rel=0.05)
    assert figures["joints across"] < 12


def test_the_phone_looks_down_at_what_it_aims_at():
    pitch = 0.2
    turn = torch.from_numpy(_phone_turns(pitch, seed=0).mean(0)).float()
    aim = turn @ torch.tensor([0.0, np.sin(pitch), np.cos(pitch)], dtype=torch.float32)
    assert float(aim[2]) > 0.999
    assert len(_phone_turns(pitch, 0)) == NUM_FRAMES
    assert (WIDTH, HEIGHT) == (480, 640)


def test_a_table_has_both_trees_side_by_side():
    rows = views.table(
        {
            "now": {"body 45 perceptual": 0.1, "lean": 2.0},
            "before": {"body 45 perceptual": 0.2, "lean": 8.0},
        }
    )
    assert [(r.name, r.ratio) for r in rows] == [("body 45 perceptual", 2.0), ("lean", 4.0)]
