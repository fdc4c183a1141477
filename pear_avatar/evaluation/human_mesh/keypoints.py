"""Percentage of correct keypoints, with the length it is relative to said out loud.

``PCK@t`` counts a keypoint as right when it lies within ``t`` times a reference length of the
truth. Published figures differ in that length, and do not compare where they do: HMR2 and its
descendants (the COCO figures of PEAR among them) take the side of the square box about the
person; PCKh takes the head; older work the torso.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

__all__ = ["Score", "box_length", "pck", "torso_length"]


@dataclass(frozen=True)
class Score:
    """A share of keypoints, with what is needed to pool it with others.

    correct, counted: numbers of keypoints.
    """

    correct: int
    counted: int

    @property
    def share(self) -> float:
        """Correct of counted; NaN where nothing was counted."""
        return self.correct / self.counted if self.counted else float("nan")

    def __add__(self, other: Score) -> Score:
        return Score(self.correct + other.correct, self.counted + other.counted)


def pck(
    predicted: Tensor, target: Tensor, visible: Tensor, length: Tensor, threshold: float
) -> Score:
    """How many visible keypoints lie within ``threshold * length``.

    Args:
        predicted, target: (*B, K, 2) pixels. Predictions that are no numbers count as wrong.
        visible: (*B, K) bool; others are not counted.
        length: (*B,) pixels, such as :func:`box_length`.
        threshold: 0.05 and 0.1 are usual.

    Raises:
        ValueError: shapes differ, or a length is not positive.
    """
    if predicted.shape != target.shape or predicted.shape[-1] != 2:
        raise ValueError(
            "keypoints must have one shape (*B, K, 2), got "
            f"{tuple(predicted.shape)} and {tuple(target.shape)}"
        )
    if visible.shape != target.shape[:-1] or length.shape != target.shape[:-2]:
        raise ValueError(
            f"visible must be {tuple(target.shape[:-1])} and length {tuple(target.shape[:-2])}, "
            f"got {tuple(visible.shape)} and {tuple(length.shape)}"
        )
    if not bool((length[visible.any(-1)] > 0).all()):
        raise ValueError("reference lengths must be positive where a keypoint is visible")
    distance = (predicted.double() - target.double()).norm(dim=-1)
    near = distance <= threshold * length.double()[..., None]
    return Score(int((near & visible).sum()), int(visible.sum()))


def box_length(boxes_xyxy: Tensor) -> Tensor:
    """(*B,) the longer side of boxes (*B, 4): the side of the square box about the person."""
    return (boxes_xyxy[..., 2:] - boxes_xyxy[..., :2]).amax(-1)


def torso_length(target: Tensor, shoulder: int, hip: int) -> Tensor:
    """(*B,) distance of a shoulder and the opposite hip among keypoints (*B, K, 2)."""
    return (target[..., shoulder, :] - target[..., hip, :]).double().norm(dim=-1)
