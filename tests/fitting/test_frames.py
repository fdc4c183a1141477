import numpy as np
import pytest
from synthetic_clip import camera as clip_camera
from synthetic_clip import detections_of, noisy_track, true_motion

from pear_avatar.fitting.frames import (
    carry_color_outwards,
    choose_rows,
    cut_crops,
    plan_person,
)
from pear_avatar.geometry.cameras import project


@pytest.fixture(scope="module")
def track():
    return noisy_track(true_motion(40), clip_camera(40))


def test_every_eighth_frame_is_held_out(track):
    rows, split = choose_rows(track, max_frames=400, holdout_every=8, unseen_tail=False)
    assert len(rows) == 40
    assert np.flatnonzero(split == 1).tolist() == [4, 12, 20, 28, 36]


def test_the_tail_is_kept_out(track):
    _, split = choose_rows(track, max_frames=400, holdout_every=8, unseen_tail=True)
    assert (split[32:] == 2).all()
    assert (split[:32] != 2).all()


def test_untrusted_frames_never_appear(track):
    from dataclasses import replace

    trusted = np.ones(40, bool)
    trusted[5:9] = False
    rows, _ = choose_rows(
        replace(track, trusted=trusted), max_frames=10, holdout_every=8, unseen_tail=False
    )
    assert len(rows) == 10
    assert not set(rows) & set(range(5, 9))


@pytest.mark.parametrize("count", [1, 2])
def test_a_clip_of_one_or_two_frames_is_fitted_whole(count):
    tiny = noisy_track(true_motion(count), clip_camera(count))
    rows, split = choose_rows(tiny, max_frames=9, holdout_every=8, unseen_tail=True)
    assert len(rows) == count
    assert not split.any()


def crops(track, count, crop_size):
    detections = detections_of(track.motion.params, track.camera)
    params = track.motion.params
    from pear_avatar.body import load_body

    body = load_body()
    joints = body.shape(params.betas).pose(params.rotations, params.transl).joints
    px, _ = project(track.camera, joints)
    pictures, masks = [], []
    for k in range(count):
        picture = np.zeros((track.camera.height, track.camera.width, 3), np.uint8)
        x, y = px[k, 15].tolist()  # a bright dot where the head joint is seen
        yy, xx = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
        dot = np.exp(-((xx - x) ** 2 + (yy - y) ** 2) / (2 * 2.0**2))
        picture[..., 0] = 255 * dot
        mask = np.zeros(picture.shape[:2], np.uint8)
        mask[20:170, 30:85] = 255
        pictures.append(picture)
        masks.append(mask)
    mask_of = masks.__getitem__
    plan = plan_person(
        mask_of, detections, np.arange(count), split=np.zeros(count, np.int8), crop_size=crop_size
    )
    film = ((k, 0.0, p) for k, p in enumerate(pictures))
    frames = cut_crops(film, mask_of, track, {"person": plan})["person"]
    return frames, joints[:, 15]


@pytest.mark.parametrize("crop_size", [64, 100, 400])
def test_crop_cameras_agree_with_crop_pictures(crop_size):
    track = noisy_track(true_motion(3), clip_camera(3))
    frames, head = crops(track, 3, crop_size)
    for k in range(3):
        picture = frames.images[k, ..., 0].astype(float)
        yy, xx = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
        seen = np.array([(picture * xx).sum(), (picture * yy).sum()]) / picture.sum()
        expected, _ = project(frames.camera[k], head[k : k + 1])
        # A tenth of a pixel: 8-bit rounding of a blurred dot moves its centroid by less.
        np.testing.assert_allclose(seen, expected[0].numpy(), atol=0.1)


def test_rim_takes_the_inner_colour():
    image = np.zeros((40, 40, 3), np.uint8)
    image[..., 1] = 200  # a green lawn
    image[10:30, 10:30] = (180, 20, 20)
    image[9, 10:30] = (90, 110, 10)  # a mixed row
    mask = np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 255
    mask[9, 10:30] = 128
    out = carry_color_outwards(image, mask)
    assert np.abs(out[9, 12:28].astype(int) - [180, 20, 20]).max() < 12
    np.testing.assert_array_equal(out[15:25, 15:25], image[15:25, 15:25])
