"""Finding what hides the person, or is stuck to the mask, without knowing what it is.

A thing in front of the person differs from the avatar in a thick blob, it has colours that the
avatar shows nowhere near, and it moves against the body: the same place on the person is fine in
most other frames. A limb that is a little off differs too, but its colours are close by; loose
hair or an open coat differ in most frames at the same place. Blobs of the first kind are left
out of the fit and of the main figures, their share is reported; the others stay in, and stay an
error.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from pear_avatar.fitting.fit_scene import Pose, Scene, leaves_of, render_frame
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.fitting.frames import FrameSet

#: difference (mean over RGB, worse of black and white background) that starts a blob
_DIFFERENT = 0.22
#: blob radius below which it may be a misaligned rim, as a share of the person's height
_MIN_RADIUS = 0.013
#: radius of a disc with the area of the smallest thing worth leaving out, likewise
_MIN_SIZE = 0.022
#: a place that differs in more than this share of the frames is the avatar's own fault
_PERSISTENT = 0.3
_COARSE = 8
#: colour distance (largest of RGB) from every nearby avatar pixel that makes a pixel foreign
_FOREIGN = 0.16
#: how far "nearby" reaches, as a share of the person's height, and the coarser grid it is
#: searched on
_NEARBY, _FOREIGN_GRID = 0.05, 4


@dataclass(frozen=True)
class Occluders:
    """Pixels hidden by something else: (N, h, w) bool, and their share of the person's box (N,)."""

    hidden: np.ndarray
    share: np.ndarray


@torch.no_grad()
def difference_maps(scene: Scene, state: FitState, poses: dict[int, Pose]) -> dict[int, np.ndarray]:
    """(h, w) float32 disagreement between avatar and picture for each crop in ``poses``.

    Zero where the avatar shows the picture's colour somewhere near: what is only displaced is
    not hidden.
    """
    height = _person_height(scene.frames.masks)
    out = {}
    for i, pose in poses.items():
        leaves = leaves_of(state, pose, refine=frozenset())
        render = render_frame(scene, state, i, leaves)
        color, mask, _ = scene.target(i)
        drawn, alpha = render.color.permute(2, 0, 1), render.alpha[..., 0]
        black = (drawn - color * mask).abs().mean(0)
        white = (drawn - color * mask + mask - alpha).abs().mean(0)
        foreign = foreign_colors(color, drawn, alpha, _NEARBY * height)
        out[i] = (torch.maximum(black, white) * foreign).cpu().numpy()
    return out


def foreign_colors(color: Tensor, drawn: Tensor, alpha: Tensor, radius: float) -> Tensor:
    """(h, w) 1 where no avatar pixel within ``radius`` px has the picture's colour, else 0.

    color (3, h, w) the picture; drawn (3, h, w) the avatar, premultiplied; alpha (h, w).
    """
    size = (max(1, color.shape[1] // _FOREIGN_GRID), max(1, color.shape[2] // _FOREIGN_GRID))
    shrink = torch.nn.functional.adaptive_avg_pool2d
    cover = shrink(alpha[None], size)[0]
    avatar = shrink(drawn, size) / cover.clamp_min(1e-3)
    avatar[:, cover < 0.5] = 10.0  # far from every colour
    picture = shrink(color, size)
    reach = max(1, round(radius / _FOREIGN_GRID))
    padded = torch.nn.functional.pad(avatar, (reach,) * 4, value=10.0)
    nearest = torch.full(size, torch.inf, device=color.device)
    for dy in range(2 * reach + 1):
        for dx in range(2 * reach + 1):
            if (dy - reach) ** 2 + (dx - reach) ** 2 <= reach**2:
                shifted = padded[:, dy : dy + size[0], dx : dx + size[1]]
                nearest = torch.minimum(nearest, (shifted - picture).abs().amax(0))
    foreign = (nearest > _FOREIGN).float()[None, None]
    return torch.nn.functional.interpolate(foreign, color.shape[1:], mode="nearest")[0, 0]


def _person_height(masks: np.ndarray) -> float:
    rows = (masks > 127).any(2).sum(1)
    return float(np.median(rows)) if len(rows) else 0.0


def _disc(radius: float) -> np.ndarray:
    size = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))


def _thick_blobs(difference: np.ndarray, height: float) -> np.ndarray:
    """(h, w) int32 labels of blobs too thick to be a shifted rim; 0 is background."""
    smooth = cv2.GaussianBlur(difference, (0, 0), max(1.0, 0.004 * height))
    rough = (smooth > _DIFFERENT).astype(np.uint8)
    closed = cv2.morphologyEx(rough, cv2.MORPH_CLOSE, _disc(0.008 * height))
    core = cv2.morphologyEx(closed, cv2.MORPH_OPEN, _disc(_MIN_RADIUS * height))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(core)
    small = stats[:, cv2.CC_STAT_AREA] < np.pi * (_MIN_SIZE * height) ** 2
    labels[small[labels]] = 0
    return labels


def _persistence(labels: dict[int, np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """How often each coarse cell of the person-centred crop lies in a blob, in [0, 1]."""
    total = np.zeros((-(-shape[0] // _COARSE), -(-shape[1] // _COARSE)))
    for label in labels.values():
        small = cv2.resize(
            (label > 0).astype(np.float32), total.shape[::-1], interpolation=cv2.INTER_AREA
        )
        total += small > 0.3
    return total / max(1, len(labels))


def _grow(blob: np.ndarray, difference: np.ndarray, height: float) -> np.ndarray:
    """The blob with its convex hull's clearly different pixels, and a safety rim."""
    points = cv2.findNonZero(blob.astype(np.uint8))
    hull = np.zeros(blob.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(points), (1.0,))
    reach = cv2.dilate(blob.astype(np.uint8), _disc(0.02 * height)) > 0
    grown = blob | (reach & (difference > 0.6 * _DIFFERENT)) | ((hull > 0) & reach)
    return cv2.dilate(grown.astype(np.uint8), _disc(0.006 * height)) > 0


def find_occluders(
    frames: FrameSet, differences: dict[int, np.ndarray], max_share: float
) -> Occluders:
    """Pixels to leave out, at most ``max_share`` of the person's box in each frame.

    differences: crop -> (h, w) from :func:`difference_maps`; frames without one have none.
    """
    n, h, w = frames.masks.shape
    hidden, share = np.zeros((n, h, w), bool), np.zeros(n)
    height = _person_height(frames.masks)
    if height < 32 or len(differences) < 4:
        return Occluders(hidden, share)
    labels = {i: _thick_blobs(d, height) for i, d in differences.items()}
    often = cv2.resize(
        _persistence(labels, (h, w)).astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR
    )
    for i, label in labels.items():
        box = box_area(frames.masks[i])
        blobs = [label == k for k in np.unique(label[label > 0])]
        blobs = [b for b in blobs if often[b].mean() < _PERSISTENT]
        blobs.sort(key=lambda b: -float(differences[i][b].sum()))
        for blob in blobs:
            grown = hidden[i] | _grow(blob, differences[i], height)
            if grown.sum() <= max_share * box:
                hidden[i] = grown
        share[i] = hidden[i].sum() / max(1, box)
    return Occluders(hidden, share)


def box_area(mask: np.ndarray) -> int:
    """Pixels in the bounding box of a mask (h, w) uint8; the whole picture where it is empty."""
    ys, xs = np.nonzero(mask > 127)
    if len(xs) == 0:
        return int(mask.size)
    return int((xs.max() - xs.min() + 1) * (ys.max() - ys.min() + 1))
