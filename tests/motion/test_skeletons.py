"""Captures of every studio and program: hips and limbs as an independent reader sees them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from footage import DATA
from skeletons import BONES, SCHEMES, angles, bvh, positions

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.motion.formats.registry import read_motion

FAULTS, MOCAP = DATA / "faults", DATA / "mocap"
BODY = load_body()
COUNT = 20
#: The body's bones, and the ends of the same bones under neutral names.
PAIRS = {("right_hip", "left_hip"): ("R.upperleg", "L.upperleg")} | {
    (f"{side}_{a}", f"{side}_{b}"): (f"{letter}.{c}", f"{letter}.{d}")
    for side, letter in (("left", "L"), ("right", "R"))
    for a, b, c, d in (
        ("shoulder", "elbow", "upperarm", "lowerarm"), ("elbow", "wrist", "lowerarm", "hand"),
        ("hip", "knee", "upperleg", "lowerleg"), ("knee", "ankle", "lowerleg", "foot"),
    )
}  # fmt: skip


def walk(count: int = COUNT) -> np.ndarray:
    t = np.linspace(0, 1, count)
    return np.stack([40 * t, 95 + 2 * np.sin(9 * t), 250 * t], 1)


def degrees(path: Path, source: dict[str, np.ndarray], names: dict[str, str]) -> dict[str, float]:
    """The greatest angle between each of the body's bones and the source's."""
    found = read_motion(path)
    assert not found.warnings, found.warnings
    p = found.motion.params
    joints = BODY.shape().pose(p.rotations, p.transl).joints.double().numpy()
    up = {"y": np.eye(3), "z": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0.0]])}[found.report.up_axis]
    out = {}
    for (a, b), (c, d) in PAIRS.items():
        ours = joints[:, JOINT_INDEX[b]] - joints[:, JOINT_INDEX[a]]
        theirs = (source[names.get(d, d)] - source[names.get(c, c)]) @ up.T
        lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
        cosine = np.clip((ours * theirs).sum(1) / lengths, -1, 1)
        out[f"{a}-{b}"] = float(np.degrees(np.arccos(cosine)).max())
    return out


def check(tmp_path: Path, text: str, names: dict[str, str]) -> Path:
    path = tmp_path / "made.bvh"
    path.write_text(text, "utf-8")
    off = degrees(path, positions(text), names)
    assert max(off.values()) < 3, off
    return path


@pytest.mark.parametrize("program", SCHEMES)
def test_names_of_programs(tmp_path, program):
    names = SCHEMES[program]
    path = check(tmp_path, bvh(names, angles(COUNT), walk()), names)
    report = read_motion(path).report
    assert report.mapped["left_collar"] == names["L.collar"]
    assert report.mapped["right_foot"] == names["R.toe"]
    assert report.mapped["head"] == names["head"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp932"])
def test_byte_order_marks_and_japanese_encodings(tmp_path, encoding):
    names = SCHEMES["mmd" if encoding == "cp932" else "mixamo"]
    path = tmp_path / "marked.bvh"
    path.write_bytes(bvh(names, angles(COUNT), walk()).encode(encoding))
    assert read_motion(path).report.mapped["left_elbow"] == names["L.lowerarm"]


def with_locator(chain, turn_where, path_where):
    """The same motion with joints above the hips that carry the path, the turn, or both."""
    names = [*chain, "hips"]
    bones = [(chain[0], "", (0.0, 0.0, 0.0))]
    bones += [(b, a, (0.0, 0.0, 0.0)) for a, b in pairwise(chain)]
    bones += [("hips", chain[-1], (0.0, 95.0, 0.0)), *BONES[1:]]
    turns, path = angles(COUNT), walk()
    if turn_where != "hips":
        yaw = np.zeros((COUNT, 3))
        yaw[:, 2] = turns["hips"][:, 2]
        turns["hips"] = turns["hips"] * [1, 1, 0]
        turns[turn_where] = yaw
    assert set(names) >= {turn_where, path_where}
    return bvh({}, turns, path * [1, 0, 1], tuple(bones))


@pytest.mark.parametrize("chain", [("Root",), ("Reference",), ("Armature", "root"), ("Hips_ctrl",)])
@pytest.mark.parametrize("turn", ["hips", "first"])
def test_locators_above_the_hips(tmp_path, chain, turn):
    text = with_locator(chain, "hips" if turn == "hips" else chain[0], chain[0])
    path = check(tmp_path, text, {})
    transl = read_motion(path).motion.params.transl.numpy()
    source = positions(text)["hips"]
    scale = read_motion(path).report.scale
    walked = np.linalg.norm((transl[-1] - transl[0])[[0, 2]])
    assert walked == pytest.approx(
        scale * np.linalg.norm((source[-1] - source[0])[[0, 2]]), rel=0.01
    )


@pytest.mark.parametrize("upper", ["Hips", "Waist", "COM"])
def test_a_pelvis_below_the_hips(tmp_path, upper):
    bones = [(upper, "", (0.0, 95.0, 0.0)), ("Pelvis", upper, (0.0, -2.0, 0.0))]
    for name, parent, offset in BONES[1:]:
        above = {"hips": "Pelvis" if "leg" in name else upper}.get(parent, parent)
        bones.append((name, above, offset))
    turns = angles(COUNT)
    turns[upper] = turns.pop("hips")
    turns["Pelvis"] = 40 * np.sin(np.linspace(0, 6, COUNT))[:, None] * [0.5, 0.3, 1.0]
    text = bvh({}, turns, walk(), tuple(bones))
    path = check(tmp_path, text, {})
    assert read_motion(path).report.mapped["pelvis"] == "Pelvis"


@pytest.mark.parametrize("names", [("LHipJoint", "RHipJoint"), ("LeftHip", "RightHip")])
@pytest.mark.parametrize("apart", [0.0, 15.0])
def test_hip_joints_that_carry_the_turn(tmp_path, names, apart):
    left, right = names
    bones = [("Root", "", (0.0, 95.0, 0.0)), (left, "Root", (0.0, 0.0, 0.0)),
             (right, "Root", (0.0, 0.0, 0.0))]  # fmt: skip
    for name, parent, offset in BONES[1:]:
        above = {"hips": {"L": left, "R": right}[name[0]] if "leg" in name else "Root"}
        bones.append((name, above.get(parent, parent), offset))
    turns = angles(COUNT)
    turn = turns.pop("hips")
    for joint, sign in ((left, 1), (right, -1), ("spine", 0)):
        turns[joint] = turn + np.array([0, 0.5 * sign * apart, 0])
    check(tmp_path, bvh({}, turns, walk(), tuple(bones)), {})


@pytest.mark.parametrize("second", ["{}02", "{}Twist", "{}_twist_01"])
def test_bones_in_two_parts(tmp_path, second):
    parted = {"upperarm", "upperleg", "lowerleg"}
    bones = []
    for name, parent, offset in BONES:
        part = parent.partition(".")[2]
        if part in parted and name != "x":
            half = tuple(v / 2 for v in offset)
            helper = second.format(parent)
            bones += [(helper, parent, half), (name, helper, half)]
        else:
            bones.append((name, parent, offset))
    check(tmp_path, bvh({}, angles(COUNT), walk(), tuple(bones)), {})


def test_joints_that_move_apart_still_point_right(tmp_path):
    """What no constant can say, positions do: a hip line that tilts by itself."""
    text = bvh({}, angles(COUNT), walk())
    text = text.replace("JOINT L.upperleg", "JOINT LeftUpLeg").replace("R.upperleg", "RightUpLeg")
    names = {"L.upperleg": "LeftUpLeg", "R.upperleg": "RightUpLeg"}
    check(tmp_path, text, names)


@pytest.mark.skipif(not FAULTS.is_dir(), reason="the shared motion files are not here")
@pytest.mark.parametrize("path", sorted(FAULTS.glob("*.bvh")), ids=lambda p: p.name)
def test_files_that_were_refused(path):
    text = path.read_bytes().decode("utf-8-sig")
    found = read_motion(path)
    names = {n: found.report.mapped[b] for b, n in NEUTRAL.items()}
    assert max(degrees(path, positions(text), names).values()) < 3


@pytest.mark.skipif(not MOCAP.is_dir(), reason="the shared motion capture is not here")
@pytest.mark.parametrize("path", sorted(MOCAP.rglob("*.bvh")), ids=lambda p: p.name)
def test_real_motion_capture(path):
    found = read_motion(path)
    names = {n: found.report.mapped[b] for b, n in NEUTRAL.items()}
    assert max(degrees(path, positions(path.read_text("utf-8")), names).values()) < 3


NEUTRAL = {
    f"{side}_{a}": f"{letter}.{b}"
    for side, letter in (("left", "L"), ("right", "R"))
    for a, b in (
        ("shoulder", "upperarm"), ("elbow", "lowerarm"), ("wrist", "hand"), ("hip", "upperleg"),
        ("knee", "lowerleg"), ("ankle", "foot"),
    )
}  # fmt: skip
