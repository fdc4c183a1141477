"""Golden files: every format reads as it did when its pictures were looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX, PARENTS
from pear_avatar.motion.formats.registry import read_motion

GOLDEN = Path(__file__).parent / "golden"
BODY = load_body()
LAYOUTS = {
    "amass_smplh.npz": "amass", "amass_smplx.npz": "amass", "smplx_names.npz": "smplx",
    "gvhmr.pt": "gvhmr", "ehm_tracker.pkl": "ehm", "ehm_arrays.npz": "ehm",
    "flame_only.npz": "flame", "body.bvh": "bvh", "studio.bvh": "bvh", "walker.amc": "amc",
    "poselib.npy": "poselib",
}  # fmt: skip
#: Files of one and the same motion under different names and axes.
SAME = ("amass_smplx.npz", "smplx_names.npz", "ehm_arrays.npz", "body.bvh")


def joints(name):
    p = read_motion(GOLDEN / name).motion.params
    return BODY.shape().pose(p.rotations, p.transl).joints.double().numpy()


@pytest.mark.parametrize("name", LAYOUTS)
def test_reads_as_it_did(name):
    found = read_motion(GOLDEN / name)
    assert found.layout == LAYOUTS[name]
    with np.load(GOLDEN / "joints.npz") as golden:
        # 0.01 mm: float32 sums differ in order between machines, nothing else may.
        assert np.abs(joints(name) - golden[name]).max() < 1e-5
    lengths = joints(name)
    lengths = np.linalg.norm(lengths[:, 1:] - lengths[:, list(PARENTS[1:])], axis=-1)
    assert np.ptp(lengths, axis=0).max() < 1e-5


@pytest.mark.parametrize("name", SAME[1:])
def test_one_motion_in_many_formats(name):
    # Rotations are stored in decimal or double, positions likewise: only float32 rounds.
    assert np.abs(joints(name) - joints(SAME[0])).max() < 1e-5


def test_smplh_is_the_same_without_the_face():
    found, whole = joints("amass_smplh.npz"), joints("amass_smplx.npz")
    kept = [j for j in range(55) if j not in (22, 23, 24)]
    assert np.abs(found - whole)[:, kept].max() < 1e-5


def test_gvhmr_in_its_world_and_in_the_camera():
    from pear_avatar.motion.formats.read_options import ReadOptions

    world = read_motion(GOLDEN / "gvhmr.pt")
    seen = read_motion(GOLDEN / "gvhmr.pt", ReadOptions(camera_space=True))
    assert world.intrinsics.shape == (4, 3, 3)
    assert np.allclose(world.intrinsics[0], [[900, 0, 320], [0, 900, 240], [0, 0, 1]])
    # y is up in both; transl (0, 1.2, 0) moves SMPL-X's origin, its pelvis rests 35 cm lower.
    assert np.allclose(world.motion.params.transl[0].numpy(), [0.003, 0.849, 0.012], atol=1e-6)
    # In the camera's axes y is down and z ahead: (.1, .2, 4) is right, below and in front.
    pelvis = seen.motion.params.transl[0].numpy()
    assert np.allclose(pelvis, [0.103, 0.151, -4.012], atol=1e-6)
    up = seen.motion.params.rotations[:, 0, :, 1]
    assert torch.allclose(up, torch.tensor([0.0, 1.0, 0.0]).expand(4, 3), atol=1e-5)


def test_ehm_tracker_faces_its_camera():
    motion = read_motion(GOLDEN / "ehm_tracker.pkl").motion
    eye = torch.eye(3).expand(4, 3, 3)
    # Half a turn about x is how its camera sees somebody upright who looks at it.
    assert torch.allclose(motion.params.rotations[:, 0], eye, atol=1e-5)
    # Carried by T = (.1, .3, 24) into x left, y up, z ahead; ours are x right, y up, z back.
    assert np.allclose(motion.params.transl[0].numpy(), [-0.097, 0.651, -24.012], atol=1e-5)
    # Jaw and eyes come from FLAME's part, eyelids close as blinks.
    wave = read_motion(GOLDEN / "amass_smplx.npz").motion
    face = slice(JOINT_INDEX["jaw"], JOINT_INDEX["right_eye"] + 1)
    assert torch.allclose(
        motion.params.rotations[:, face], wave.params.rotations[:, face], atol=1e-5
    )
    blink = motion.params.expression @ BODY.arkit_coef.pinverse()
    right = BODY.arkit_names.index("eyeBlinkRight")
    assert torch.allclose(blink[:, right], torch.linspace(0, 1, 4), atol=1e-4)


def test_flame_turns_neck_and_face_only():
    motion = read_motion(GOLDEN / "flame_only.npz").motion
    moved = {"neck", "jaw", "left_eye", "right_eye"}
    still = [j for name, j in JOINT_INDEX.items() if name not in moved]
    eye = torch.eye(3).expand(4, len(still), 3, 3)
    assert torch.allclose(motion.params.rotations[:, still], eye, atol=1e-6)
    assert (motion.params.rotations[-1, JOINT_INDEX["neck"]] - torch.eye(3)).abs().max() > 0.1
    assert motion.params.expression[-1].abs().max() > 0.1


def bend(points, *names):
    """Degrees between two bones of three posed joints; a straight limb has none."""
    a, b, c = (points[JOINT_INDEX[name]] for name in names)
    cosine = (b - a) @ (c - b) / np.linalg.norm(b - a) / np.linalg.norm(c - b)
    return np.rad2deg(np.arccos(cosine))


def test_captures_bend_where_their_numbers_say():
    studio = read_motion(GOLDEN / "studio.bvh")
    # 20 degrees a frame about the file's z, which is the body's y in its T-pose.
    elbow = studio.motion.params.rotations[1, JOINT_INDEX["left_elbow"]]
    assert float(torch.rad2deg(torch.acos(elbow[0, 0]))) == pytest.approx(20, abs=0.2)
    assert studio.report.up_axis == "z"
    assert studio.report.scale == pytest.approx(0.01, rel=1e-4)
    arm, leg = (
        ["left_shoulder", "left_elbow", "left_wrist"],
        ["right_hip", "right_knee", "right_ankle"],
    )
    walker = joints("walker.amc")
    assert bend(walker[1], *leg) == pytest.approx(20, abs=0.1)
    assert bend(walker[1], *arm) == pytest.approx(25, abs=0.1)
    robot = joints("poselib.npy")
    assert bend(robot[3], *arm) == pytest.approx(np.rad2deg(1.2), abs=0.1)
    assert bend(robot[3], *leg) == pytest.approx(np.rad2deg(0.9), abs=0.1)
    robot = read_motion(GOLDEN / "poselib.npy").motion.params.rotations[-1].double()
    forward = robot[0] @ torch.tensor([0.0, 0, 1], dtype=torch.float64)
    # Isaac's +x ahead, turned by half a radian to its left: ours is x ahead, -z to the left.
    assert np.allclose(forward.numpy(), [np.cos(0.5), 0, -np.sin(0.5)], atol=1e-5)


def test_golden_files_are_small():
    assert sum(p.stat().st_size for p in GOLDEN.iterdir() if p.is_file()) < 200_000
