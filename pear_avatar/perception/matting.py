"""Sharper person masks: colours decide near the edge, where the network's mask is blurred.

The network sees 256 x 256 pixels, so its edge is a few centimetres wide, it cuts off feet and
fingers and keeps a fringe of grass. Inside a band around its edge (wider at hands and feet) each
pixel is judged anew by three log-likelihood ratios that are added: what the network said, how the
pixel compares with the colours of the person and of the scene close by, and, for a camera that
stands still, with the empty scene itself. An edge-preserving filter then makes the rim soft.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from pear_avatar.body.topology import BONES, FOOT_POINTS, HAND_POINTS, THIN_BONES
from pear_avatar.perception.background import Background
from pear_avatar.perception.masks import keep_person
from pear_avatar.perception.measure import SEEN

#: Half width of the band judged anew, and the reach around hands and feet, metres.
_BAND_M, _HAND_REACH_M, _FOOT_REACH_M, _LIMB_REACH_M = 0.035, 0.07, 0.09, 0.05
#: Colours within this distance describe the person and the scene, metres.
_LOCAL_M = 0.14
#: Smallest standard deviation of a colour, grey levels: sensor and codec noise.
_COLOR_NOISE = 7.0
_BACKGROUND_NOISE = 5.0
#: Limits of the three votes (log-likelihood ratios).
_PRIOR_LIMIT, _LOCAL_LIMIT, _BACKGROUND_LIMIT = 4.0, 1.5, 5.0
#: log-density of a colour about which nothing is known: uniform over 256^3.
_UNIFORM = -3.0 * float(np.log(256.0))
#: A shadow keeps the colour and darkens it to no less than this share.
_SHADOW_DARKEST = 0.4
_HOLE_M = 0.05
#: Pixels per metre above which the judging is done on a smaller picture.
_JUDGE_SCALE = 450.0
_GUIDE_EPS = (6.0 / 255.0) ** 2


@dataclass(frozen=True)
class BodyHints:
    """Where one person's parts are in a frame: what the mask must not lose.

    pose: (33, 2) px. confidence: (33,). hands: (21, 2) px arrays of the hands that were found.
    scale: pixels per metre.
    """

    pose: np.ndarray
    confidence: np.ndarray
    hands: tuple[np.ndarray, ...]
    scale: float

    def moved(self, origin: np.ndarray, zoom: float) -> BodyHints:
        """The same hints in a picture that starts at ``origin`` and is ``zoom`` times as large."""
        return BodyHints(
            (self.pose - origin) * zoom,
            self.confidence,
            tuple((hand - origin) * zoom for hand in self.hands),
            self.scale * zoom,
        )


def near_person(mask: np.ndarray, hints: BodyHints | None, reach_m: float = 0.04) -> np.ndarray:
    """(H, W) uint8, non-zero wherever the person may be: the mask and all parts, grown."""
    solid = (mask > 25).astype(np.uint8)
    if hints is None:
        return _dilate(solid, max(3, round(0.02 * max(mask.shape))))
    solid |= _draw_parts(mask.shape, hints, 0.03)
    for points in _end_discs(hints):
        _draw_disc(solid, points, 0.06 * hints.scale)
    return _dilate(solid, max(3, round(reach_m * hints.scale)))


def refine_mask(
    rgb: np.ndarray, mask: np.ndarray, hints: BodyHints, background: Background | None
) -> np.ndarray:
    """A sharper soft mask of the same person.

    Args:
        rgb: (H, W, 3) uint8. mask: (H, W) uint8 from the network.
        hints: landmarks of the person. background: the empty scene, None for a moving camera.

    Returns (H, W) uint8.
    """
    height, width = mask.shape
    region = _work_region(mask, hints)
    if region is None:
        return mask
    rows, columns = region
    local = hints.moved(np.array([columns.start, rows.start], np.float32), 1.0)
    crop_background = None if background is None else background.cut(region)
    refined = _refine_crop(np.ascontiguousarray(rgb[region]), mask[region], local, crop_background)
    out = np.zeros((height, width), np.uint8)
    out[region] = keep_person(refined, _sure_points(local))
    return out


def _refine_crop(
    rgb: np.ndarray, mask: np.ndarray, hints: BodyHints, background: Background | None
) -> np.ndarray:
    zoom = min(1.0, _JUDGE_SCALE / hints.scale)
    if zoom > 0.8:
        alpha = _judge_pixels(rgb, mask, hints, background)
    else:  # a person this large is judged on a smaller picture; the filter restores the edge
        size = (max(8, round(rgb.shape[1] * zoom)), max(8, round(rgb.shape[0] * zoom)))
        small = _judge_pixels(
            cv2.resize(rgb, size, interpolation=cv2.INTER_AREA),
            cv2.resize(mask, size, interpolation=cv2.INTER_AREA),
            hints.moved(np.zeros(2, np.float32), zoom),
            None if background is None else background.resized(size),
        )
        alpha = cv2.resize(small, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_LINEAR)
    radius = max(2, round(0.008 * hints.scale))
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    alpha = cv2.ximgproc.guidedFilter(grey, alpha, radius, _GUIDE_EPS)
    alpha = np.clip((alpha - 0.08) / 0.84, 0.0, 1.0)
    return _fill_holes((alpha * 255.0 + 0.5).astype(np.uint8), mask, hints.scale)


def _judge_pixels(
    rgb: np.ndarray, mask: np.ndarray, hints: BodyHints, background: Background | None
) -> np.ndarray:
    """(H, W) float32 probability that each pixel is the person."""
    sure_in, sure_out, ends = _sure_regions(mask, hints)
    alpha = np.where(sure_in, np.float32(1), np.float32(0))
    open_ = ~(sure_in | sure_out)
    if not open_.any():
        return alpha
    pixels = rgb.astype(np.float32)
    prior = np.clip(mask[open_] / np.float32(255), 0.01, 0.99)
    odds = np.clip(np.log(prior / (1 - prior)), -_PRIOR_LIMIT, _PRIOR_LIMIT)
    odds = np.where(ends[open_], 0.5 * odds, odds)
    reach = max(5, round(_LOCAL_M * hints.scale))
    inside = _local_log_density(pixels, sure_in, open_, reach)
    outside = _local_log_density(pixels, sure_out, open_, reach)
    odds += np.clip(0.5 * (inside - outside), -_LOCAL_LIMIT, _LOCAL_LIMIT)
    if background is not None:
        shadows = _below_knees(hints, mask.shape)[open_] & (prior < 0.6)
        odds += _background_votes(pixels[open_], background, open_, inside, shadows)
    alpha[open_] = 1.0 / (1.0 + np.exp(-odds))
    return alpha


def _sure_regions(mask: np.ndarray, hints: BodyHints) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(H, W) bool each: surely the person, surely not, and close to a hand or foot."""
    band = max(2, round(_BAND_M * hints.scale))
    solid = (mask > 127).astype(np.uint8)
    inner = _erode(solid, band) > 0
    outer = _dilate(solid, band) == 0
    ends = np.zeros(mask.shape, np.uint8)
    hands, feet = _end_discs(hints)
    _draw_disc(ends, hands, _HAND_REACH_M * hints.scale)
    _draw_disc(ends, feet, _FOOT_REACH_M * hints.scale)
    near_end = ends > 0
    limbs = np.zeros(mask.shape, np.uint8)
    thickness = max(1, round(2 * _LIMB_REACH_M * hints.scale))
    for a, b in THIN_BONES:
        if min(hints.confidence[a], hints.confidence[b]) > SEEN:
            _line(limbs, hints.pose[a], hints.pose[b], thickness)
    skeleton = _draw_parts(mask.shape, hints, 0.012) > 0
    # The bones of hands that were found are the person even where the network saw none.
    sure_in = inner | (skeleton & (mask > 40)) | (_draw_hands(mask.shape, hints) > 0)
    return sure_in, outer & ~near_end & (limbs == 0) & ~sure_in, near_end & ~sure_in


