"""BVH out: exact angles, a skeleton of the body's shape, and back again."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_NAMES, PARENTS
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.motion.formats.layouts.bvh import load_bvh
from pear_avatar.motion.formats.registry import load_motion, read_motion
from pear_avatar.motion.write_bvh import euler_angles, save_bvh
from pear_avatar.types import BodyParams, Motion

BODY = load_body()
ORDERS = ["".join(p) for p in permutations("XYZ")]


def random_motion(frames=9, betas=10, seed=0):
    g = torch.Generator().manual_seed(seed)
    rotations = axis_angle_to_matrix(1.2 * torch.randn(frames, 55, 3, generator=g))
    params = BodyParams(
        torch.randn(betas, generator=g),
        torch.zeros(frames, 10),
        rotations,
        torch.randn(frames, 3, generator=g),
    )
    return Motion(params, np.arange(frames) / 24.0, "random")


def joints(motion, betas):
    p = motion.params
    return BODY.shape(betas).pose(p.rotations, p.transl).joints.double().numpy()


@pytest.mark.parametrize("order", ORDERS)
def test_angles_multiply_back(order):
    R = Rotation.random(600, random_state=1).as_matrix().reshape(60, 10, 3, 3)
    angles = euler_angles(R, order)
    back = Rotation.from_euler(order, angles.reshape(-1, 3)).as_matrix().reshape(R.shape)
    assert np.abs(back - R).max() < 1e-12


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("middle", [-90.0, 90.0])
def test_angles_at_the_lock(order, middle):
    rng = np.random.default_rng(0)
    turns = rng.uniform(-180, 180, (200, 3))
    turns[:, 1] = middle
    R = Rotation.from_euler(order, turns, degrees=True).as_matrix().reshape(20, 10, 3, 3)
    angles = euler_angles(R, order)
    back = Rotation.from_euler(order, angles.reshape(-1, 3)).as_matrix().reshape(R.shape)
    assert np.abs(back - R).max() < 1e-12


@given(st.integers(0, 2**32 - 1), st.sampled_from(ORDERS))
@settings(max_examples=25, deadline=None)
def test_angles_run_on_where_the_motion_does(seed, order):
    rng = np.random.default_rng(seed)
    speed = rng.uniform(-0.2, 0.2, 3)
    speed[1] *= 0.02  # the middle angle stays clear of its lock
    turns = np.cumsum(np.tile(speed, (150, 1)), 0)[:, None]
    R = Rotation.from_euler(order, turns.reshape(-1, 3)).as_matrix().reshape(150, 1, 3, 3)
    steps = np.abs(np.diff(euler_angles(R, order), axis=0))
    assert steps.max() < 0.201  # no jump of half a turn, far less of a whole one


@pytest.mark.parametrize(("order", "unit"), [("ZXY", "cm"), ("XYZ", "m"), ("YZX", "cm")])
def test_round_trip_on_a_shaped_body(tmp_path, order, unit):
    motion = random_motion()
    betas = motion.params.betas
    save_bvh(tmp_path / "out.bvh", motion, BODY, order=order, unit=unit)
    rest = BODY.shape(betas).joints
    found = read_motion(tmp_path / "out.bvh").report
    assert found.reference == "same skeleton"
    back = load_motion(tmp_path / "out.bvh", rest_joints=rest.numpy())
    # Nine digits of angle and length: what is left is the rounding of float32, a thousandth mm.
    assert np.abs(joints(back, betas) - joints(motion, betas)).max() < 5e-6
    assert torch.allclose(back.params.rotations, motion.params.rotations, atol=2e-6)
    assert back.fps == pytest.approx(24.0)
    assert [p.name for p in tmp_path.iterdir()] == ["out.bvh"]


def test_the_file_itself(tmp_path):
    motion = random_motion(2)
    save_bvh(tmp_path / "out.bvh", motion, BODY)
    capture = load_bvh(tmp_path / "out.bvh")
    assert sorted(capture.names) == sorted(JOINT_NAMES)
    for name, parent in zip(capture.names[1:], capture.parents[1:], strict=True):
        assert JOINT_NAMES[PARENTS[JOINT_NAMES.index(name)]] == capture.names[parent]
    # The offsets are the shaped body's bones in centimetres; positions the pelvis in the world.
    rest = BODY.shape(motion.params.betas).joints.double().numpy()
    order = [JOINT_NAMES.index(n) for n in capture.names]
    assert np.allclose(capture.rest(), 100 * (rest[order] - rest[0]), atol=1e-4)
    _, points = capture.world()
    assert np.abs(points / 100 - joints(motion, motion.params.betas)[:, order]).max() < 1e-6
    text = (tmp_path / "out.bvh").read_text()
    assert "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation" in text
    leaves = [j for j in range(55) if j not in PARENTS]
    assert text.count("End Site") == len(leaves)


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match="order must be one of XYZ"):
        save_bvh(tmp_path / "a.bvh", random_motion(1), BODY, order="XYX")
    with pytest.raises(ValueError, match="unit must be cm or m"):
        save_bvh(tmp_path / "a.bvh", random_motion(1), BODY, unit="in")
    assert not list(tmp_path.iterdir())
