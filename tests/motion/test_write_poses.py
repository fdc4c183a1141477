"""Poses out: the layouts that other programs expect, and back again to the same joints."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_NAMES
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.motion.formats.registry import load_motion, read_motion
from pear_avatar.motion.write_poses import (
    save_joints_csv,
    save_motion_amass,
    save_motion_ehm,
    save_motion_smplh,
    save_motion_smplx,
)
from pear_avatar.types import BodyParams, Motion

BODY = load_body()
FRAMES = 5
WRITERS = {
    "amass": save_motion_amass,
    "smplh": save_motion_smplh,
    "smplx": save_motion_smplx,
    "ehm": save_motion_ehm,
}
LAYOUTS = {
    "amass": {
        "poses": (5, 165), "trans": (5, 3), "betas": (16,), "num_betas": (), "gender": (),
        "surface_model_type": (), "mocap_frame_rate": (), "root_orient": (5, 3),
        "pose_body": (5, 63), "pose_hand": (5, 90), "pose_jaw": (5, 3), "pose_eye": (5, 6),
    },
    "smplh": {
        "poses": (5, 156), "trans": (5, 3), "betas": (16,), "dmpls": (5, 8), "gender": (),
        "mocap_framerate": (),
    },
    "smplx": {
        "global_orient": (5, 3), "body_pose": (5, 63), "left_hand_pose": (5, 45),
        "right_hand_pose": (5, 45), "jaw_pose": (5, 3), "leye_pose": (5, 3),
        "reye_pose": (5, 3), "betas": (10,), "expression": (5, 10), "transl": (5, 3),
    },
    "ehm": {
        "smplx_coeffs/global_pose": (5, 3), "smplx_coeffs/body_pose": (5, 21, 3),
        "smplx_coeffs/left_hand_pose": (5, 15, 3), "smplx_coeffs/right_hand_pose": (5, 15, 3),
        "smplx_coeffs/camera_RT_params": (5, 3, 4), "smplx_coeffs/exp": (5, 50),
        "flame_coeffs/expression_params": (5, 50), "flame_coeffs/jaw_params": (5, 3),
        "flame_coeffs/eye_pose_params": (5, 6), "flame_coeffs/eyelid_params": (5, 2),
        "head_scale": (1, 3), "hand_scale": (1, 3), "joints_offset": (1, 55, 3),
        "smplx_shape": (1, 200), "flame_shape": (1, 300),
    },
}  # fmt: skip


@pytest.fixture
def motion():
    g = torch.Generator().manual_seed(3)
    angles = 0.8 * torch.randn(FRAMES, 55, 3, generator=g)
    angles[:, 0] *= torch.tensor([0.1, 1.0, 0.1])  # upright, whichever way it faces
    params = BodyParams(
        torch.randn(100, generator=g),
        torch.randn(FRAMES, 52, generator=g),
        axis_angle_to_matrix(angles),
        torch.randn(FRAMES, 3, generator=g),
    )
    return Motion(params, np.arange(FRAMES) / 24.0, "made up")


def joints(params):
    return BODY.shape(params.betas).pose(params.rotations, params.transl).joints


@pytest.mark.parametrize("layout", WRITERS)
def test_layout_and_round_trip(tmp_path, motion, layout):
    WRITERS[layout](tmp_path / "out.npz", motion)
    with np.load(tmp_path / "out.npz", allow_pickle=False) as raw:
        found = {key: raw[key].shape for key in raw.files}
        assert found.items() >= LAYOUTS[layout].items()
        # Others would take betas for their own body's; ours lie beside them.
        for key in ("betas", "smplx_shape"):
            assert key not in raw.files or not raw[key].any()
        assert raw["open_body_betas"].shape == (100,)
    back = load_motion(tmp_path / "out.npz")
    assert back.fps == pytest.approx(24.0)
    assert torch.allclose(back.params.betas, motion.params.betas)
    assert torch.allclose(back.params.expression, motion.params.expression)
    kept = [j for j in range(55) if layout != "smplh" or j not in (22, 23, 24)]
    # Written in float64, read to float32: rounding of a few micrometres at most.
    distance = (joints(back.params) - joints(motion.params)).norm(dim=-1)[:, kept]
    assert float(distance.max()) < 5e-6
    assert [p.name for p in tmp_path.iterdir()] == ["out.npz"]


@pytest.mark.parametrize("layout", ["amass", "smplh", "smplx"])
@pytest.mark.parametrize("up", ["y", "z", "-y"])
def test_any_axis_may_point_up(tmp_path, motion, layout, up):
    WRITERS[layout](tmp_path / "out.npz", motion, up_axis=up)
    with np.load(tmp_path / "out.npz") as raw:
        axis = {"y": [0, 1, 0], "z": [0, 0, 1], "-y": [0, -1, 0]}[up]
        key = "transl" if layout == "smplx" else "trans"
        heights = raw[key] @ np.array(axis)
    rest = {"smplh": {"y": -0.241, "z": 0.029, "-y": 0.241}}.get(
        layout, {"y": -0.351, "z": 0.012, "-y": 0.351}
    )
    assert np.allclose(heights + rest[up], motion.params.transl[:, 1].numpy(), atol=1e-6)
    back = load_motion(tmp_path / "out.npz").params
    assert float((joints(back) - joints(motion.params)).norm(dim=-1)[:, :22].max()) < 5e-6


def test_irregular_times_survive(tmp_path, motion):
    uneven = Motion(motion.params, np.array([0, 0.1, 0.15, 0.4, 0.5]), "uneven")
    for layout, write in WRITERS.items():
        write(tmp_path / f"{layout}.npz", uneven)
        assert np.allclose(load_motion(tmp_path / f"{layout}.npz").time, uneven.time)


def test_what_the_tracker_would_see(tmp_path, motion):
    save_motion_ehm(tmp_path / "out.npz", motion)
    assert read_motion(tmp_path / "out.npz").layout == "ehm"
    with np.load(tmp_path / "out.npz") as raw:
        RT = raw["smplx_coeffs/camera_RT_params"]
    # The tracker's own camera rotation, a half turn about z.
    assert np.allclose(RT[:, :, :3], np.diag([-1.0, -1.0, 1.0]))


def test_joints_as_a_table(tmp_path, motion):
    save_joints_csv(tmp_path / "out.csv", motion, BODY)
    lines = (tmp_path / "out.csv").read_text().splitlines()
    header = lines[0].split(",")
    assert header[:4] == ["time", "pelvis_x", "pelvis_y", "pelvis_z"]
    assert header[-1] == f"{JOINT_NAMES[-1]}_z"
    table = np.loadtxt(lines[1:], delimiter=",")
    assert table.shape == (FRAMES, 166)
    assert np.allclose(table[:, 0], motion.time, atol=1e-6)
    # Six decimals of a metre.
    wanted = joints(motion.params).reshape(FRAMES, -1).numpy()
    assert np.allclose(table[:, 1:], wanted, atol=1e-6)
