"""BVH files: what is read, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.formats.layouts.bvh import load_bvh

GOOD = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT Knee {
    OFFSET 0 -2 0
    CHANNELS 3 Xrotation Zrotation Yrotation
    End Site
    {
      OFFSET 0 -1 0
    }
  }
  JOINT Fixed
  {
    OFFSET 1 0 0
  }
}
MOTION
Frames: 2
Frame Time: 0.05
1 2 3 10 20 30 40 50 60

0 0 0 0 0 90 0 0 0
"""


def write(tmp_path, text):
    path = tmp_path / "walk.bvh"
    path.write_text(text)
    return path


def test_a_small_file(tmp_path):
    motion = load_bvh(write(tmp_path, GOOD))
    assert motion.names == ("Hips", "Knee", "Fixed")
    assert motion.parents == (-1, 0, 0)
    assert motion.frame_time == 0.05
    assert motion.end_offsets[1].tolist() == [0, -1, 0]
    assert motion.end_offsets[0] is None
    # Channels apply from left to right: intrinsic rotations in the order of their names.
    hips = Rotation.from_euler("ZYX", [10, 20, 30], degrees=True).as_matrix()
    knee = Rotation.from_euler("XZY", [40, 50, 60], degrees=True).as_matrix()
    assert np.allclose(motion.rotations[0, 0], hips)
    assert np.allclose(motion.rotations[0, 1], knee)
    assert np.allclose(motion.rotations[:, 2], np.eye(3))
    R, p = motion.world()
    assert np.allclose(p[0, 0], [1, 2, 3])
    assert np.allclose(p[0, 1], [1, 2, 3] + hips @ [0, -2, 0])
    assert np.allclose(R[0, 1], hips @ knee)
    assert np.allclose(p[1, 1], [0, 0, -2])  # a quarter turn about x carries -y to -z


def test_spellings_in_the_wild(tmp_path):
    text = GOOD.replace("Frames: 2", "Frames:2").replace("Frame Time: 0.05", "Frame Time:0.05")
    text = text.replace("Xrotation Zrotation", "XROTATION zrotation").replace("\n", "\r\n")
    found, plain = load_bvh(write(tmp_path, text)), load_bvh(write(tmp_path, GOOD))
    assert np.array_equal(found.rotations, plain.rotations)
    assert found.frame_time == plain.frame_time


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("HIERARCHY", "<html>", "not a BVH file"),
        ("Frames: 2", "Frames: 3", "promises 3 frames, the file holds 2"),
        ("Frames: 2", "Frames: 0", "no frames"),
        ("Frames: 2", "Frames: 99999999", "99999999 frames are more than"),
        ("Frames: 2", "Frames: -1", "expected 'Frames: <number>'"),
        ("Frame Time: 0.05", "Frame Time: 0", "Frame Time must be seconds"),
        ("0 0 0 0 0 90 0 0 0", "0 0 0 0 0 90 0 0", "line 24: a frame must be 9 numbers, got 8"),
        ("0 0 0 0 0 90 0 0 0", "0 0 0 0 0 9x 0 0 0", "line 24: a frame must be numbers"),
        ("0 0 0 0 0 90 0 0 0", "0 0 0 0 0 nan 0 0 0", "line 24: a frame contains NaN"),
        ("OFFSET 0 -2 0", "OFFSET 0 -2", "OFFSET must be 3 numbers, got 2"),
        ("OFFSET 1 0 0", "", "joint Fixed has no OFFSET"),
        ("CHANNELS 3", "CHANNELS 4", "CHANNELS must give their number"),
        ("Xrotation Zrotation Yrotation", "Xrotation Xrotation Wrotation", "CHANNELS must be each"),
        ("JOINT Fixed", "ROOT Second", "hang from one ROOT"),
        ("JOINT Fixed", "BONE Fixed", "unexpected 'BONE Fixed'"),
        ("MOTION\n", "", "unexpected 'Frames: 2'"),
    ],
)
def test_damaged_files_name_the_line(tmp_path, old, new, message):
    assert old in GOOD
    with pytest.raises(MotionFileError, match=message) as caught:
        load_bvh(write(tmp_path, GOOD.replace(old, new, 1)))
    assert str(caught.value).startswith("walk.bvh: ")


@pytest.mark.parametrize("cut", range(0, len(GOOD) - 60, 23))
def test_truncated_files_are_refused(tmp_path, cut):
    with pytest.raises(MotionFileError):
        load_bvh(write(tmp_path, GOOD[:cut]))


def test_endless_hierarchies_are_refused(tmp_path):
    joint = "JOINT a {\nOFFSET 0 0 0\n"
    text = "HIERARCHY\nROOT a {\nOFFSET 0 0 0\n" + 2000 * joint
    with pytest.raises(MotionFileError, match="more than 1000 joints"):
        load_bvh(write(tmp_path, text))


def test_binary_and_missing_files(tmp_path):
    path = tmp_path / "noise.bvh"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(MotionFileError, match="not a BVH file"):
        load_bvh(path)
    with pytest.raises(FileNotFoundError, match=r"none\.bvh"):
        load_bvh(tmp_path / "none.bvh")
