"""track.npz: round trip, the golden layout, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from pear_avatar.errors import MotionFileError
from pear_avatar.geometry.cameras import default_world_camera, intrinsics
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.motion.formats.registry import load_motion, read_motion
from pear_avatar.motion.track_file import load_track, save_track
from pear_avatar.types import BodyParams, Camera, Motion, Proportions, Track

GOLDEN = {
    "poses": (3, 165), "trans": (3, 3), "betas": (100,), "num_betas": (), "expression": (3, 52),
    "gender": (), "surface_model_type": (), "shape_space": (), "mocap_frame_rate": (),
    "time": (3,), "root_orient": (3, 3), "pose_body": (3, 63), "pose_jaw": (3, 3),
    "pose_eye": (3, 6), "pose_hand": (3, 90), "up_axis": (), "pelvis_rest": (3,),
    "pear_track_version": (), "name": (), "K": (3, 3, 3), "T_camera_world": (3, 4, 4),
    "width": (), "height": (), "frame_index": (3,), "trusted": (3,), "landmark_error": (3,),
}  # fmt: skip


@pytest.fixture
def track():
    generator = torch.Generator().manual_seed(0)
    rotations = axis_angle_to_matrix(torch.randn(3, 55, 3, generator=generator))
    params = BodyParams(
        torch.randn(100, generator=generator),
        torch.randn(3, 52, generator=generator),
        rotations,
        torch.randn(3, 3, generator=generator),
    )
    camera = Camera(
        intrinsics(900.0, 640, 480).expand(3, 3, 3),
        default_world_camera().expand(3, 4, 4),
        640,
        480,
    )
    return Track(
        Motion(params, np.array([0.0, 0.04, 0.1]), "clip.mp4"),
        camera,
        np.array([0, 1, 3]),
        np.array([True, False, True]),
        np.array([0.01, np.nan, 0.02]),
    )


def test_layout_is_the_golden_one(tmp_path, track):
    save_track(tmp_path / "track.npz", track)
    with np.load(tmp_path / "track.npz", allow_pickle=False) as raw:
        assert {key: raw[key].shape for key in raw.files} == GOLDEN
        assert str(raw["up_axis"]) == "y"
        assert int(raw["pear_track_version"]) == 1
        assert np.array_equal(raw["poses"][:, 3:66], raw["pose_body"])
        assert np.array_equal(raw["poses"][:, 75:], raw["pose_hand"])


def test_a_file_of_this_layout_stays_readable(tmp_path):
    """Written key by key, as version 1 wrote it: later readers must keep reading it."""
    values = {key: np.zeros(shape) for key, shape in GOLDEN.items()}
    values |= {"gender": np.array("neutral"), "surface_model_type": np.array("smplx")}
    values |= {"shape_space": np.array("open_body"), "up_axis": np.array("y")}
    values |= {"name": np.array("old.mp4"), "time": np.arange(3) / 30}
    values |= {"pear_track_version": np.array(1), "width": np.array(64), "height": np.array(48)}
    values |= {"frame_index": np.arange(3), "trusted": np.ones(3, bool)}
    values["mocap_frame_rate"] = np.array(30.0)
    values["trans"] = np.tile([0.1, 0.2, 0.3], (3, 1))
    np.savez(tmp_path / "old.npz", **values)
    track = load_track(tmp_path / "old.npz")
    assert track.motion.name == "old.mp4"
    assert (track.camera.width, track.camera.height) == (64, 48)
    assert torch.allclose(track.motion.params.rotations, torch.eye(3).expand(3, 55, 3, 3))
    assert np.allclose(track.motion.params.transl.numpy(), [0.1, 0.2, 0.3])


def test_round_trip(tmp_path, track):
    save_track(tmp_path / "track.npz", track)
    back = load_track(tmp_path / "track.npz")
    ours, theirs = track.motion.params, back.motion.params
    # Stored in float64: only the conversion back to float32 rounds.
    for name in ("betas", "expression", "rotations", "transl"):
        assert torch.allclose(getattr(ours, name), getattr(theirs, name), atol=2e-6)
    assert torch.equal(track.camera.K, back.camera.K)
    assert torch.equal(track.camera.T_camera_world, back.camera.T_camera_world)
    for name in ("frame_index", "trusted", "landmark_error"):
        assert np.array_equal(getattr(track, name), getattr(back, name), equal_nan=True)
    assert np.array_equal(track.motion.time, back.motion.time)
    motion = load_motion(tmp_path / "track.npz")
    assert torch.equal(motion.params.rotations, theirs.rotations)


def test_saving_needs_one_value_a_frame(tmp_path, track):
    with pytest.raises(ValueError, match=r"trusted must have 3 frames .* got \(2,\)"):
        save_track(tmp_path / "t.npz", replace(track, trusted=np.ones(2, bool)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pear_track_version": None}, "no track"),
        ({"pear_track_version": np.array(99)}, "newer program"),
        ({"K": None, "width": None}, "lacks K, width"),
        ({"K": np.zeros((2, 3, 3))}, r"K must have shape \(3, 3, 3\), got \(2, 3, 3\)"),
        ({"width": np.array(0)}, "width and height must be positive, got 0 x 480"),
        ({"trusted": np.ones(4, bool)}, r"trusted must be \(3,\) numbers"),
        ({"trans": np.full((3, 3), np.nan)}, "trans contains 9 NaN"),
    ],
)
def test_bad_tracks_say_what_was_found(tmp_path, track, changes, message):
    save_track(tmp_path / "track.npz", track)
    with np.load(tmp_path / "track.npz", allow_pickle=False) as raw:
        arrays = {**raw, **changes}
    np.savez(tmp_path / "bad.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(MotionFileError, match=message):
        load_track(tmp_path / "bad.npz")


@pytest.mark.parametrize("full", [True, False])
def test_proportions_round_trip(tmp_path, track, full):
    given = Proportions(torch.tensor([1.25, 1.5, 0.75]), torch.full((3,), 1.125))
    if full:
        given = replace(given, head_betas=torch.randn(7), joint_offsets=torch.randn(55, 3))
    save_track(tmp_path / "track.npz", replace(track, proportions=given))
    found = load_track(tmp_path / "track.npz").proportions
    for name, value in vars(given).items():
        loaded = getattr(found, name)
        assert loaded is None if value is None else torch.equal(loaded, value), name
    assert load_motion(tmp_path / "track.npz").params.num_frames == 3


def test_tracks_without_proportions_have_none(tmp_path, track):
    save_track(tmp_path / "track.npz", track)
    assert load_track(tmp_path / "track.npz").proportions is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head_scale": np.ones(2)}, r"head_scale must have shape \(3\)"),
        ({"hand_scale": None}, "lacks hand_scale"),
        ({"joint_offsets": np.zeros((54, 3))}, "joint_offsets"),
        ({"head_scale": np.array([1.0, np.nan, 1.0])}, "NaN"),
    ],
)
def test_broken_proportions_are_named(tmp_path, track, change, message):
    save_track(tmp_path / "a.npz", replace(track, proportions=Proportions.neutral()))
    with np.load(tmp_path / "a.npz") as raw:
        arrays = dict(raw)
    for key, value in change.items():
        if value is None:
            del arrays[key]
        else:
            arrays[key] = value
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(MotionFileError, match=message):
        load_track(tmp_path / "b.npz")


def test_batched_proportions_are_refused(tmp_path, track):
    batched = replace(Proportions.neutral(), head_scale=torch.ones(2, 3))
    with pytest.raises(ValueError, match="no batch axes"):
        save_track(tmp_path / "a.npz", replace(track, proportions=batched))


def test_a_track_of_another_body_keeps_its_own_terms_and_others_read_the_pelvis(tmp_path, track):
    pelvis = np.array([0.003, -0.35, 0.012])
    other = replace(track, motion=replace(track.motion, body="smplx"))
    path = tmp_path / "track.npz"
    save_track(path, other, pelvis_rest=pelvis)
    assert np.allclose(read_motion(path).pelvis_rest, pelvis)
    back = load_track(path).motion
    assert back.body == "smplx"
    assert torch.allclose(back.params.betas, track.motion.params.betas)
    assert torch.allclose(back.params.expression, track.motion.params.expression)
    assert torch.allclose(back.params.transl, track.motion.params.transl, atol=1e-6)
    # Whoever reads it as a motion gets the pelvis' way and no coefficients of another body.
    motion = load_motion(path)
    assert motion.body == "open"
    where = track.motion.params.transl + torch.from_numpy(pelvis).float()
    assert torch.allclose(motion.params.transl, where, atol=1e-6)
    assert not motion.params.betas.any()
    assert not motion.params.expression.any()


def test_what_is_no_track_is_told_apart(tmp_path, track):
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(MotionFileError, match="not an npz"):
        load_track(tmp_path / "text.npz")
    with pytest.raises(FileNotFoundError, match="missing"):
        load_track(tmp_path / "missing.npz")
    np.savez(tmp_path / "other.npz", poses=np.zeros((2, 165)))
    with pytest.raises(MotionFileError, match="no track"):
        load_track(tmp_path / "other.npz")
