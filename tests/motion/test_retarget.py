"""Retargeting: limbs point where the source's limbs point, whatever its axes, units and rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from footage import DATA

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES, PARENTS
from pear_avatar.errors import MotionFileError
from pear_avatar.geometry.rotations import axis_angle_to_matrix, geodesic_angle
from pear_avatar.motion.formats.layouts.bvh import load_bvh
from pear_avatar.motion.formats.registry import (
    load_motion,
)
from pear_avatar.motion.retarget.capture import CaptureMotion
from pear_avatar.motion.retarget.retarget import retarget
from pear_avatar.motion.retarget.skeleton_map import map_skeleton

BODY = load_body()
REST = BODY.joint_template.double().numpy()
SOLE = float(BODY.v_template[:, 1].min())
CLIPS = [
    "animateddrawings/fair1_dab.bvh",
    "animateddrawings/fair1_jumping.bvh",
    "animateddrawings/rokoko_jesse_dance.bvh",
    "animateddrawings/cmu1_jumping_jacks.bvh",
    "fairmotion/01_01.bvh",
]
LIMBS = [
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("left", "right")
    for a, b in (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"))
]
Y_UP = np.eye(3)
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # y-up axes in z-up ones


def directions(points, start, end):
    bone = points[..., end, :] - points[..., start, :]
    return bone / np.linalg.norm(bone, axis=-1, keepdims=True)


def posed_joints(motion):
    posed = BODY.shape().pose(motion.params.rotations, motion.params.transl)
    return posed.joints.double().numpy()


def moving_body(units=1.0, axes=Y_UP, frames=12):
    """The body itself as a capture file: its own skeleton in motion, other units and axes."""
    generator = torch.Generator().manual_seed(0)
    knots = 0.3 * torch.randn(3, 22, 3, generator=generator).double()
    knots[:, 0] *= torch.tensor([0.1, 1.0, 0.1])  # turns on the spot
    knots[:, [7, 8, 10, 11]] = 0  # feet stay flat under straight shins
    time = torch.linspace(0, 2, frames).double()
    weights = (1 - (time[:, None] - torch.arange(3)).abs()).clamp_min(0)
    local = axis_angle_to_matrix(torch.einsum("nk,kjc->njc", weights, knots)).numpy()
    names = [JOINT_NAMES[j] for j in range(22)]
    offsets = np.stack([REST[j] - (REST[PARENTS[j]] if j else 0) for j in range(22)])
    positions = np.broadcast_to(units * offsets @ axes.T, (frames, 22, 3)).copy()
    positions[:, 0] += units * np.linspace(0, 1, frames)[:, None] * axes[:, 2]
    return CaptureMotion(
        names=tuple(names),
        parents=PARENTS[:22],
        offsets=units * offsets @ axes.T,
        end_offsets=(None,) * 22,
        rotations=axes @ local @ axes.T,
        positions=positions,
        frame_time=1 / 30,
        source="self.bvh",
    ), torch.from_numpy(local)


@pytest.mark.parametrize(("units", "axes", "up"), [(1.0, Y_UP, "y"), (100.0, Z_UP, "z")])
def test_the_body_retargeted_to_itself_moves_alike(units, axes, up):
    source, local = moving_body(units, axes)
    motion, report = retarget(source, REST, sole_height=SOLE)
    assert report.up_axis == up
    assert report.scale == pytest.approx(1 / units, rel=1e-6)
    assert report.reference == "rest pose"
    driven = [j for j in range(22) if JOINT_NAMES[j] not in ("spine1", "spine2")]
    angle = torch.rad2deg(geodesic_angle(motion.params.rotations[:, :22].double(), local))
    # The middle of the spine is interpolated; ankles keep their slope to the floor.
    arms_and_legs = [j for j in driven if JOINT_NAMES[j][-4:] in ("knee", "lbow", "lder", "_hip")]
    assert angle[:, arms_and_legs].max() < 0.1
    assert angle[:, driven].max() < 8
    path = motion.params.transl.double().numpy()
    assert np.allclose(path[:, 2], np.linspace(0, 1, 12), atol=1e-5)
    assert np.allclose(path[0, [0, 2]], 0, atol=1e-6)


def test_joints_without_a_source_stay_at_rest():
    motion, report = retarget(moving_body()[0], REST)
    eye = torch.eye(3).expand(12, 3, 3)
    for name in ("jaw", "left_eye", "right_middle2"):
        assert name not in report.mapped
        assert torch.allclose(motion.params.rotations[:, JOINT_INDEX[name]], eye, atol=1e-6)
    assert "driven" in report.summary()


def test_a_world_that_lies_differently_than_the_skeleton():
    """Some exporters keep the skeleton y-up and turn only the root into a z-up world."""
    source, local = moving_body()
    R = source.rotations.copy()
    R[:, 0] = Z_UP @ R[:, 0]
    positions = source.positions.copy()
    positions[:, 0] = positions[:, 0] @ Z_UP.T
    motion, report = retarget(replace(source, rotations=R, positions=positions), REST)
    assert (report.up_axis, report.reference) == ("z", "rest pose")
    hips = motion.params.rotations[:, 0].double()
    assert torch.rad2deg(geodesic_angle(hips, local[:, 0])).max() < 0.1


def test_collapsed_skeletons_are_refused():
    source = moving_body()[0]
    offsets = np.zeros_like(source.offsets)
    with pytest.raises(MotionFileError, match=r"self\.bvh: the hips have no extent"):
        retarget(replace(source, offsets=offsets), REST)


def test_unknown_skeletons_are_named():
    source = replace(moving_body()[0], names=tuple(f"bone{j}" for j in range(22)))
    with pytest.raises(MotionFileError, match=r"self\.bvh: no joint was recognised as left_elbow"):
        retarget(source, REST)


@pytest.mark.parametrize(
    "rename",
    [
        lambda n: f"mixamorig:{MIXAMO.get(n, n)}",
        lambda n: n.replace("left_", "L_").replace("right_", "R_"),
        lambda n: f"{n[5:]}.L" if n.startswith("left_") else f"{n[6:]}.R" if "right" in n else n,
    ],
)
def test_naming_schemes(rename):
    source = moving_body()[0]
    renamed = map_skeleton(replace(source, names=tuple(rename(n) for n in source.names)))
    assert renamed == map_skeleton(source)
    assert source.names[renamed.limbs["left_foot"]] == "left_foot"
    assert source.names[renamed.limbs["right_collar"]] == "right_collar"
    assert source.names[renamed.chest] == "spine3"


MIXAMO = {
    f"{side.lower()}_{ours}": f"{side}{theirs}"
    for side in ("Left", "Right")
    for ours, theirs in (
        ("collar", "Shoulder"), ("shoulder", "Arm"), ("elbow", "ForeArm"), ("wrist", "Hand"),
        ("hip", "UpLeg"), ("knee", "Leg"), ("ankle", "Foot"), ("foot", "ToeBase"),
    )
}  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize("name", CLIPS)
def test_real_clips(name):
    path = DATA / "mocap" / name
    if not path.is_file():
        pytest.skip(f"no motion capture at {path}; set PEAR_AVATAR_DATA to the data folder")
    source = load_bvh(path)
    motion, report = retarget(source, REST, sole_height=SOLE)
    assert report.up_axis == ("z" if "fair1" in name else "y")
    limbs = map_skeleton(source).limbs
    _, points = source.world()
    if report.up_axis == "z":
        points = points @ Z_UP
    joints = posed_joints(motion)
    for start, end in LIMBS:
        theirs = directions(points, limbs[start], limbs[end])
        ours = directions(joints, JOINT_INDEX[start], JOINT_INDEX[end])
        angle = np.rad2deg(np.arccos(np.clip((theirs * ours).sum(-1), -1, 1)))
        assert angle.mean() < 0.5, (start, angle.mean())  # exact but for rounding
    # Left stays left: the body faces where the source faces.
    across = directions(points, limbs["right_hip"], limbs["left_hip"])
    assert (across * directions(joints, 2, 1)).sum(-1).mean() > 0.95
    lengths = np.linalg.norm(joints[:, 1:] - joints[:, list(PARENTS[1:])], axis=-1)
    assert np.ptp(lengths, axis=0).max() < 1e-5
    # Knees bend backwards in the body's own frame, as knees do.
    for side in ("left", "right"):
        knee = motion.params.rotations[:, JOINT_INDEX[f"{side}_knee"]]
        assert float((knee[:, 2, 1] - knee[:, 1, 2]).mean()) > -0.1


@pytest.mark.data
@pytest.mark.parametrize("name", ["animateddrawings/fair1_dab.bvh", "fairmotion/01_01.bvh"])
def test_feet_stand_on_the_floor(name):
    path = DATA / "mocap" / name
    if not path.is_file():
        pytest.skip(f"no motion capture at {path}; set PEAR_AVATAR_DATA to the data folder")
    motion = load_motion(path).params[::25]
    lowest = BODY.shape().pose(motion.rotations, motion.transl).vertices()[..., 1].amin(-1)
    assert lowest.min() > -0.04  # no foot deeper in the floor than a shoe sole is thick
    assert lowest.median().abs() < 0.02


def standing_on_hands(frames=40):
    """A skeleton that ends at its wrists, like Isaac Gym's: first on its feet, then its hands."""
    names, parents = ["pelvis", "torso", "head"], [-1, 0, 1]
    offsets = [[0, 0, 0], [0, 0.24, 0], [0, 0.22, 0]]
    for side, sign in (("left", 1), ("right", -1)):
        at = len(names)
        names += [f"{side}_{n}" for n in ("upper_arm", "lower_arm", "hand")]
        parents += [1, at, at + 1]
        offsets += [[sign * 0.18, 0.24, 0], [sign * 0.27, 0, 0], [sign * 0.26, 0, 0]]
    for side, sign in (("left", 1), ("right", -1)):
        at = len(names)
        names += [f"{side}_{n}" for n in ("thigh", "shin", "foot")]
        parents += [0, at, at + 1]
        offsets += [[sign * 0.085, 0, 0], [0, -0.42, 0], [0, -0.41, 0]]
    offsets = np.array(offsets, float)
    rotations = np.broadcast_to(np.eye(3), (frames, len(names), 3, 3)).copy()
    positions = np.broadcast_to(offsets, (frames, len(names), 3)).copy()
    half = frames // 2
    positions[:half, 0, 1] = 0.83 + 0.08  # ankles 8 cm above the floor
    rotations[half:, 0] = np.diag([1.0, -1, -1])
    for name, sign in (("left_upper_arm", 1), ("right_upper_arm", -1)):  # arms up, beside the head
        rotations[half:, names.index(name)] = [[0, -sign, 0], [sign, 0, 0], [0, 0, 1]]
    positions[half:, 0, 1] = 0.24 + 0.24 + 0.53 + 0.02  # wrists 2 cm above it
    return CaptureMotion(
        names=tuple(names),
        parents=tuple(parents),
        offsets=offsets,
        end_offsets=(None,) * len(names),
        rotations=rotations,
        positions=positions,
        frame_time=1 / 30,
        source="handstand",
    )


def test_hands_that_carry_do_not_sink_into_the_floor():
    motion, report = retarget(standing_on_hands(), REST, sole_height=SOLE, up_axis="y")
    assert report.up_axis == "y"
    p = motion.params
    lowest = BODY.shape().pose(p.rotations, p.transl).vertices()[..., 1].amin(-1)
    # Away from the turn, which smoothing spreads over a fifth of a second. Fingers end beyond
    # their last joints.
    assert lowest[:12].abs().max() < 0.01
    assert lowest[28:].min() > -0.06
    assert lowest[28:].max() < 0.03