def _local_log_density(
    pixels: np.ndarray, where: np.ndarray, asked: np.ndarray, reach: int
) -> np.ndarray:
    """(P,) log-density of the ``asked`` pixels under the colours of ``where`` within ``reach``.

    The colours' mean and spread vary slowly, so they are gathered on a coarse grid.
    """
    step = max(1, reach // 8)
    height, width = where.shape
    coarse = (-(-width // step), -(-height // step))
    stride = 2 if step > 2 else 1
    sparse = pixels[::stride, ::stride]
    weight = where[::stride, ::stride, None].astype(np.float32)
    masked = sparse * weight
    sums = np.concatenate([weight, masked, masked * sparse], axis=2)
    sums = np.dstack(
        [cv2.resize(sums[..., k], coarse, interpolation=cv2.INTER_AREA) for k in range(7)]
    )
    sums = cv2.boxFilter(sums, -1, (2 * (reach // step) + 1,) * 2, borderType=cv2.BORDER_CONSTANT)
    share = sums[..., :1]
    mean = sums[..., 1:4] / np.maximum(share, 1e-4)
    variance = np.maximum(sums[..., 4:] / np.maximum(share, 1e-4) - mean**2, 0.0) + _COLOR_NOISE**2
    constant = np.log(variance).sum(-1, keepdims=True) + 3 * float(np.log(2 * np.pi))
    packed = np.concatenate([mean, 1.0 / variance, constant, share], axis=2)
    rows, columns = np.nonzero(asked)
    here = packed[rows * coarse[1] // height, columns * coarse[0] // width]
    error = (pixels[rows, columns] - here[:, :3]) ** 2 * here[:, 3:6]
    gaussian = -0.5 * (error.sum(-1) + here[:, 6])
    # A Gaussian misses second colours (stripes, seams): the uniform part forgives them.
    mixed = np.logaddexp(gaussian + np.float32(np.log(0.9)), np.float32(_UNIFORM + np.log(0.1)))
    return np.where(here[:, 7] > 0.004, mixed, np.float32(_UNIFORM))


def _background_votes(
    colors: np.ndarray,
    background: Background,
    asked: np.ndarray,
    person: np.ndarray,
    shadows: np.ndarray,
) -> np.ndarray:
    """(P,) log-likelihood ratio of "person" against "the empty scene, perhaps in shadow"."""
    empty, known = background.color[asked], background.known[asked]
    variance = (_BACKGROUND_NOISE + 1.5 * background.noise[asked]) ** 2
    distance = ((colors - empty) ** 2).sum(-1) / variance
    gain = (colors * empty).sum(-1) / np.maximum((empty**2).sum(-1), 1.0)
    tint = ((colors - gain[:, None] * empty) ** 2).sum(-1) / variance
    shadow = shadows & (gain > _SHADOW_DARKEST) & (gain < 1.0)
    distance = np.where(shadow, np.minimum(distance, 1.5 * tint + 2.0), distance)
    density = -0.5 * distance - 1.5 * np.log(2 * np.pi * variance)
    density = np.logaddexp(density, _UNIFORM + np.log(0.02))
    votes = np.clip(person - density, -_BACKGROUND_LIMIT, _BACKGROUND_LIMIT)
    return np.where(known, votes, 0.0).astype(np.float32)


def _fill_holes(refined: np.ndarray, mask: np.ndarray, scale: float) -> np.ndarray:
    """Close holes of a few centimetres that the network's mask does not have."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((refined < 128).astype(np.uint8))
    small = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] < (_HOLE_M * scale) ** 2)
    for k in small[small > 0]:
        x, y, w, h = stats[k, : cv2.CC_STAT_AREA]
        part = slice(y, y + h), slice(x, x + w)
        hole = labels[part] == k
        touches_edge = x == 0 or y == 0 or x + w == mask.shape[1] or y + h == mask.shape[0]
        if not touches_edge and mask[part][hole].mean() > 100:
            refined[part][hole] = 255
    return refined


def _below_knees(hints: BodyHints, shape: tuple[int, ...]) -> np.ndarray:
    """(H, W) bool: where a shadow on the ground may lie."""
    below = np.zeros(shape[:2], bool)
    knees = hints.confidence[[25, 26]] > SEEN
    if knees.any():
        below[max(0, int(hints.pose[[25, 26], 1][knees].max())) :] = True
    return below


def _work_region(mask: np.ndarray, hints: BodyHints) -> tuple[slice, slice] | None:
    """Rows and columns around everything that may belong to the person."""
    height, width = mask.shape
    rows, columns = np.flatnonzero((mask > 25).any(1)), np.flatnonzero((mask > 25).any(0))
    if len(rows) == 0:
        return None
    points = _sure_points(hints)
    low = np.array([columns[0], rows[0]], np.float64)
    high = np.array([columns[-1] + 1, rows[-1] + 1], np.float64)
    if len(points):
        low, high = np.minimum(low, points.min(0)), np.maximum(high, points.max(0))
    margin = 0.16 * hints.scale + 8
    x0, y0 = (max(0, int(v - margin)) for v in low)
    x1, y1 = min(width, int(high[0] + margin)), min(height, int(high[1] + margin))
    return slice(y0, y1), slice(x0, x1)


def _sure_points(hints: BodyHints) -> np.ndarray:
    """(P, 2) landmarks that are surely on the person."""
    return np.concatenate([hints.pose[hints.confidence > SEEN], *hints.hands])


def _end_discs(hints: BodyHints) -> tuple[np.ndarray, np.ndarray]:
    """(A, 2) points of hands and (B, 2) of feet in sight."""
    seen = hints.confidence > SEEN
    hands = [hints.pose[k] for k in HAND_POINTS if seen[k]]
    hands += [p for hand in hints.hands for p in hand]
    feet = [hints.pose[k] for k in FOOT_POINTS if seen[k]]
    empty = np.zeros((0, 2), np.float32)
    return (np.array(hands) if hands else empty), (np.array(feet) if feet else empty)


def _draw_parts(shape: tuple[int, ...], hints: BodyHints, half_width_m: float) -> np.ndarray:
    """(H, W) uint8: the bones in sight as thick lines, hands included."""
    canvas = _draw_hands(shape, hints)
    thickness = max(1, round(2 * half_width_m * hints.scale))
    for a, b in BONES:
        if min(hints.confidence[a], hints.confidence[b]) > 0.7:
            _line(canvas, hints.pose[a], hints.pose[b], thickness)
    return canvas


def _draw_hands(shape: tuple[int, ...], hints: BodyHints) -> np.ndarray:
    """(H, W) uint8: the fingers of the hands that were found, without the finger tips' rim."""
    canvas = np.zeros(shape[:2], np.uint8)
    thickness = max(1, round(0.006 * hints.scale))
    for hand in hints.hands:
        for first in (1, 5, 9, 13, 17):
            chain = [0, *range(first, first + 4)]
            for a, b in pairwise(chain):
                _line(canvas, hand[a], hand[b], thickness)
    return canvas


def _line(canvas: np.ndarray, a: np.ndarray, b: np.ndarray, thickness: int) -> None:
    (x0, y0), (x1, y1) = (np.round(np.clip(p, -4e3, 3e4)).astype(int).tolist() for p in (a, b))
    cv2.line(canvas, (x0, y0), (x1, y1), (1,), thickness)


def _draw_disc(canvas: np.ndarray, points: np.ndarray, radius: float) -> None:
    for p in points:
        cv2.circle(
            canvas, (round(float(p[0])), round(float(p[1]))), max(1, round(radius)), (1,), -1
        )


def _dilate(mask: np.ndarray, radius: int) -> np.ndarray:
    """Grow the non-zero part; by distance, since large kernels are slow."""
    if not mask.any():
        return mask
    distance = cv2.distanceTransform((mask == 0).astype(np.uint8), cv2.DIST_L2, 3)
    return (distance <= radius).astype(np.uint8)


def _erode(mask: np.ndarray, radius: int) -> np.ndarray:
    """Shrink the non-zero part; what lies beyond the picture counts as more of the same."""
    if mask.all():
        return mask
    distance = cv2.distanceTransform((mask != 0).astype(np.uint8), cv2.DIST_L2, 3)
    return (distance > radius).astype(np.uint8)
