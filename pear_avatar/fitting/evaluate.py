"""Figures of the fit on the frames it did not see, by the protocol of evaluation.metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pear_avatar.evaluation.metrics import (
    Distance,
    MetricDict,
    PerceptualMetric,
    TruthDistances,
    average_metrics,
    masked_crop_metrics,
)
from pear_avatar.evaluation.perceptual import Perceptual
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_scene import Pose, Scene, leaves_of, render_frame
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.fitting.frame_poses import interpolated_pose, refit_pose, zero_pose
from pear_avatar.fitting.frames import Split

#: pixels of a crop whose ``valid`` is below this were left out
_VALID = 127

PoseOf = Callable[[int], Pose]


@dataclass(frozen=True)
class Evaluator:
    """Renders held-out crops and measures them.

    threads: for the perceptual network, whose convolutions are worth sharing; the rest of a fit
        keeps torch to one thread.
    """

    scene: Scene
    state: FitState
    config: FittingConfig
    perceptual: Perceptual | None
    threads: int = 1

    @property
    def metric(self) -> PerceptualMetric | None:
        """The perceptual metric on all threads."""
        if self.perceptual is None:
            return None
        return _Threaded(self.perceptual, self.threads)

    def tracked(self, _: int) -> Pose:
        """The pose as tracked."""
        return zero_pose(self.state)

    def interpolated(self, i: int) -> Pose:
        """The fitted neighbours' pose corrections."""
        return interpolated_pose(self.state, self.scene.frames.indices(Split.FITTED), i)

    def refitted(self, i: int) -> Pose:
        """The pose fitted to its own picture."""
        return refit_pose(self.scene, self.state, i, self.interpolated(i), self.config)

    def measure(
        self,
        indices: Sequence[int],
        poses: Mapping[str, PoseOf],
        *,
        perceptual: Sequence[str] = (),
        few: Sequence[str] = (),
        on_frame: Callable[[int], None] | None = None,
    ) -> dict[str, MetricDict | None]:
        """Mean figures over crops for several ways to pose them.

        Frame by frame, so that the truth's features are computed once for all poses. The
        perceptual metric costs as much as fifty renderings, so at most
        ``config.perceptual_frames`` of the crops, evenly spread, get it.

        Args:
            indices: the crops.
            poses: name -> a crop's pose.
            perceptual: names that get the perceptual metric.
            few: names that are measured on at most ``config.refit_frames`` crops.
            on_frame: called with the number of crops done.

        Returns:
            name -> figures; None without any crop.
        """
        some = spread(indices, self.config.refit_frames)
        metric = set(spread(some if few else indices, self.config.perceptual_frames))
        rows: dict[str, list[tuple[MetricDict, bool]]] = {name: [] for name in poses}
        for count, i in enumerate(indices):
            distances = self._distances(i) if perceptual and i in metric else None
            for name, pose_of in poses.items():
                if name in few and i not in some:
                    continue
                to_truth = distances if name in perceptual else None
                rows[name].append((self._frame(i, pose_of(i), to_truth), to_truth is not None))
            if on_frame is not None:
                on_frame(count + 1)
        return {name: _mean(found) for name, found in rows.items()}

    def _frame(self, i: int, pose: Pose, distances: TruthDistances | None) -> MetricDict:
        """Every figure for crop i in a given pose."""
        frames = self.scene.frames
        with torch.no_grad():
            leaves = leaves_of(self.state, pose, refine=frozenset())
            out = render_frame(self.scene, self.state, i, leaves)
        image, mask = self._truth(i)
        excluded = torch.from_numpy(frames.valid[i] <= _VALID).to(self.scene.device)
        return masked_crop_metrics(
            out.color, out.alpha[..., 0], image, mask, excluded, perceptual=distances
        )

    def _truth(self, i: int) -> tuple[Tensor, Tensor]:
        """Picture (h, w, 3) and mask (h, w) of crop i on the fit's device."""
        image, mask = (x.to(self.scene.device) for x in self.scene.frames.image(i))
        return image.permute(1, 2, 0), mask

    def _distances(self, i: int) -> TruthDistances | None:
        if self.perceptual is None:
            return None
        image, mask = self._truth(i)
        return TruthDistances.to(self.perceptual.name, self._against, image, mask)

    def _against(self, truth: Tensor) -> Distance:
        assert self.perceptual is not None
        with torch_threads(self.threads):
            distance = self.perceptual.against(truth)

        def shared(x: Tensor) -> Tensor:
            with torch_threads(self.threads):
                return distance(x)

        return shared


@dataclass(frozen=True)
class _Threaded:
    """A perceptual metric that takes more of torch's threads than the fit around it."""

    inner: Perceptual
    threads: int

    @property
    def name(self) -> str:
        return self.inner.name

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        with torch_threads(self.threads):
            return self.inner(x, y)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use some threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def spread(indices: Sequence[int], count: int) -> list[int]:
    """At most ``count`` of the indices, evenly spread."""
    if len(indices) <= count:
        return list(indices)
    pick = np.linspace(0, len(indices) - 1, count).round().astype(int)
    return [indices[k] for k in pick]


def _mean(rows: Sequence[tuple[MetricDict, bool]]) -> MetricDict | None:
    """Means over frames; the perceptual ones over the frames that have them."""
    if not rows:
        return None
    measured = [row for row, has_metric in rows if has_metric] or [row for row, _ in rows]
    perceptual = {k: v for k, v in average_metrics(measured).items() if "perceptual" in k}
    plain = [{k: v for k, v in row.items() if "perceptual" not in k} for row, _ in rows]
    return {**average_metrics(plain), **perceptual, "frames": float(len(rows))}
