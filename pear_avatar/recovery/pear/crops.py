"""Square crops of people, as the network wants them.

One crop of the whole person is all the network sees: neither face nor hands get one of their own.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from pear_avatar.choices import Convention
from pear_avatar.recovery.pear.pear_config import CROP_SIZE, SIDE_MARGIN

__all__ = ["crop_tensor", "square_boxes", "whole_picture"]

#: The square's side in sides of the box, as released.
_PADDING = 1.25
#: The published program enlarges pictures so many times before it cuts crops from them.
_ENLARGED = 2
#: Pixels around a square that a cubic filter looks at.
_MARGIN = 4
#: Share of the square crop's width that the network gets to see.
_SEEN_WIDTH = 1 - 2 * SIDE_MARGIN / CROP_SIZE


def square_boxes(
    boxes_xyxy: np.ndarray,
    *,
    padding: float = _PADDING,
    convention: Convention = "eased",
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Left, top and side (P, 3) of the square crops for boxes (P, 4), in pixels.

    The side is ``padding`` times the box's longer side. The network sees the middle three
    quarters of the square; where a wide box would lose its ends by that, the square is larger,
    unless the convention is "pear".

    Args:
        boxes_xyxy: left, top, right, bottom; pixel centres lie at +0.5.
        padding: the square's side in sides of the box.
        convention: "pear" cuts exactly the squares of the published program, which doubles the
            picture, counts pixels from their corners there, and keeps boxes within it.
        size: width and height of the picture, which "pear" needs.

    Raises:
        ValueError: a box without area, or with coordinates that are no numbers.
    """
    boxes = np.asarray(boxes_xyxy, dtype=np.float64).reshape(-1, 4)
    extent = boxes[:, 2:] - boxes[:, :2]
    bad = ~(np.isfinite(boxes).all(1) & (extent > 0).all(1))
    if bad.any():
        raise ValueError(f"a box must have left < right and top < bottom, got {boxes[bad][0]}")
    if convention == "pear":
        if size is None:
            raise ValueError("squares in the 'pear' convention need the picture's size")
        return _published_squares(boxes, padding, size)
    side = np.maximum(padding * extent.max(1), extent[:, 0] / _SEEN_WIDTH)
    center = 0.5 * (boxes[:, :2] + boxes[:, 2:])
    return np.concatenate([center - 0.5 * side[:, None], side[:, None]], axis=1)


def whole_picture(width: int, height: int) -> np.ndarray:
    """(3,) the square that the published program sees where it finds no person: all, unpadded."""
    side = float(max(width, height))
    return np.array([0.5 * (width - side), 0.5 * (height - side), side])


def _published_squares(boxes: np.ndarray, padding: float, size: tuple[int, int]) -> np.ndarray:
    last = _ENLARGED * np.array(size, np.float64) - 1
    low = np.maximum(_ENLARGED * boxes[:, :2], 0)
    extent = _ENLARGED * (boxes[:, 2:] - boxes[:, :2])
    high = np.minimum(last, low + np.maximum(extent - 1, 0))
    kept = np.maximum(high - low, 1e-3)
    side = padding * kept.max(1, keepdims=True)
    start = low + 0.5 * kept - 0.5 * side
    # There pixel i of the crop samples the enlarged picture's pixel start + i side / 256.
    start = start + 0.5 - 0.5 * side / CROP_SIZE
    return np.concatenate([start, side], axis=1) / _ENLARGED


def crop_tensor(image: np.ndarray, boxes: np.ndarray, convention: Convention = "eased") -> Tensor:
    """Crops (P, 3, 256, 256), RGB in [0, 1], of squares (P, 3) of an (H, W, 3) uint8 picture.

    Pixels outside the picture are black. Squares larger than 256 pixels are averaged, not sampled.
    The network was trained on crops that were sampled, which the "pear" convention does: from the
    picture enlarged twice by a cubic filter, bilinearly, without any averaging.

    Raises:
        ValueError: not an (H, W, 3) uint8 picture, or squares without a side.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected (H, W, 3) uint8 pixels, got {image.shape} {image.dtype}")
    squares = np.asarray(boxes, dtype=np.float64).reshape(-1, 3)
    if not (np.isfinite(squares).all() and (squares[:, 2] > 0).all()):
        raise ValueError(f"squares must be left, top, side > 0, got {boxes}")
    out = np.empty((len(squares), CROP_SIZE, CROP_SIZE, 3), dtype=np.float32)
    cut = _published_crop if convention == "pear" else _crop
    for crop, (left, top, side) in zip(out, squares, strict=True):
        crop[:] = cut(image, left, top, side)
    return torch.from_numpy(out).permute(0, 3, 1, 2).contiguous().div_(255.0)


def _published_crop(image: np.ndarray, left: float, top: float, side: float) -> np.ndarray:
    """float32: bilinear samples of the picture enlarged twice."""
    height, width = image.shape[:2]
    x0, y0 = max(math.floor(left) - _MARGIN, 0), max(math.floor(top) - _MARGIN, 0)
    x1 = min(math.ceil(left + side) + _MARGIN, width)
    y1 = min(math.ceil(top + side) + _MARGIN, height)
    if x1 - x0 < 1 or y1 - y0 < 1:  # beside the picture
        return np.zeros((CROP_SIZE, CROP_SIZE, 3), np.float32)
    near = image[y0:y1, x0:x1]
    shape = (_ENLARGED * near.shape[1], _ENLARGED * near.shape[0])
    large = cv2.resize(near, shape, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    scale = _ENLARGED * side / CROP_SIZE
    start = _ENLARGED * np.array([left - x0, top - y0]) - 0.5 + 0.5 * scale
    to_image = np.array([[scale, 0, start[0]], [0, scale, start[1]]])
    return cv2.warpAffine(
        large,
        to_image,
        (CROP_SIZE, CROP_SIZE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )


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
