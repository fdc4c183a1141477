"""Sharper masks on a scene whose truth is known."""

import cv2
import numpy as np
import pytest

from pear_avatar.perception.background import camera_motion, estimate_background
from pear_avatar.perception.matting import BodyHints, near_person, refine_mask

HEIGHT, WIDTH, SCALE = 240, 320, 110.0


def _scene(seed: int = 0) -> np.ndarray:
    """A textured background."""
    rng = np.random.default_rng(seed)
    noise = rng.uniform(60, 200, (HEIGHT // 4, WIDTH // 4, 3)).astype(np.float32)
    return cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def _person(x: int) -> np.ndarray:
    """(H, W) bool: trunk, head and one thin arm."""
    shape = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.rectangle(shape, (x - 22, 80), (x + 22, 200), 1, -1)
    cv2.circle(shape, (x, 60), 16, 1, -1)
    cv2.line(shape, (x + 22, 90), (x + 60, 130), 1, 5)
    return shape > 0


def _hints(x: int) -> BodyHints:
    pose = np.zeros((33, 2), np.float32)
    confidence = np.zeros(33, np.float32)
    places = {
        0: (x, 60),
        11: (x + 20, 86),
        12: (x - 20, 86),
        13: (x + 41, 110),
        15: (x + 58, 128),
        23: (x + 12, 195),
        24: (x - 12, 195),
    }
    for k, place in places.items():
        pose[k], confidence[k] = place, 1.0
    return BodyHints(pose, confidence, (), SCALE)


def _clip(count: int = 12, shift: float = 0.0):
    """Frames, true masks, the network's blurred masks that lack the fore-arm, and hints."""
    rng = np.random.default_rng(1)
    frames, truths, masks, hints = [], [], [], []
    for i in range(count):
        x = 90 + 12 * i
        move = np.float32([[1, 0, shift * i], [0, 1, 0]])
        frame = cv2.warpAffine(_scene(), move, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        truth = _person(x)
        frame[truth] = np.array((40, 60, 150)) + rng.normal(0, 8, (int(truth.sum()), 3))
        frames.append(np.clip(frame + rng.normal(0, 2, frame.shape), 0, 255).astype(np.uint8))
        soft = truth.astype(np.uint8) * 255
        soft[:, x + 45 :] = 0
        masks.append(cv2.GaussianBlur(np.roll(soft, 2, axis=1), (0, 0), 3))
        truths.append(truth)
        hints.append(_hints(x))
    return frames, truths, masks, hints


def _overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    return float(((mask > 127) & truth).sum() / ((mask > 127) | truth).sum())


def _background(frames, masks, hints):
    near = [near_person(m, h) for m, h in zip(masks, hints, strict=True)]
    return estimate_background(frames, near)


def test_background_is_the_empty_scene():
    frames, _, masks, hints = _clip()
    background = _background(frames, masks, hints)
    assert background is not None
    assert background.known.mean() > 0.5
    assert np.abs(background.color - _scene())[background.known].mean() < 2.0


def test_moving_camera_has_no_background():
    frames, _, masks, hints = _clip(shift=1.0)
    near = [near_person(m, h) for m, h in zip(masks, hints, strict=True)]
    assert camera_motion(frames, near) > 3
    assert estimate_background(frames, near) is None


def test_flickering_light_has_no_background():
    frames, _, masks, hints = _clip()
    frames = [(f * (1.0 if i % 2 else 0.6)).astype(np.uint8) for i, f in enumerate(frames)]
    assert _background(frames, masks, hints) is None


@pytest.mark.parametrize(("still", "least"), [(True, 0.97), (False, 0.93)])
def test_refined_masks_are_closer_to_the_truth(still, least):
    frames, truths, masks, hints = _clip()
    background = _background(frames, masks, hints) if still else None
    for i in (2, 6, 9):
        before = _overlap(masks[i], truths[i])
        refined = refine_mask(frames[i], masks[i], hints[i], background)
        assert before < 0.90
        assert _overlap(refined, truths[i]) > max(least, before)


def test_cut_off_arm_is_recovered_from_the_background():
    frames, truths, masks, hints = _clip()
    refined = refine_mask(frames[5], masks[5], hints[5], _background(frames, masks, hints))
    x = 90 + 12 * 5
    arm = truths[5].copy()
    arm[:, : x + 46] = False
    assert (masks[5][arm] > 127).mean() < 0.1
    assert (refined[arm] > 127).mean() > 0.8


def test_large_people_are_judged_alike():
    frames, truths, masks, hints = _clip(8)
    big = [cv2.resize(f, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC) for f in frames[4:5]]
    mask = cv2.resize(masks[4], None, fx=6, fy=6, interpolation=cv2.INTER_LINEAR)
    hint = hints[4].moved(np.zeros(2, np.float32), 6.0)
    refined = refine_mask(big[0], mask, hint, None)
    truth = cv2.resize(truths[4].astype(np.uint8), None, fx=6, fy=6) > 0
    assert _overlap(refined, truth) > max(0.92, _overlap(mask, truth))


def test_empty_mask_stays_empty():
    frames, _, masks, hints = _clip(3)
    assert not refine_mask(frames[0], masks[0] * 0, hints[0], None).any()
