"""Trackers' dictionaries: what is read of them, what is refused, and that nothing is ever run."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.licensed.hands import HandPca
from pear_avatar.errors import MotionFileError
from pear_avatar.geometry.rotations import matrix_to_axis_angle
from pear_avatar.motion.formats.registry import (
    ReadOptions,
    load_motion,
    read_motion,
)

GOLDEN = Path(__file__).parent / "golden"
BODY = np.zeros((3, 63))


class Hostile:
    """A pickle of this runs a command when it is loaded."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (os.system, (f"touch {self.mark}",))


@pytest.mark.parametrize("ending", ["pkl", "pt", "npz", "npy"])
def test_hostile_files_cannot_run_code(tmp_path, ending):
    mark, path = tmp_path / "ran", tmp_path / f"motion.{ending}"
    content = {"body_pose": BODY, "extra": Hostile(mark)}
    if ending == "pkl":
        path.write_bytes(pickle.dumps(content))
    elif ending == "pt":
        torch.save(content, path)
    elif ending == "npz":
        np.savez(path, body_pose=BODY, extra=np.array([Hostile(mark)], dtype=object))
    else:
        np.save(path, np.array(content, dtype=object), allow_pickle=True)
    with pytest.raises(MotionFileError, match=r"(?i)refused.*system") as caught:
        load_motion(path)
    assert not mark.exists()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"motion.{ending}: ")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_hostile_pickles_of_every_protocol(tmp_path, protocol):
    mark, path = tmp_path / "ran", tmp_path / "motion.pkl"
    path.write_bytes(pickle.dumps({"body_pose": Hostile(mark)}, protocol=protocol))
    with pytest.raises(MotionFileError):
        load_motion(path)
    assert not mark.exists()


@pytest.mark.parametrize("name", ["gvhmr.pt", "ehm_tracker.pkl"])
def test_content_decides_not_the_ending(tmp_path, name):
    copy = tmp_path / "motion.dat"
    copy.write_bytes((GOLDEN / name).read_bytes())
    assert read_motion(copy).layout == read_motion(GOLDEN / name).layout


def test_smplx_names_in_torch_and_pickle_files(tmp_path):
    pose = 0.1 * np.random.default_rng(0).normal(size=(3, 63))
    torch.save({"smplx": {"x": 1}, "body_pose": torch.tensor(pose)}, tmp_path / "a.pt")
    torch.save({"body_pose": pose, "fps": 25.0}, tmp_path / "b.pt")  # plain NumPy inside
    (tmp_path / "c.pkl").write_bytes(pickle.dumps({"body_pose": pose}))
    for path in sorted(tmp_path.iterdir()):
        if path.name == "b.pt" and tuple(map(int, torch.__version__.split(".")[:2])) < (2, 6):
            continue
        found = matrix_to_axis_angle(load_motion(path).params.rotations[:, 1:22].double())
        assert np.allclose(found.reshape(3, 63).numpy(), pose, atol=1e-6)


def frames_of_tracker(count=3, **changes):
    coeffs = {
        "body_pose": np.zeros((1, 21, 3), np.float32),
        "global_pose": np.zeros((1, 1, 3), np.float32),
        "left_hand_pose": np.zeros((1, 15, 3), np.float32),
        "right_hand_pose": np.zeros((1, 15, 3), np.float32),
    }
    coeffs |= changes
    return {f"frame_{n:06d}": {"smplx_coeffs": dict(coeffs)} for n in range(count)}


def write(tmp_path, content):
    path = tmp_path / "motion.pkl"
    path.write_bytes(pickle.dumps(content))
    return path


def test_tracker_frames_with_a_batch_axis(tmp_path):
    motion = load_motion(write(tmp_path, frames_of_tracker()))
    assert motion.params.num_frames == 3
    assert load_motion(write(tmp_path, [*frames_of_tracker(2).values()])).params.num_frames == 2


def test_tracker_frame_rate_can_be_said():
    options = ReadOptions(frame_rate=60.0)
    assert read_motion(GOLDEN / "ehm_tracker.pkl", options).motion.fps == pytest.approx(60.0)
    with pytest.raises(ValueError, match="frame_rate must lie in"):
        ReadOptions(frame_rate=0.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "holds no arrays"),
        ([1, 2], "no dictionary of arrays"),
        ("text", "no dictionary of arrays"),
        ({"a": {"b": np.zeros(3)}}, "no poses found: .* got a/b"),
        (
            frames_of_tracker(body_pose=np.zeros((1, 20, 3))),
            r"smplx_coeffs/body_pose must have shape",
        ),
        (frames_of_tracker(body_pose=np.full((1, 21, 3), np.nan)), "contains 189 NaN"),
        (frames_of_tracker(camera_RT_params=np.zeros((3, 4))), "must hold rotations in its first"),
        (frames_of_tracker(camera_RT_params=np.zeros((4, 4))), r"must have shape \(3, 3, 4\)"),
        (
            frames_of_tracker(left_hand_pose=np.zeros((1, 6))),
            "6 principal components .*--body-models",
        ),
        ({"smpl_params_global": {"body_pose": BODY}}, "lacks smpl_params_global/global_orient"),
        ({"expression_params": np.zeros((3, 50))}, "no pose of head, jaw"),
    ],
)
def test_bad_dictionaries_say_what_was_found(tmp_path, content, message):
    with pytest.raises(MotionFileError, match=message) as caught:
        load_motion(write(tmp_path, content))
    assert str(caught.value).startswith("motion.pkl: ")


