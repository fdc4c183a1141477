"""A track that misses its landmarks is not trusted there."""

from dataclasses import replace

import numpy as np
import pytest
from tracking_people import detect, moving_person, tall_camera

from pear_avatar.body import load_body
from pear_avatar.tracking.judge import TRACK_MISSES, bridged, refuse_misses
from pear_avatar.types import Camera, ClipDetections, Motion, Track

N = 8


@pytest.fixture(scope="module")
def clip() -> tuple[Track, ClipDetections]:
    body, camera = load_body(), tall_camera()
    params = moving_person(body, N)
    cameras = Camera(camera.K.expand(N, 3, 3), camera.T_camera_world.expand(N, 4, 4), 720, 1280)
    motion = Motion(params, np.arange(N) / 24.0)
    track = Track(motion, cameras, np.arange(N), np.ones(N, bool), np.zeros(N, np.float32))
    return track, detect(body, params, camera, noise=0.2)


def test_a_good_track_stays_as_it_is(clip: tuple[Track, ClipDetections]) -> None:
    track, detections = clip
    assert refuse_misses(track, detections, load_body()) == (track, detections)


def test_limbs_elsewhere_are_refused_with_the_frames_between(
    clip: tuple[Track, ClipDetections],
) -> None:
    track, detections = clip
    px = detections.pose_px.copy()
    px[2, 11:23, 0] += 260
    px[4, :, 0] += 200
    wrong = replace(detections, pose_px=px)
    judged, told = refuse_misses(track, wrong, load_body())
    expected = ~np.isin(np.arange(N), [2, 3, 4])
    np.testing.assert_array_equal(judged.trusted, expected)
    np.testing.assert_array_equal(told.trusted, expected)
    assert set(told.reason[~expected]) == {TRACK_MISSES}


def test_a_small_error_is_large_on_a_head_shot(clip: tuple[Track, ClipDetections]) -> None:
    track, detections = clip
    confidence = detections.pose_confidence.copy()
    confidence[:, 11:] = 0
    px = detections.pose_px.copy()
    px[5, :11] += 25
    head = replace(detections, pose_px=px, pose_confidence=confidence)
    judged, _ = refuse_misses(track, head, load_body())
    assert np.flatnonzero(~judged.trusted).tolist() == [5]


def test_short_gaps_are_bridged() -> None:
    refused = np.array([1, 0, 0, 1, 0, 0, 0, 1], bool)
    np.testing.assert_array_equal(bridged(refused), [1, 1, 1, 1, 0, 0, 0, 1])
