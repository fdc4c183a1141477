"""Reading open-body files, and the shipped body against the smplx package."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from standins.smplx_layout import to_smplx_arrays

from pear_avatar.body import load_body, load_open_body
from pear_avatar.body.joints import NUM_JOINTS, PARENTS
from pear_avatar.body.open_body import open_body_meta
from pear_avatar.geometry.rotations import axis_angle_to_matrix


def write(tmp_path, arrays, **changes):
    path = tmp_path / "body.npz"
    merged = {**arrays, **changes}
    np.savez(path, **{k: v for k, v in merged.items() if v is not None})
    return path


def test_a_small_file_loads_as_written(small_file, small_arrays):
    body = load_open_body(small_file)
    assert body.num_vertices == 80
    assert (body.num_betas, body.num_expression, body.num_joints) == (6, 5, 55)
    assert body.parents == PARENTS
    assert body.part_names == ("head", "body")
    assert torch.equal(body.faces, torch.from_numpy(small_arrays["faces"]).long())
    regressor = np.zeros((55, 80))
    for j in range(55):
        np.add.at(
            regressor[j],
            small_arrays["joint_regressor_index"][j],
            small_arrays["joint_regressor_weight"][j],
        )
    expected = regressor @ small_arrays["v_template"]
    assert np.allclose(body.joint_template.numpy(), expected, atol=1e-6)
    betas = torch.randn(6)
    joints = regressor @ body.shape(betas).vertices().numpy()
    assert np.allclose(body.shape(betas).joints.numpy(), joints, atol=1e-5)
    assert open_body_meta(small_file) == {"version": "test"}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("uv", None, "lacks uv"),
        ("faces", np.full((120, 3), 80), r"faces must lie in \[0, 80\), got \[80, 80\]"),
        ("scalp", np.zeros(79, bool), r"scalp must have shape \(80\), got \(79,\)"),
        ("v_template", np.full((80, 3), np.nan, np.float32), "v_template contains NaN"),
        ("skin_weights", np.ones((80, 4), np.float32), r"skin_weights must be >= 0 and sum to 1"),
        ("landmark_face_weight", None, "landmark set face lacks"),
        ("landmark_face_sigma", np.zeros(3, np.float32), r"landmark set face has index \(30, 3\)"),
    ],
)
def test_damaged_files_say_which_array(tmp_path, small_arrays, key, value, message):
    with pytest.raises(ValueError, match=message):
        load_open_body(write(tmp_path, small_arrays, **{key: value}))


def test_missing_truncated_and_pickled_files(tmp_path, small_arrays, small_file):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        load_open_body(tmp_path / "nowhere.npz")
    cut = tmp_path / "cut.npz"
    cut.write_bytes(small_file.read_bytes()[:3000])
    with pytest.raises(ValueError, match="not a readable npz"):
        load_open_body(cut)
    with pytest.raises(ValueError, match="pickle"):
        load_open_body(write(tmp_path, small_arrays, uv=np.array([object()], dtype=object)))


def test_shipped_body_equals_the_smplx_package(tmp_path):
    """The smplx package reads the open body as SMPL-X and gives the same vertices and joints.

    Tolerance: both sum some hundred float32 products of metre-sized numbers, 1e-6 m each way.
    """
    smplx = pytest.importorskip("smplx", reason="the smplx package is not installed")
    body, num = load_body(), 4
    np.savez(tmp_path / "SMPLX_NEUTRAL.npz", **to_smplx_arrays(body))
    peer = smplx.SMPLX(
        str(tmp_path),
        gender="neutral",
        num_betas=100,
        num_expression_coeffs=52,
        use_pca=False,
        flat_hand_mean=True,
        batch_size=num,
        dtype=torch.float32,
    )
    generator = torch.Generator().manual_seed(0)
    betas = torch.randn(num, 100, generator=generator)
    expression = torch.randn(num, 52, generator=generator)
    pose = 0.6 * torch.randn(num, NUM_JOINTS, 3, generator=generator)
    transl = torch.randn(num, 3, generator=generator)
    with torch.no_grad():
        theirs = peer(
            betas=betas,
            expression=expression,
            transl=transl,
            global_orient=pose[:, 0],
            body_pose=pose[:, 1:22].flatten(1),
            jaw_pose=pose[:, 22],
            leye_pose=pose[:, 23],
            reye_pose=pose[:, 24],
            left_hand_pose=pose[:, 25:40].flatten(1),
            right_hand_pose=pose[:, 40:].flatten(1),
        )
        posed = body.shape(betas, expression).pose(axis_angle_to_matrix(pose), transl)
    assert (posed.vertices() - theirs.vertices).abs().max() < 1e-5
    assert (posed.joints - theirs.joints[:, :NUM_JOINTS]).abs().max() < 1e-5


def test_shipped_body_rests_in_its_template():
    body = load_body()
    posed = body.shape().pose(torch.eye(3).expand(NUM_JOINTS, 3, 3))
    assert (posed.vertices() - body.v_template).abs().max() < 1e-6


def test_shipped_landmarks_equal_those_of_the_whole_mesh():
    body = load_body()
    posed = body.shape(torch.randn(100), torch.randn(2, 52)).pose(
        axis_angle_to_matrix(0.4 * torch.randn(2, NUM_JOINTS, 3)), torch.randn(2, 3)
    )
    names = tuple(body.landmark_sets)
    for name, fast in zip(names, posed.landmarks_many(*names), strict=True):
        slow = body.landmark_set(name).gather(posed.joints, posed.vertices())
        assert (fast - slow).abs().max() < 1e-5


def test_load_body_is_read_once():
    assert load_body() is load_body()


def test_skinning_one_body_takes_less_than_ten_milliseconds():
    """The best of many runs, so that a busy machine does not decide."""
    body = load_body()
    shaped, rotations = body.shape(), torch.eye(3).expand(NUM_JOINTS, 3, 3)
    shaped.vertices()
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        shaped.pose(rotations).vertices()
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.010