def test_frames_that_differ(tmp_path):
    frames = frames_of_tracker()
    frames["frame_000001"]["smplx_coeffs"]["body_pose"] = np.zeros((1, 20, 3), np.float32)
    with pytest.raises(MotionFileError, match="different shapes in its frames"):
        load_motion(write(tmp_path, frames))
    del frames["frame_000001"]["smplx_coeffs"]["body_pose"]
    with pytest.raises(MotionFileError, match="body_pose is in 2 of 3 frames"):
        load_motion(write(tmp_path, frames))


def test_dictionaries_without_end(tmp_path):
    nested: dict = {"x": np.zeros(3)}
    for _ in range(30):
        nested = {"a": nested}
    with pytest.raises(MotionFileError, match="nested too deeply"):
        load_motion(write(tmp_path, nested))


def test_torch_files_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("pear_avatar.motion.formats.content.MAX_BYTES", 1 << 22)
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", bytes(5 << 20))
    assert path.stat().st_size < 1 << 16
    with pytest.raises(MotionFileError, match="more than any motion needs"):
        load_motion(path)


HAND = {
    side: HandPca(torch.linspace(0, 0.4, 45), torch.linalg.qr(torch.randn(45, 45))[0])
    for side in ("left", "right")
}


@pytest.mark.parametrize("count", [6, 12, 44])
def test_hands_given_as_components(tmp_path, count):
    path = tmp_path / "motion.npz"
    values = 0.1 * np.random.default_rng(0).normal(size=(3, count))
    np.savez(path, body_pose=BODY, right_hand_pose=values)
    with pytest.raises(MotionFileError, match=rf"{count} principal components .* --body-models"):
        load_motion(path)
    motion = read_motion(path, ReadOptions(hands=HAND)).motion
    wanted = HAND["right"].axis_angle(torch.tensor(values).float())
    found = matrix_to_axis_angle(motion.params.rotations[:, 40:55])
    assert torch.allclose(found, wanted, atol=1e-5)
    left = motion.params.rotations[:, 25:40]
    assert torch.allclose(left, torch.eye(3).expand_as(left))


def test_hands_relative_to_the_mean_hand(tmp_path):
    path = tmp_path / "motion.npz"
    np.savez(path, body_pose=BODY, left_hand_pose=np.zeros((3, 45)), flat_hand_mean=False)
    with pytest.raises(MotionFileError, match="relative to the mean hand"):
        load_motion(path)
    motion = read_motion(path, ReadOptions(hands=HAND)).motion
    found = matrix_to_axis_angle(motion.params.rotations[:, 25:40])
    assert torch.allclose(found, HAND["left"].mean.reshape(15, 3).expand(3, 15, 3), atol=1e-5)
    np.savez(path, body_pose=BODY, left_hand_pose=np.zeros((3, 45)), flat_hand_mean=True)
    thumb = load_motion(path).params.rotations[:, JOINT_INDEX["left_thumb1"]]
    assert torch.allclose(thumb, torch.eye(3).expand(3, 3, 3))


def test_a_folder_of_the_tracker_with_the_person_beside_its_frames(tmp_path):
    (tmp_path / "optim_tracking_ehm.pkl").write_bytes(pickle.dumps(frames_of_tracker()))
    shared = {
        "smplx_shape": np.full((1, 200), 0.5),
        "flame_shape": np.full((1, 300), 0.25),
        "head_scale": np.array([[1.1, 1.2, 1.3]]),
        "hand_scale": np.ones((1, 3)),
        "joints_offset": np.full((1, 55, 3), 0.01),
        "left_mano_shape": np.zeros((1, 10)),
    }
    (tmp_path / "id_share_params.pkl").write_bytes(pickle.dumps(shared))
    found = read_motion(tmp_path)
    assert found.layout == "ehm"
    assert torch.allclose(found.proportions.head_scale, torch.tensor([1.1, 1.2, 1.3]))
    assert found.proportions.joint_offsets.shape == (55, 3)
    assert found.proportions.head_betas is None
    assert not found.motion.params.betas.any()
    kept = read_motion(tmp_path, ReadOptions(keep_coefficients=True))
    assert kept.motion.params.betas.tolist() == [0.5] * 200
    assert kept.proportions.head_betas.shape == (300,)
    shared["head_scale"] = np.ones((1, 4))
    (tmp_path / "id_share_params.pkl").write_bytes(pickle.dumps(shared))
    with pytest.raises(MotionFileError, match="head_scale must hold 3 numbers"):
        read_motion(tmp_path)


def test_a_folder_with_one_file_for_each_frame_and_person(tmp_path):
    for frame in range(3):
        for person in range(2):
            if person == 0 or frame:
                np.savez(
                    tmp_path / f"{frame:05d}_{person}.npz",
                    body_pose=np.full((1, 63), 0.1 * frame),
                    transl=np.array([[person, 0.0, frame]]),
                    global_orient=np.zeros((1, 3)),
                )
    motion = load_motion(tmp_path)
    assert motion.params.num_frames == 3
    assert np.allclose(motion.params.transl[:, 2] - motion.params.transl[0, 2], [0, 1, 2])
    found = matrix_to_axis_angle(motion.params.rotations[2, 1])
    assert torch.allclose(found, torch.full((3,), 0.2), atol=1e-6)
    np.savez(tmp_path / "00003_0.npz", body_pose=np.zeros((1, 60)), transl=np.zeros((1, 3)))
    with pytest.raises(MotionFileError, match="body_pose has different shapes in its frames"):
        load_motion(tmp_path)


def test_a_folder_without_poses(tmp_path):
    (tmp_path / "readme.txt").write_text("hello")
    with pytest.raises(MotionFileError, match="a folder without poses"):
        load_motion(tmp_path)
