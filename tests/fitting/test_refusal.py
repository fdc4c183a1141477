"""Crops that the fitted body does not explain are left out, and named."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic_clip import detections_of, make_frames, noisy_track

from pear_avatar.body import load_body
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.frames import Split
from pear_avatar.fitting.refusal import (
    SILHOUETTE_DISAGREES,
    Agreement,
    refused_by_picture,
    refused_by_silhouette,
)
from pear_avatar.fitting.run import FitOutcome, refined_track, refused_detections, run_fit

WRONG = 4


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> FitOutcome:
    """A short fit to eight crops, one of which shows the person upside down."""
    frames, params = make_frames(8)
    images, masks = frames.images.copy(), frames.masks.copy()
    images[WRONG], masks[WRONG] = images[WRONG, ::-1], masks[WRONG, ::-1]
    frames = replace(frames, images=images, targets=images, masks=masks)
    config = FittingConfig(
        num_splats=2000, silhouette_steps=60, joint_steps=12, refit_steps=1, refit_frames=1
    )
    return run_fit(
        load_body(),
        noisy_track(params, frames.camera),
        detections_of(params, frames.camera),
        frames,
        config,
        checkpoint=tmp_path_factory.mktemp("refusal") / "c",
        key="k",
        free_focal=True,
        perceptual=None,
    )


def test_a_crop_that_shows_another_pose_is_refused(outcome: FitOutcome) -> None:
    assert outcome.refused[SILHOUETTE_DISAGREES] == [WRONG]
    assert outcome.frames.split[WRONG] == Split.REFUSED


def test_the_track_and_the_report_know_of_it(outcome: FitOutcome) -> None:
    frames, params = make_frames(8)
    track = noisy_track(params, frames.camera)
    expected = np.arange(8) != WRONG
    np.testing.assert_array_equal(refined_track(track, outcome).trusted, expected)
    detections = refused_detections(detections_of(params, frames.camera), outcome)
    np.testing.assert_array_equal(detections.trusted, expected)
    assert detections.reason[WRONG] == SILHOUETTE_DISAGREES


def test_held_out_crops_go_with_their_neighbours_alone() -> None:
    frames, _ = make_frames(8)
    frames = replace(frames, split=np.array([0, 1, 0, 0, 1, 0, 1, 0], np.int8))
    overlap = np.array([0.9, 0.2, 0.9, 0.4, 0.9, 0.4, 0.9, 0.9])
    assert refused_by_silhouette(frames, Agreement(overlap, np.zeros(8))) == [3, 4, 5]


def test_a_clip_is_never_refused_as_a_whole() -> None:
    frames, _ = make_frames(8)
    frames = replace(frames, split=np.zeros(8, np.int8))
    poor = Agreement(np.full(8, 0.5), np.full(8, 0.3))
    assert refused_by_silhouette(frames, poor) == refused_by_picture(frames, poor) == []
    color = np.array([0.3, 0.25, 0.28, 0.02, 0.02, 0.02, 0.02, 0.02])
    assert refused_by_picture(frames, Agreement(np.ones(8), color)) == [0, 1, 2]
