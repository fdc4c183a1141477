"""Isaac Gym's motions: plain and wrapped, local and global, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from pear_avatar.errors import MotionFileError
from pear_avatar.motion.formats.content import open_content
from pear_avatar.motion.formats.registry import (
    load_motion,
    read_motion,
)

GOLDEN = Path(__file__).parent / "golden" / "poselib.npy"


def content():
    """The golden file's arrays under the names of a plain npz."""
    arrays = open_content(GOLDEN)[0].arrays.arrays
    return {
        "rot_xyzw_local": arrays["rotation/arr"],
        "root_translation": arrays["root_translation/arr"],
        "node_names": arrays["skeleton_tree/node_names"],
        "parents": arrays["skeleton_tree/parent_indices/arr"],
        "local_translation": arrays["skeleton_tree/local_translation/arr"],
        "fps": np.array(60.0),
    }


def quat_multiply(a, b):
    """x y z w."""
    v = a[..., 3:] * b[..., :3] + b[..., 3:] * a[..., :3] + np.cross(a[..., :3], b[..., :3])
    w = a[..., 3] * b[..., 3] - (a[..., :3] * b[..., :3]).sum(-1)
    return np.concatenate([v, w[..., None]], -1)


def assert_same(path):
    found, golden = load_motion(path), load_motion(GOLDEN)
    assert torch.allclose(found.params.rotations, golden.params.rotations, atol=1e-5)
    assert torch.allclose(found.params.transl, golden.params.transl, atol=1e-5)
    assert found.fps == pytest.approx(60.0)


def test_plain_npz_and_npz_of_objects(tmp_path):
    np.savez(tmp_path / "plain.npz", **content())
    assert_same(tmp_path / "plain.npz")
    # np.savez(path, **motion.to_dict()): every dictionary becomes an object array.
    tree = np.load(GOLDEN, allow_pickle=True).item()
    np.savez(tmp_path / "objects.npz", **tree)
    assert_same(tmp_path / "objects.npz")
    assert read_motion(tmp_path / "objects.npz").layout == "poselib"


def test_global_rotations(tmp_path):
    arrays = content()
    world = arrays["rot_xyzw_local"].astype(np.float64).copy()
    for j, parent in enumerate(arrays["parents"]):
        if parent >= 0:
            world[:, j] = quat_multiply(world[:, parent], world[:, j])
    arrays |= {"rot_xyzw_local": world, "is_local": np.array(False)}
    np.savez(tmp_path / "world.npz", **arrays)
    assert_same(tmp_path / "world.npz")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rot_xyzw_local": np.zeros((4, 15, 4))}, "unit quaternions, got lengths from 0"),
        ({"rot_xyzw_local": np.zeros((4, 14, 4))}, r"must have shape \(N, 15, 4\), got \(4, 14, 4"),
        ({"rot_xyzw_local": np.zeros((0, 15, 4))}, "no frames"),
        ({"root_translation": np.zeros((3, 3))}, r"root_translation must have shape \(4, 3\)"),
        ({"parents": np.array([-1, *range(1, 15)])}, "an earlier joint"),
        ({"parents": np.zeros(15)}, "-1 for the root"),
        ({"local_translation": np.full((15, 3), np.nan)}, "local_translation contains 45 NaN"),
        ({"local_translation": None}, "lacks skeleton_tree/local_translation/arr"),
        ({"node_names": np.array([f"b{i}" for i in range(15)])}, "no joint was recognised as"),
        ({"node_names": np.array(["x"] * 2000)}, "must name 2 to 1000 joints, got 2000"),
    ],
)
def test_bad_motions_say_what_was_found(tmp_path, changes, message):
    arrays = {k: v for k, v in (content() | changes).items() if v is not None}
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(MotionFileError, match=message) as caught:
        load_motion(tmp_path / "bad.npz")
    assert str(caught.value).startswith("bad.npz: ")


def test_one_nameless_array(tmp_path):
    np.save(tmp_path / "bare.npy", np.zeros((3, 63)))
    with pytest.raises(MotionFileError, match="one array without names"):
        load_motion(tmp_path / "bare.npy")
