"""The joint fit on a tiny clip whose truth is known."""

import pytest
import torch
from synthetic_clip import detections_of, make_frames, noisy_track

from pear_avatar.body import load_body
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_state import new_state, restore_checkpoint, save_checkpoint
from pear_avatar.fitting.run import run_fit

CONFIG = FittingConfig(
    num_splats=3000,
    silhouette_steps=60,
    joint_steps=240,
    refit_steps=8,
    refit_frames=2,
    checkpoint_seconds=0.3,
)


class StopError(Exception):
    pass


def run(tmp_path, name, stop_at=None, config=CONFIG):
    frames, params = make_frames(8)
    track = noisy_track(params, frames.camera)

    def progress(stage, done, total):
        if stop_at is not None and (stage, done) == stop_at:
            raise StopError

    return run_fit(
        load_body(),
        track,
        detections_of(params, frames.camera),
        frames,
        config,
        checkpoint=tmp_path / name,
        key="k",
        free_focal=True,
        perceptual=None,
        progress=progress,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fit")


@pytest.fixture(scope="module")
def outcome(folder):
    return run(folder, "c.safetensors")


def test_the_fit_comes_much_closer_on_frames_it_never_saw(outcome):
    initial, heldout = outcome.figures["initial"], outcome.figures["heldout"]
    assert heldout["psnr_masked"] > initial["psnr_masked"] + 6
    assert heldout["silhouette_iou"] > 0.93
    assert outcome.figures["unseen"] is None
    assert outcome.steps == 300


def test_the_avatar_is_finite_and_bounded(outcome):
    splats = outcome.avatar.splats
    for value in vars(splats).values():
        assert torch.isfinite(value).all()
    assert splats.offsets.norm(dim=-1).max() <= CONFIG.limits.offset + 1e-6
    assert splats.local_quats_wxyz[:, 1:3].abs().max() <= CONFIG.limits.tilt + 1e-6
    assert 0 <= splats.colors.min() <= splats.colors.max() <= 1


def test_an_interrupted_fit_goes_on_and_ends_as_well(outcome, tmp_path):
    with pytest.raises(StopError):
        run(tmp_path, "c.safetensors", stop_at=("silhouettes", 50))
    with pytest.raises(StopError):
        run(tmp_path, "c.safetensors", stop_at=("joint", 100))
    resumed = run(tmp_path, "c.safetensors")
    assert resumed.steps == outcome.steps
    gap = resumed.figures["heldout"]["psnr_masked"] - outcome.figures["heldout"]["psnr_masked"]
    assert abs(gap) < 1.0  # pending clothing gradients are lost with the process


def test_running_a_finished_fit_again_does_nothing_new(outcome, folder):
    again = run(folder, "c.safetensors")
    assert torch.equal(outcome.avatar.splats.colors, again.avatar.splats.colors)
    assert again.figures == outcome.figures


def test_checkpoints_are_for_one_input_only(tmp_path):
    body = load_body()
    state = new_state(body, torch.zeros(body.num_betas), 4, CONFIG)
    state.splats["colors"].uniform_()
    state.progress.stage, state.progress.step = "joint", 12
    save_checkpoint(tmp_path / "c", state, "mine")
    other = new_state(body, torch.zeros(body.num_betas), 4, CONFIG)
    assert not restore_checkpoint(tmp_path / "c", other, "another")
    assert not restore_checkpoint(tmp_path / "absent", other, "mine")
    assert restore_checkpoint(tmp_path / "c", other, "mine")
    assert torch.equal(other.splats["colors"], state.splats["colors"])
    assert (other.progress.stage, other.progress.step) == ("joint", 12)
    (tmp_path / "c").write_bytes((tmp_path / "c").read_bytes()[:100])
    assert not restore_checkpoint(tmp_path / "c", other, "mine")
    longer = new_state(body, torch.zeros(body.num_betas), 5, CONFIG)
    save_checkpoint(tmp_path / "c", state, "mine")
    assert not restore_checkpoint(tmp_path / "c", longer, "mine")
