"""What detectors get wrong: swapped sides, invented hands, stray faces."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic_people import SCALE, body, clip, hand, standing, swapped, turned

from pear_avatar.perception.cleaning import (
    face_confidence,
    find_flips,
    hand_confidence,
    pose_confidence,
    shows_back,
    undo_flips,
)
from pear_avatar.perception.measure import pixels_per_metre


def _scale(raw):
    return np.full(raw.num_frames, SCALE)


def _without_face(raw):
    return replace(raw, face_found=np.zeros(raw.num_frames, bool))


def test_scale_is_measured_from_whatever_is_in_sight():
    raw = standing(4)
    confidence = pose_confidence(raw)
    assert pixels_per_metre(raw.pose[..., :2], confidence, raw.world) == pytest.approx([SCALE] * 4)
    confidence[:, 13:] = 0  # only head and shoulders
    assert pixels_per_metre(raw.pose[..., :2], confidence, raw.world) == pytest.approx([SCALE] * 4)
    assert np.isnan(pixels_per_metre(raw.pose[..., :2], confidence * 0, raw.world)).all()


def test_nothing_is_flipped_in_a_good_clip():
    for raw in (standing(30), _without_face(standing(30))):
        flips = find_flips(raw, _scale(raw))
        assert not flips.upper.any()
        assert not flips.lower.any()


@pytest.mark.parametrize("rows", [[7], [12, 13, 14], list(range(20, 30))])
def test_sudden_flips_are_found_and_undone(rows):
    truth = _without_face(standing(30))
    seen = swapped(truth, np.array(rows))
    flips = find_flips(seen, _scale(seen))
    assert np.flatnonzero(flips.upper).tolist() == rows
    assert np.flatnonzero(flips.lower).tolist() == rows
    mended = undo_flips(seen, flips)
    assert np.array_equal(mended.pose, truth.pose)
    assert np.array_equal(mended.world, truth.world)
    assert np.array_equal(mended.left_hand[rows], truth.right_hand[rows])


def test_swapped_legs_alone_are_found():
    truth = standing(30)
    seen = swapped(truth, np.array([10, 11]), first=23)
    flips = find_flips(seen, _scale(seen))
    assert np.flatnonzero(flips.lower).tolist() == [10, 11]
    assert not flips.upper.any()
    assert np.array_equal(undo_flips(seen, flips).pose, truth.pose)


def test_flip_hidden_in_profile_is_found_by_depth():
    degrees = np.linspace(0, 180, 40)
    world = np.stack([turned(body(), a) for a in degrees])
    truth = replace(_without_face(clip(world)))
    assert not find_flips(truth, _scale(truth)).upper.any()
    # From the profile on left and right are exchanged: in the image nothing jumps.
    rows = np.arange(20, 30)
    seen = swapped(truth, rows)
    jump = np.abs(seen.pose[20, 11:, :2] - seen.pose[19, 11:, :2]).max() / SCALE
    assert jump < 0.06
    flips = find_flips(seen, _scale(seen))
    assert np.flatnonzero(flips.upper).tolist() == rows.tolist()


def test_clip_flipped_from_start_to_end_is_found_by_the_face():
    truth = standing(20)
    seen = swapped(truth, np.arange(20))
    flips = find_flips(seen, _scale(seen))
    assert flips.upper.all()
    assert flips.lower.all()
    blind = _without_face(seen)
    assert not find_flips(blind, _scale(blind)).upper.any()


def test_gaps_without_a_person_do_not_break_the_search():
    raw = standing(20)
    found = raw.found.copy()
    found[5:9] = False
    seen = swapped(_without_face(replace(raw, found=found)), np.array([14]))
    assert np.flatnonzero(find_flips(seen, _scale(seen)).upper).tolist() == [14]
    nobody = replace(raw, found=np.zeros(20, bool))
    assert not find_flips(nobody, _scale(nobody)).upper.any()


def test_real_hands_are_kept():
    raw = standing(12)
    left, right = hand_confidence(raw, _scale(raw))
    assert left.min() > 0.5
    assert right.min() > 0.5


def _with_left(raw, row, points):
    left = raw.left_hand.copy()
    left[row] = points
    return replace(raw, left_hand=left)


@pytest.mark.parametrize("case", ["far", "huge", "tiny", "outside", "same", "lone"])
def test_invented_hands_are_rejected(case):
    raw = standing(12)
    wrist = raw.pose[5, 15, :2]
    points = {
        "far": hand(wrist + 0.13 * SCALE),
        "huge": (hand(wrist) - wrist) * 4 + wrist,
        "tiny": (hand(wrist) - wrist) * 0.1 + wrist,
        "outside": hand(wrist) * [1, 1],
        "same": raw.right_hand[5],
        "lone": hand(wrist, spread=-6.0),
    }[case]
    if case == "outside":
        raw = clip(raw.world, centre=(590.0, 220.0))
        points = raw.left_hand[5]
    raw = _with_left(raw, 5, points.astype(np.float32))
    left, right = hand_confidence(raw, _scale(raw))
    assert left[5] == 0
    assert right[5] > 0
    if case != "outside":
        assert left[4] > 0
        assert left[6] > 0


def test_one_hand_found_twice_stays_with_the_nearer_wrist():
    raw = standing(12)
    pose = raw.pose.copy()
    pose[:, 15, :2] = pose[:, 16, :2] + np.array([0.06, 0.0]) * SCALE  # wrists side by side
    raw = replace(raw, pose=pose, left_hand=raw.right_hand.copy())
    left, right = hand_confidence(raw, _scale(raw))
    assert (left == 0).all()
    assert (right > 0).all()


def test_faces_must_sit_on_the_head_and_last():
    raw = standing(20)
    assert face_confidence(raw, _scale(raw)).min() > 0.9
    face = raw.face.copy()
    face[3] += 0.3 * SCALE
    face[4] = (face[4] - face[4, 1]) * 4 + face[4, 1]
    confidence = face_confidence(replace(raw, face=face), _scale(raw))
    assert np.flatnonzero(confidence == 0).tolist() == [3, 4]
    once = np.zeros(20, bool)
    once[9] = True
    assert not face_confidence(replace(raw, face_found=once), _scale(raw)).any()


def test_landmarks_outside_the_picture_count_for_nothing():
    raw = clip(np.repeat(body()[None], 2, 0), centre=(320.0, 430.0))  # cut below the hips
    confidence = pose_confidence(raw)
    assert (confidence[:, 25:] == 0).all()
    assert (confidence[:, :15] == 1).all()


def test_backs_are_told_from_fronts():
    front, back = standing(3), clip(np.stack([turned(body(), 180)] * 3))
    assert not shows_back(front, _scale(front)).any()
    assert shows_back(back, _scale(back)).all()
