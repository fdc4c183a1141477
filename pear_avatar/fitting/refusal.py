"""Crops that the fitted body does not explain are refused: trusted and wrong is worse than short.

Tracking may put limbs where a blur was, or on another person who passed. Once shape and pose have
been fitted to the silhouettes, a crop whose silhouette still disagrees shows another pose than the
one that would be learnt from it. The whole fit's picture is judged once more at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from pear_avatar.evaluation.metrics import iou
from pear_avatar.fitting.details import Detail
from pear_avatar.fitting.fit_scene import Scene, leaves_of, render_frame
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.fitting.frame_poses import interpolated_pose
from pear_avatar.fitting.frames import FrameSet, Split

SILHOUETTE_DISAGREES = "silhouette disagrees"
PICTURE_DISAGREES = "picture disagrees"

#: overlap of silhouettes, and mean colour error inside both, that a crop is refused for when it
#: is also this much worse than the clip's median
_LEAST_OVERLAP, _OVERLAP_GAP = 0.75, 0.12
_MOST_COLOR, _COLOR_RATIO = 0.10, 2.0
#: at most this share of a clip is refused: beyond it the body is wrong, not the frames
_MOST_REFUSED = 0.4


@dataclass(frozen=True)
class Agreement:
    """How N crops agree with the avatar: overlap (N,) IoU, color (N,) mean absolute error."""

    overlap: np.ndarray
    color: np.ndarray


@torch.no_grad()
def measure_agreement(scene: Scene, state: FitState) -> Agreement:
    """Draw every crop in its present pose and compare where it is valid."""
    frames = scene.frames
    fitted = frames.indices(Split.FITTED)
    overlap, color = np.ones(len(frames)), np.zeros(len(frames))
    for i in range(len(frames)):
        leaves = leaves_of(state, interpolated_pose(state, fitted, i), refine=frozenset())
        out = render_frame(scene, state, i, leaves)
        image, mask, valid = scene.target(i)
        alpha = out.alpha[..., 0] * (valid > 0.5)
        overlap[i] = float(iou(alpha, mask * (valid > 0.5)))
        both = (alpha > 0.9) & (mask > 0.9)
        if bool(both.any()):
            difference = (out.color.permute(2, 0, 1) - image).abs().mean(0)
            color[i] = float(difference[both].mean())
    return Agreement(overlap, color)


def refused_by_silhouette(frames: FrameSet, agreement: Agreement) -> list[int]:
    """Ascending positions of the crops whose silhouette disagrees.

    A held-out crop has the pose of its neighbours, so it goes with them alone: its own error is
    what it is there to measure.
    """
    limit = min(_LEAST_OVERLAP, float(np.median(agreement.overlap)) - _OVERLAP_GAP)
    bad = (agreement.overlap < limit) & (frames.split == Split.FITTED)
    kept = _worst(bad, -agreement.overlap)
    near = bridged(kept, frames.split == Split.HELD_OUT)
    return [int(i) for i in np.flatnonzero(kept | near)]


def refused_by_picture(frames: FrameSet, agreement: Agreement) -> list[int]:
    """Ascending positions of the crops whose colours disagree though the silhouettes meet."""
    fitted = frames.split == Split.FITTED
    limit = max(_MOST_COLOR, _COLOR_RATIO * float(np.median(agreement.color[fitted])))
    bad = _worst((agreement.color > limit) & fitted, agreement.color)
    return [int(i) for i in np.flatnonzero(bad)]


def _worst(refused: np.ndarray, badness: np.ndarray) -> np.ndarray:
    """(N,) bool: the refused ones, the worst of them where they are more than may be refused."""
    most = int(_MOST_REFUSED * len(refused))
    rows = np.flatnonzero(refused)
    rows = rows[np.argsort(-badness[rows], kind="stable")[:most]]
    return np.isin(np.arange(len(refused)), rows)


def bridged(refused: np.ndarray, between: np.ndarray) -> np.ndarray:
    """(N,) bool: of the crops ``between``, those whose neighbours on both sides are refused."""
    before = np.r_[False, refused[:-1]]
    after = np.r_[refused[1:], False]
    found: np.ndarray = between & before & after
    return found


def without_crops(frames: FrameSet, refused: list[int]) -> FrameSet:
    """The same crops, some of which nothing is learnt from or measured on any more."""
    split = frames.split.copy()
    split[refused] = Split.REFUSED
    return replace(frames, split=split)


def without_details(details: dict[str, Detail], refused: list[int]) -> dict[str, Detail]:
    """Likewise the close-ups of those crops."""
    return {
        part: replace(
            detail,
            frames=without_crops(
                detail.frames, np.flatnonzero(np.isin(detail.crop, refused)).tolist()
            ),
        )
        for part, detail in details.items()
    }
