"""Acclaim files: what is read, against arithmetic by hand and a BVH of the same take."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from footage import DATA
from scipy.spatial.transform import Rotation

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.formats.layouts.amc import find_skeleton, load_amc, load_asf
from pear_avatar.motion.formats.layouts.bvh import load_bvh
from pear_avatar.motion.formats.registry import (
    load_motion,
)

GOLDEN = Path(__file__).parent / "golden"
UNIT = 0.0254 / 0.45
ASF = """:version 1.10
:units
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 1 0
  orientation 0 0 0
:bonedata
  begin
    name arm
    direction 2 0 0
    length 3
    axis 10 20 30 XYZ
    dof rz rx
    limits (-10 10)
           (0 5)
  end
  begin
    name hand
    direction 0 1 0
    length 1
    axis 0 0 0 XYZ
  end
:hierarchy
  begin
    root arm
    arm hand
  end
"""
AMC = """# a comment
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 10 20 30
arm 40 50
2
root 0 0 0 0 0 0
arm 0 0
"""


def write(tmp_path, asf=ASF, amc=AMC):
    (tmp_path / "walk.asf").write_text(asf)
    (tmp_path / "walk_01.amc").write_text(amc)
    return tmp_path / "walk_01.amc"


def test_a_small_file_by_hand(tmp_path):
    motion = load_amc(write(tmp_path))
    assert motion.names == ("root", "arm", "hand")
    assert motion.parents == (-1, 0, 1)
    assert motion.frame_time == pytest.approx(1 / 120)
    # Turns about fixed axes, x first: Rz Ry Rx.
    root = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix()
    axes = root
    # The arm's channels are z first, then x.
    bend = Rotation.from_euler("zx", [40, 50], degrees=True).as_matrix()
    R, p = motion.world()
    assert np.allclose(R[0, 0], root)
    assert np.allclose(R[0, 1], root @ axes @ bend @ axes.T)
    assert np.allclose(p[0, 0], np.array([1, 3, 3]) * UNIT)  # with the root's own position
    assert np.allclose(p[0, 1], p[0, 0])  # the arm starts at the root
    assert np.allclose(p[0, 2], p[0, 1] + R[0, 1] @ [3 * UNIT, 0, 0])  # unit direction
    assert np.allclose(R[1], np.eye(3))
    assert np.allclose(motion.end_offsets[2], [0, UNIT, 0])
    assert motion.end_offsets[1] is None


def test_radians_and_moving_bones(tmp_path):
    asf = ASF.replace("angle deg", "angle rad").replace("axis 10 20 30", "axis 0 0 0")
    asf = asf.replace("dof rz rx", "dof tx rz")
    motion = load_amc(
        write(tmp_path, asf, AMC.replace("40 50", "2 0.5").replace("10 20 30", "0 0 0"))
    )
    assert np.allclose(motion.rotations[0, 1], Rotation.from_euler("z", 0.5).as_matrix())
    assert np.allclose(motion.positions[0, 1], [2 * UNIT, 0, 0])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("root 1 2 3 10 20 30", "root 1 2 3", "root has 3 numbers where walk.asf gives it 6"),
        ("arm 40 50", "arm 40 x", "line 6: arm must hold finite numbers"),
        ("arm 40 50", "arm 40 nan", "line 6: arm must hold finite numbers"),
        ("arm 40 50", "leg 40 50", "'leg' is no bone of walk.asf"),
        ("arm 40 50\n", "", "the frame before it lacks arm"),
        ("2\nroot 0 0 0 0 0 0\narm 0 0\n", "2\nroot 0 0 0 0 0 0\n", "lacks arm"),
        ("1\nroot", "root", "not an AMC motion"),
    ],
)
def test_damaged_motions_name_the_line(tmp_path, old, new, message):
    assert old in AMC
    with pytest.raises(MotionFileError, match=message) as caught:
        load_amc(write(tmp_path, amc=AMC.replace(old, new, 1)))
    assert str(caught.value).startswith("walk_01.amc: ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (":version 1.10\n:units", "units", "sections such as"),
        ("length 0.45", "length 0", "length must be a scale"),
        ("angle deg", "angle grad", "angle must be deg or rad"),
        ("direction 2 0 0", "direction 2 0", "direction must be 3 numbers"),
        ("direction 2 0 0", "direction 2 0 inf", "direction must be finite"),
        ("    length 3\n", "", "lacks its name, direction or length"),
        ("axis 10 20 30 XYZ", "axis 10 20 30 XXZ", "an axis order must be such as XYZ"),
        ("axis 10 20 30 XYZ", "axis 10 20", "axis must be three angles"),
        ("dof rz rx", "dof rz rz", "each of rx ry rz"),
        ("name hand", "name arm", "two bones called 'arm'"),
        ("    root arm", "    root leg", "the hierarchy names 'leg'"),
        ("    arm hand", "    hand hand", "hand hang from no chain"),
        ("    arm hand", "    root hand\n    arm hand", "'hand' hangs from two bones"),
        (":hierarchy", ":documentation", "without ':bonedata' and ':hierarchy'"),
    ],
)
def test_damaged_skeletons_name_the_line(tmp_path, old, new, message):
    assert old in ASF
    with pytest.raises(MotionFileError, match=message) as caught:
        load_amc(write(tmp_path, asf=ASF.replace(old, new, 1)))
    assert str(caught.value).startswith("walk.asf: line")


def test_endless_skeletons_are_refused(tmp_path):
    bone = "  begin\n    name b{}\n    direction 1 0 0\n    length 1\n  end\n"
    text = ":root\n  order TX\n:bonedata\n" + "".join(bone.format(i) for i in range(1200))
    with pytest.raises(MotionFileError, match="more than 1000 bones"):
        load_amc(write(tmp_path, asf=text))


def test_the_skeleton_is_found_beside_the_motion(tmp_path):
    amc = write(tmp_path)
    assert find_skeleton(amc).name == "walk.asf"
    shutil.copy(tmp_path / "walk.asf", tmp_path / "walk_01.ASF")
    assert find_skeleton(amc).name == "walk_01.ASF"
    (tmp_path / "walk_01.ASF").unlink()
    (tmp_path / "walk.asf").rename(tmp_path / "other.asf")
    assert find_skeleton(amc).name == "other.asf"  # the only one there
    shutil.copy(tmp_path / "other.asf", tmp_path / "third.asf")
    with pytest.raises(MotionFileError, match=r"put walk_01.asf or walk.asf beside it.*other.asf"):
        load_amc(amc)
    assert load_amc(amc, tmp_path / "third.asf").num_frames == 2


def test_a_skeleton_alone_is_no_motion():
    with pytest.raises(MotionFileError, match="a skeleton without a motion"):
        load_motion(GOLDEN / "walker.asf")
    assert load_asf(GOLDEN / "walker.asf").names[0] == "root"


@pytest.mark.data
def test_equals_the_bvh_of_the_same_take():
    """CMU 01_01 was converted to BVH by others; legs and arm rotations must agree with ours."""
    folder = DATA / "mocap" / "fairmotion"
    if not (folder / "01_01.amc").is_file():
        pytest.skip(f"no motion capture at {folder}; set PEAR_AVATAR_DATA to the data folder")
    amc, bvh = load_amc(folder / "01_01.amc"), load_bvh(folder / "01_01.bvh")
    (Ra, pa), (_, pb) = amc.world(), bvh.world()
    pb = pb[1:] * UNIT  # the BVH begins with a T-pose of its own
    pairs = {
        "lfemur": "LeftUpLeg",
        "ltibia": "LeftLeg",
        "lfoot": "LeftFoot",
        "rtoes": "RightToeBase",
    }
    for ours, theirs in pairs.items():
        distance = np.abs(pa[:, amc.names.index(ours)] - pb[:, bvh.names.index(theirs)])
        assert distance.max() < 1e-5  # the BVH has five decimals
    # Its arms hang from the wrong end of the chest bone: the same vector of the chest throughout.
    thorax = Ra[:, amc.names.index("thorax")]
    for ours, theirs in {"lradius": "LeftForeArm", "rradius": "RightForeArm"}.items():
        shift = pa[:, amc.names.index(ours)] - pb[:, bvh.names.index(theirs)]
        local = (np.swapaxes(thorax, -1, -2) @ shift[..., None])[..., 0]
        assert np.ptp(local, axis=0).max() < 1e-4
