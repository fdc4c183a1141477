"""Square crops of people, as the network wants them.

One crop of the whole person is all the network sees: neither face nor hands get one of their own.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from pear_avatar.recovery.pear.pear_config import CROP_SIZE, SIDE_MARGIN

__all__ = ["crop_tensor", "square_boxes"]

#: The square's side in sides of the box, as released.
_PADDING = 1.25
#: Share of the square crop's width that the network gets to see.
_SEEN_WIDTH = 1 - 2 * SIDE_MARGIN / CROP_SIZE


def square_boxes(boxes_xyxy: np.ndarray, *, padding: float = _PADDING) -> np.ndarray:
    """Left, top and side (P, 3) of the square crops for boxes (P, 4), in pixels.

    The side is ``padding`` times the box's longer side. The network sees the middle three
    quarters of the square; where a wide box would lose its ends by that, the square is larger.

    Raises:
        ValueError: a box without area, or with coordinates that are no numbers.
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    size = boxes[:, 2:] - boxes[:, :2]
    bad = ~(np.isfinite(boxes).all(1) & (size > 0).all(1))
    if bad.any():
        raise ValueError(f"a box must have left < right and top < bottom, got {boxes[bad][0]}")
    side = np.maximum(padding * size.max(1), size[:, 0] / _SEEN_WIDTH)
    center = 0.5 * (boxes[:, :2] + boxes[:, 2:])
    return np.concatenate([center - 0.5 * side[:, None], side[:, None]], axis=1)


def crop_tensor(image: np.ndarray, boxes: np.ndarray) -> Tensor:
    """Crops (P, 3, 256, 256), RGB in [0, 1], of squares (P, 3) of an (H, W, 3) uint8 picture.

    Pixels outside the picture are black. Squares larger than 256 pixels are averaged, not
    sampled: the network was trained on clean crops.

    Raises:
        ValueError: not an (H, W, 3) uint8 picture, or squares without a side.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected (H, W, 3) uint8 pixels, got {image.shape} {image.dtype}")
    squares = np.asarray(boxes, dtype=np.float64).reshape(-1, 3)
    if not (np.isfinite(squares).all() and (squares[:, 2] > 0).all()):
        raise ValueError(f"squares must be left, top, side > 0, got {boxes}")
    out = np.empty((len(squares), CROP_SIZE, CROP_SIZE, 3), dtype=np.uint8)
    for crop, (left, top, side) in zip(out, squares, strict=True):
        crop[:] = _crop(image, left, top, side)
    return torch.from_numpy(out).permute(0, 3, 1, 2).float().div_(255.0)


def _crop(image: np.ndarray, left: float, top: float, side: float) -> np.ndarray:
    # Whole multiples of the crop's size, at no less than the picture's own density, averaged down.
    density = min(max(1, math.ceil(side / CROP_SIZE)), 16)
    size = density * CROP_SIZE
    scale = side / size
    # Pixel centres lie at +0.5 here and at whole numbers in OpenCV.
    offset = 0.5 * scale - 0.5
    to_image = np.array([[scale, 0, left + offset], [0, scale, top + offset]])
    sampled = cv2.warpAffine(
        image, to_image, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    if density == 1:
        return sampled
    return cv2.resize(sampled, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA)
