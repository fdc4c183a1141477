"""Crops and boxes of the "pear" convention beside the published program, written out here."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pear_avatar.geometry.cameras import default_world_camera, intrinsics
from pear_avatar.recovery.pear.crops import crop_tensor, square_boxes, whole_picture
from pear_avatar.recovery.sources import _squares
from pear_avatar.types import Camera


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Sharp edges at every scale, where filters differ most."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (height // 3 + 1, width // 3 + 1, 3), dtype=np.uint8)
    return np.ascontiguousarray(small.repeat(3, 0).repeat(3, 1)[:height, :width])


def published_crop(image: np.ndarray, box: tuple[float, ...]) -> np.ndarray:
    """(256, 256, 3): double the whole picture, pad the clipped box, map three of its points."""
    height, width = image.shape[:2]
    large = cv2.resize(image, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
    large = large.astype(np.float32)
    x, y, w, h = 2 * box[0], 2 * box[1], 2 * (box[2] - box[0]), 2 * (box[3] - box[1])
    x1, y1 = max(0, x), max(0, y)
    x2, y2 = min(2 * width - 1, x1 + max(0, w - 1)), min(2 * height - 1, y1 + max(0, h - 1))
    side = 1.25 * max(x2 - x1, y2 - y1)
    centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    source = (centre + np.array([[0, 0], [0, side / 2], [side / 2, 0]])).astype(np.float32)
    target = np.array([[128, 128], [128, 256], [256, 128]], np.float32)
    warp = cv2.getAffineTransform(source, target)
    return cv2.warpAffine(large, warp, (256, 256), flags=cv2.INTER_LINEAR)


@pytest.mark.parametrize(
    "box",
    [
        (40.0, 30.0, 200.0, 420.0),
        (10.3, 100.7, 600.2, 300.9),  # wide: its ends lie outside what the network sees
        (-30.0, -20.0, 150.0, 330.0),
        (500.0, 200.0, 700.0, 520.0),
        (300.0, 200.0, 350.0, 280.0),  # smaller than the crop
        (0.0, 0.0, 640.0, 480.0),
    ],
)
def test_crops_equal_the_published_ones(box):
    image = picture(640, 480)
    squares = square_boxes(np.array([box]), convention="pear", size=(640, 480))
    ours = 255 * crop_tensor(image, squares, "pear")[0].permute(1, 2, 0).numpy()
    theirs = published_crop(image, box)
    # OpenCV rounds positions to a 32nd of a pixel, the inverse map and the map apart.
    assert np.abs(ours - theirs).mean() < 0.3
    assert np.quantile(np.abs(ours - theirs), 0.99) < 6
    plain = 255 * crop_tensor(image, square_boxes(np.array([box])))[0].permute(1, 2, 0).numpy()
    if box[2] - box[0] > 300:
        assert np.abs(plain - theirs).mean() > 3


def test_wide_boxes_are_not_widened():
    wide = np.array([[100.0, 200.0, 500.0, 300.0]])
    eased = square_boxes(wide)[0, 2]
    assert eased > 1.06 * 1.25 * 400
    side = square_boxes(wide, convention="pear", size=(640, 480))[0, 2]
    assert side == pytest.approx(1.25 * (400 - 0.5))  # its boxes are a doubled pixel narrower
    with pytest.raises(ValueError, match="need the picture's size"):
        square_boxes(wide, convention="pear")


@pytest.mark.parametrize("size", [(640, 480), (480, 640)])
def test_without_a_person_the_whole_picture_is_seen_unpadded(size):
    camera = Camera(intrinsics(500.0, *size), default_world_camera(), *size)
    nobody = np.zeros((2, 4), np.float32)
    nobody[1] = [10, 10, 110, 210]
    squares = _squares(nobody, camera, "pear")
    assert squares[0].tolist() == whole_picture(*size).tolist()
    assert squares[0, 2] == max(size)
    assert squares[1, 2] == pytest.approx(1.25 * 199.5)
    assert _squares(nobody, camera, "eased")[0, 2] >= 1.25 * max(size)
