"""Figures of the fit on the frames it did not see, by the protocol of evaluation.metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from pear_avatar.evaluation.metrics import MetricDict, average_metrics, masked_crop_metrics
from pear_avatar.evaluation.perceptual import Perceptual
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_scene import Pose, Scene, leaves_of, render_frame
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.fitting.frame_poses import interpolated_pose, refit_pose, zero_pose
from pear_avatar.fitting.frames import Split

#: pixels of a crop whose ``valid`` is below this were left out
_VALID = 127
#: a crop whose mask nowhere exceeds this shows no person to measure
_IN_MASK = 127


@dataclass(frozen=True)
class Evaluator:
    """Renders held-out crops and measures them."""

    scene: Scene
    state: FitState
    config: FittingConfig
    perceptual: Perceptual | None

    def frame(self, i: int, pose: Pose, perceptual: Perceptual | None) -> MetricDict:
        """Every figure for crop i in a given pose."""
        frames = self.scene.frames
        with torch.no_grad():
            leaves = leaves_of(self.state, pose, refine=frozenset())
            out = render_frame(self.scene, self.state, i, leaves)
        image, mask = (x.to(self.scene.device) for x in frames.image(i))
        excluded = torch.from_numpy(frames.valid[i] <= _VALID).to(self.scene.device)
        return masked_crop_metrics(
            out.color, out.alpha[..., 0], image.permute(1, 2, 0), mask, excluded, perceptual
        )

    def mean(self, indices: list[int], pose_of: Callable[[int], Pose]) -> MetricDict | None:
        """Mean figures over crops in which the person's mask is not empty; None without any.

        The perceptual metric costs as much as fifty renderings, so at most
        ``config.perceptual_frames`` of the crops, evenly spread, get it.
        """
        indices = [i for i in indices if self.scene.frames.masks[i].max() > _IN_MASK]
        if not indices:
            return None
        chosen = set(_spread(indices, self.config.perceptual_frames))
        rows = [
            self.frame(i, pose_of(i), self.perceptual if i in chosen else None) for i in indices
        ]
        measured = [row for row, i in zip(rows, indices, strict=True) if i in chosen]
        perceptual = {k: v for k, v in average_metrics(measured).items() if "perceptual" in k}
        plain = [{k: v for k, v in row.items() if "perceptual" not in k} for row in rows]
        return {**average_metrics(plain), **perceptual, "frames": float(len(rows))}

    def tracked(self, indices: list[int]) -> MetricDict | None:
        """With the poses as tracked."""
        return self.mean(indices, lambda _: zero_pose())

    def interpolated(self, indices: list[int]) -> MetricDict | None:
        """With the fitted neighbours' pose corrections."""
        fitted = self.scene.frames.indices(Split.FITTED)
        return self.mean(indices, lambda i: interpolated_pose(self.state, fitted, i))

    def refitted(self, indices: list[int]) -> MetricDict | None:
        """With each pose fitted to its own picture, on at most ``refit_frames`` crops."""
        fitted = self.scene.frames.indices(Split.FITTED)

        def fit_to_picture(i: int) -> Pose:
            start = interpolated_pose(self.state, fitted, i)
            return refit_pose(self.scene, self.state, i, start, self.config)

        return self.mean(_spread(indices, self.config.refit_frames), fit_to_picture)


def _spread(indices: list[int], count: int) -> list[int]:
    """At most ``count`` of the indices, evenly spread."""
    if len(indices) <= count:
        return indices
    pick = np.linspace(0, len(indices) - 1, count).round().astype(int)
    return [indices[k] for k in pick]
