"""Occluders are told from the avatar's own faults by whether they stay put on the person."""

import cv2
import numpy as np
import torch
from synthetic_clip import make_frames

from pear_avatar.fitting.occluders import box_area, find_occluders, foreign_colors


def differences(frames, discs, radius=11):
    """Maps with a disc at the given centre of each crop, over 1-pixel rim noise."""
    maps = {}
    for i, center in enumerate(discs):
        edge = cv2.morphologyEx(frames.masks[i], cv2.MORPH_GRADIENT, np.ones((2, 2), np.uint8))
        d = (edge > 60).astype(np.float32) * 0.5
        if center is not None:
            cv2.circle(d, center, radius, 0.6, -1)
        maps[i] = d
    return maps


def test_a_moving_disc_is_left_out_and_rims_are_not():
    frames, _ = make_frames(8)
    discs = [(30 + 7 * i, 50 + 12 * i) for i in range(8)]
    found = find_occluders(frames, differences(frames, discs), 0.1)
    for i, (x, y) in enumerate(discs):
        assert found.hidden[i, y, x]
        assert found.hidden[i].sum() < 2.5 * np.pi * 11**2
        assert 0 < found.share[i] <= 0.1


def test_what_stays_on_the_person_is_not_an_occluder():
    frames, _ = make_frames(8)
    found = find_occluders(frames, differences(frames, [(55, 90)] * 8), 0.1)
    assert not found.hidden.any()


def test_rims_alone_are_not_occluders():
    frames, _ = make_frames(8)
    found = find_occluders(frames, differences(frames, [None] * 8), 0.1)
    assert not found.hidden.any()


def test_the_share_is_capped():
    frames, _ = make_frames(8)
    discs = [(30 + 7 * i, 50 + 12 * i) for i in range(8)]
    found = find_occluders(frames, differences(frames, discs, radius=25), 0.1)
    assert (found.share <= 0.1).all()


def test_too_few_frames_to_tell():
    frames, _ = make_frames(8)
    maps = differences(frames, [(50, 80)] * 8)
    found = find_occluders(frames, {0: maps[0]}, 0.1)
    assert not found.hidden.any()


def test_box_area():
    mask = np.zeros((20, 30), np.uint8)
    mask[5:10, 4:8] = 255
    assert box_area(mask) == 20
    assert box_area(np.zeros((20, 30), np.uint8)) == 600


def test_find_occluders_leaves_its_input_alone():
    frames, _ = make_frames(8)
    before = frames.masks.copy()
    find_occluders(frames, differences(frames, [(50, 80)] * 8), 0.1)
    np.testing.assert_array_equal(frames.masks, before)
    assert torch.isfinite(frames.camera.K).all()


def test_a_displaced_limb_is_not_foreign_but_a_ball_is():
    drawn, alpha = torch.zeros(3, 80, 80), torch.zeros(80, 80)
    drawn[0, 20:60, 20:40] = 0.8
    alpha[20:60, 20:40] = 1.0
    picture = torch.full((3, 80, 80), 0.3)
    picture[:, 20:60, 26:46] = torch.tensor([0.8, 0.0, 0.0])[:, None, None]  # moved by 6 px
    picture[:, 44:56, 24:36] = 0.95  # a white thing in front
    foreign = foreign_colors(picture, drawn, alpha, radius=12)
    assert foreign[50, 30] == 1
    assert foreign[30, 42] == 0
    assert foreign[30, 30] == 0
