"""Motions from files: each known layout, each way a file can be wrong."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.errors import MotionFileError
from pear_avatar.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from pear_avatar.motion.formats.arrays import MAX_FRAMES
from pear_avatar.motion.formats.registry import load_motion
from pear_avatar.motion.write_poses import save_motion_amass
from pear_avatar.types import BodyParams, Motion

RNG = np.random.default_rng(0)


def save(tmp_path, **arrays):
    path = tmp_path / "motion.npz"
    np.savez(path, **arrays)
    return path


def standing_z_up(count):
    """Root rotations that stand a y-up body upright in a z-up world, facing -y."""
    return np.tile([np.pi / 2, 0, 0], (count, 1))


def amass_poses(count, width):
    poses = 0.1 * RNG.normal(size=(count, width))
    poses[:, :3] = standing_z_up(count)
    return poses


def assert_stands(motion):
    up = motion.params.rotations[:, 0, :, 1]
    assert torch.allclose(up, torch.tensor([0.0, 1.0, 0.0]).expand_as(up), atol=1e-6)


def test_amass_smplh_golden_layout(tmp_path):
    poses = amass_poses(7, 156)
    trans = np.tile([1.0, 2.0, 3.0], (7, 1))
    path = save(
        tmp_path,
        poses=poses,
        trans=trans,
        betas=np.ones(16),
        gender="female",
        mocap_framerate=120.0,
        dmpls=np.zeros((7, 8)),
    )
    motion = load_motion(path)
    assert motion.params.rotations.shape == (7, 55, 3, 3)
    assert motion.fps == pytest.approx(120.0)
    assert_stands(motion)
    found = matrix_to_axis_angle(motion.params.rotations.double()).numpy()
    assert np.allclose(found[:, 1:22].reshape(7, -1), poses[:, 3:66], atol=1e-6)
    assert np.allclose(found[:, 22:25], 0, atol=1e-7)  # SMPL-H has no jaw and no eyes
    assert np.allclose(found[:, 25:].reshape(7, -1), poses[:, 66:], atol=1e-6)
    # z-up (1, 2, 3) is y-up (1, 3, -2), with the rest pelvis of SMPL-H moved along.
    assert np.allclose(motion.params.transl.numpy(), [0.998, 3.029, -1.759], atol=1e-5)
    assert not motion.params.betas.any()  # another body's shape means nothing on ours


def test_amass_smplx_stageii(tmp_path):
    poses = amass_poses(4, 165)
    parts = {
        "root_orient": poses[:, :3],
        "pose_body": poses[:, 3:66],
        "pose_jaw": poses[:, 66:69],
        "pose_eye": poses[:, 69:75],
        "pose_hand": poses[:, 75:],
    }
    common = {"trans": np.zeros((4, 3)), "mocap_frame_rate": 60.0, "surface_model_type": "smplx"}
    # A real file of this kind carries a pickled dictionary, which must stay shut.
    whole = load_motion(
        save(tmp_path, poses=poses, markers_latent_vids=np.array({"a": 1}, object), **common)
    )
    split = load_motion(save(tmp_path, **parts, **common))
    assert torch.allclose(whole.params.rotations, split.params.rotations)
    assert torch.allclose(whole.params.transl, split.params.transl)
    jaw = matrix_to_axis_angle(whole.params.rotations[:, JOINT_INDEX["jaw"]]).numpy()
    assert np.allclose(jaw, poses[:, 66:69], atol=1e-6)
    assert_stands(whole)


@pytest.mark.parametrize("shape", [(5, 63), (5, 21, 3)])
def test_smplx_names_with_any_subset(tmp_path, shape):
    body = 0.1 * RNG.normal(size=shape)
    hand = 0.1 * RNG.normal(size=(5, 45))
    motion = load_motion(
        save(tmp_path, body_pose=body, left_hand_pose=hand, transl=np.ones((5, 3)), fps=25)
    )
    found = matrix_to_axis_angle(motion.params.rotations.double()).numpy()
    assert np.allclose(found[:, 1:22].reshape(5, -1), body.reshape(5, -1), atol=1e-6)
    assert np.allclose(found[:, 25:40].reshape(5, -1), hand, atol=1e-6)
    assert np.allclose(found[:, 40:], 0, atol=1e-7)
    assert motion.fps == pytest.approx(25.0)
    assert_stands(motion)


def test_smplx_names_of_a_single_frame(tmp_path):
    path = save(
        tmp_path, body_pose=np.zeros((21, 3)), global_orient=np.zeros(3), transl=np.zeros(3)
    )
    assert load_motion(path).params.num_frames == 1


@pytest.mark.parametrize(
    ("root", "transl"),
    [
        ([0.0, 0.0, 0.0], [1.0, 2.0, 3.0]),  # y up
        ([np.pi / 2, 0.0, 0.0], [1.0, -3.0, 2.0]),  # z up
        ([np.pi, 0.0, 0.0], [1.0, -2.0, -3.0]),  # camera axes, y down
    ],
)
def test_smplx_names_find_which_way_is_up(tmp_path, root, transl):
    motion = load_motion(
        save(
            tmp_path,
            body_pose=np.zeros((3, 63)),
            global_orient=np.tile(root, (3, 1)),
            transl=np.tile(transl, (3, 1)),
            pelvis_rest=np.zeros(3),
        )
    )
    assert_stands(motion)
    assert np.allclose(motion.params.transl.numpy(), [1.0, 2.0, 3.0], atol=1e-6)


def test_up_axis_can_be_said(tmp_path):
    path = save(tmp_path, body_pose=np.zeros((1, 63)), transl=np.array([[0.0, 0.0, 1.0]]))
    lying = load_motion(path, up_axis="z")
    assert np.allclose(lying.params.rotations[0, 0, :, 1].numpy(), [0, 0, -1], atol=1e-6)
    with pytest.raises(ValueError, match="up_axis must be one of"):
        load_motion(path, up_axis="x")


def test_coefficients_of_another_body_are_kept_on_request(tmp_path):
    path = save(
        tmp_path, body_pose=np.zeros((2, 63)), betas=np.ones((1, 10)), expression=np.ones((2, 10))
    )
    assert not load_motion(path).params.expression.any()
    kept = load_motion(path, keep_coefficients=True).params
    assert kept.betas.tolist() == [1.0] * 10
    assert kept.expression.shape == (2, 10)


def test_amass_round_trip(tmp_path):
    rotations = axis_angle_to_matrix(0.7 * torch.randn(6, 55, 3))
    params = BodyParams(torch.randn(100), torch.randn(6, 52), rotations, torch.randn(6, 3))
    motion = Motion(params, np.arange(6) / 24.0, "made up")
    save_motion_amass(tmp_path / "out.npz", motion)
    back = load_motion(tmp_path / "out.npz")
    assert back.fps == pytest.approx(24.0)
    # Stored in float64: only the conversion back to float32 rounds, below 0.001 mm.
    for name in ("betas", "expression", "rotations", "transl"):
        assert torch.allclose(getattr(back.params, name), getattr(params, name), atol=1e-6)
    with np.load(tmp_path / "out.npz", allow_pickle=False) as raw:
        assert raw["poses"].shape == (6, 165)
        assert float(raw["mocap_frame_rate"]) == pytest.approx(24.0)
        pelvis = raw["trans"] + [0.003, -0.351, 0.012]  # what an AMASS reader makes of it
    x, y, z = params.transl.double().numpy().T
    assert np.allclose(pelvis, np.stack([x, -z, y], 1), atol=1e-6)
    assert [p.name for p in tmp_path.iterdir()] == ["out.npz"]


BODY = np.zeros((4, 63))
NAN = BODY.copy()
NAN[2, 5] = np.nan


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"poses": np.zeros((4, 100))}, r"poses must have shape .*\(N, 165\) SMPL-X; got \(4, 100"),
        ({"poses": np.zeros((0, 165))}, "poses has no frames"),
        ({"poses": np.zeros(165)}, r"got \(165,\)"),
        ({"body_pose": NAN}, r"body_pose contains 1 NaN .*\(2, 5\)"),
        ({"body_pose": BODY, "transl": np.full((4, 3), np.inf)}, "transl contains 12"),
        ({"body_pose": BODY, "transl": np.zeros((5, 3))}, "transl has 5 frames .* have 4"),
        ({"body_pose": BODY, "global_orient": np.zeros((4, 5))}, r"must have shape \(N, 3\), got"),
        ({"body_pose": BODY, "left_hand_pose": np.zeros((4, 12))}, "principal components"),
        ({"body_pose": 90 + BODY}, "up to 90.0.*degrees"),
        ({"body_pose": BODY, "fps": 0.0}, "fps must be one rate"),
        ({"body_pose": BODY, "time": np.array([0, 2, 1, 3.0])}, "steps back"),
        ({"body_pose": BODY, "up_axis": "up"}, "up_axis must be one of y, z, -y; got 'up'"),
        ({"body_pose": np.array([["a"] * 63])}, "must hold numbers"),
        ({"joints": BODY}, "no poses found: .* got joints"),
        ({"body_pose": np.array([{"x": 1}], object)}, "no poses found: .* got body_pose/x"),
        ({"body_pose": BODY, "extra": np.array([Path("/")], object)}, "extra: refused, it asks"),
    ],
)
def test_bad_files_say_what_was_found(tmp_path, arrays, message):
    with pytest.raises(MotionFileError, match=message) as caught:
        load_motion(save(tmp_path, **arrays))
    assert str(caught.value).startswith("motion.npz: ")
    assert "\n" not in str(caught.value)


def test_absurdly_long_motions_are_refused(tmp_path):
    path = tmp_path / "long.npz"
    np.savez_compressed(path, body_pose=np.zeros((MAX_FRAMES + 1, 63), np.float16))
    with pytest.raises(MotionFileError, match=f"{MAX_FRAMES + 1} frames, more than"):
        load_motion(path)


def test_files_that_are_no_archives(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        load_motion(tmp_path / "none.npz")
    whole = save(tmp_path, body_pose=BODY).read_bytes()
    cut, text, empty = tmp_path / "cut.npz", tmp_path / "text.npz", tmp_path / "empty.npz"
    cut.write_bytes(whole[: len(whole) // 2])
    text.write_text("hello")
    empty.write_bytes(b"")
    for path, message in [(cut, "truncated"), (text, "not an npz"), (empty, "not an npz")]:
        with pytest.raises(MotionFileError, match=message):
            load_motion(path)


def test_a_damaged_byte_is_noticed(tmp_path):
    path = save(tmp_path, body_pose=RNG.normal(size=(40, 63)))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(MotionFileError, match="truncated or damaged"):
        load_motion(path)


def test_a_header_that_claims_absurd_sizes_is_refused(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000, 63), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    path = tmp_path / "motion.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("body_pose.npy", array)
    with pytest.raises(MotionFileError, match="body_pose claims more memory than there is"):
        load_motion(path)
