"""Detail crops: where they are cut, what they may move, and how they survive the disk."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from synthetic_clip import camera, detections_of, noisy_track, true_motion

from pear_avatar.body import load_body
from pear_avatar.fitting.detail_steps import pose_columns
from pear_avatar.fitting.details import (
    HEAD_JOINTS,
    hide_occluders,
    make_details,
    plan_details,
)
from pear_avatar.fitting.frame_cache import load_frames, save_frames
from pear_avatar.fitting.frames import cut_crops, plan_person
from pear_avatar.geometry.cameras import crop_camera, project


@pytest.fixture(scope="module")
def cut():
    """A clip of four frames, three times as fine as usual, with the person's and detail crops."""
    params = true_motion(4)
    fine = camera(4)
    fine = crop_camera(fine, 3.0, 0.0, 0.0, 3 * fine.width, height=3 * fine.height)
    track = noisy_track(params, fine)
    detections = detections_of(params, fine)
    rows, split = np.arange(4), np.array([0, 1, 0, 0], np.int8)
    yy, xx = np.mgrid[: fine.height, : fine.width]
    picture = np.stack([xx % 256, yy % 256, 0 * xx], -1).astype(np.uint8)
    mask = np.full(picture.shape[:2], 255, np.uint8)
    plans = {"person": plan_person(lambda r: mask, detections, rows, split=split, crop_size=192)}
    plans |= plan_details(load_body(), track, detections, rows, split)
    film = ((k, 0.0, picture) for k in range(4))
    crops = cut_crops(film, lambda r: mask, track, plans)
    person = crops.pop("person")
    return track, person, make_details(crops, plans, person)


def test_the_head_is_cut_as_the_video_shows_it(cut):
    track, person, details = cut
    head = details["head"]
    assert head.scale == 1.0
    assert head.frames.camera.K[0, 0, 0] > 1.5 * person.camera.K[0, 0, 0]
    assert head.crop.tolist() == [0, 1, 2, 3]
    assert head.frames.split.tolist() == [0, 1, 0, 0]
    body, p = load_body(), track.motion.params[0]
    posed = body.shape(p.betas).pose(p.rotations, p.transl)
    own = body.skin_weights_t[list(HEAD_JOINTS)].sum(0) > 0.9
    px, _ = project(head.frames.camera[0], posed.vertices()[own])
    assert float(px.min()) > 0
    assert bool((px < px.new_tensor([head.frames.camera.width, head.frames.camera.height])).all())


def test_a_window_has_the_crop_s_pixels_and_its_camera(cut):
    _, _, details = cut
    head = details["head"]
    view = head.window(2, 5, 9, 32)
    assert (view.camera.width, view.camera.height) == (32, 32)
    shown = (view.target[0].permute(1, 2, 0) * 255).round().byte().numpy()
    np.testing.assert_array_equal(shown, head.frames.targets[2, 9:41, 5:37])
    point = torch.tensor([[0.0, 0.4, -4.0]])
    moved = project(head.frames.camera[2], point)[0] - project(view.camera, point)[0]
    assert moved[0].tolist() == pytest.approx([5.0, 9.0], abs=1e-3)


def test_what_hides_the_person_is_left_out_close_up_too(cut):
    _, person, details = cut
    valid = person.valid.copy()
    valid[0, : valid.shape[1] // 2] = 0  # the upper half of the first frame
    hidden = hide_occluders(details, person.with_valid(valid))["head"]
    assert hidden.frames.valid[0].max() == 0
    np.testing.assert_array_equal(hidden.frames.valid[1], details["head"].frames.valid[1])


def test_a_part_moves_its_own_joints_only():
    body = load_body()
    head, hand = pose_columns(body, "head"), pose_columns(body, "left_hand")
    assert int(head["rotations"].sum()) == 3 * len(HEAD_JOINTS)
    assert bool(head["expression"].all())
    assert not bool((head["rotations"] & hand["rotations"]).any())
    assert "transl" not in head
    assert "expression" not in hand


def test_tiny_parts_get_no_crop():
    params = true_motion(3)
    small = camera(3)
    small = crop_camera(small, 0.3, 0.0, 0.0, 34, height=58)
    detections = detections_of(params, small)
    rows = np.arange(3)
    plans = plan_details(
        load_body(), noisy_track(params, small), detections, rows, np.zeros(3, np.int8)
    )
    assert plans == {}


def test_crops_survive_the_cache(cut, tmp_path):
    _, person, details = cut
    save_frames(tmp_path / "f.npz", person, details)
    loaded = load_frames(tmp_path / "f.npz")
    assert loaded is not None
    frames, parts = loaded
    np.testing.assert_array_equal(frames.targets, person.targets)
    assert torch.equal(frames.camera.K, person.camera.K)
    assert parts.keys() == details.keys()
    np.testing.assert_array_equal(parts["head"].frames.masks, details["head"].frames.masks)
    assert parts["head"].scale == details["head"].scale
    (tmp_path / "f.npz").write_bytes((tmp_path / "f.npz").read_bytes()[:2000])
    assert load_frames(tmp_path / "f.npz") is None
    assert load_frames(tmp_path / "none.npz") is None
