"""The record of a running stage: curves by the step, checkpoints by the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from torch import Tensor

from pear_avatar.fitting.fit_state import Progress
from pear_avatar.types import ProgressFn

#: A curve has one point for so many steps: the mean over them.
CURVE_EVERY = 50


def curve_name(stage: str, term: str) -> str:
    """Name of a term's curve in a stage, as the report shows it."""
    return f"{stage}: {term}"


class StageRecorder:
    """Counts a stage's steps, keeps the curve of every term, and asks for checkpoints.

    A term that is computed at every n-th step, n times as heavy, is spread over all steps, so that
    the curves of a stage add up to that of its sum.
    """

    def __init__(
        self,
        progress: Progress,
        total: int,
        *,
        save: Callable[[], None],
        save_every: float,
        report: ProgressFn,
        record: Callable[[str, int, float], None],
    ) -> None:
        """Begin where ``progress`` stands.

        Args:
            progress: of the fit; its step, seconds and curves are kept up to date.
            total: steps of the stage.
            save: writes a checkpoint.
            save_every: seconds between checkpoints.
            report: called with (stage, steps done, total) for the user.
            record: called with (curve, step, value) for every new point of a curve.
        """
        self._progress, self._total, self._stage = progress, total, progress.stage
        self._save, self._save_every = save, save_every
        self._report, self._record = report, record
        self._saved = self._started = time.monotonic()
        self._spent = progress.seconds.get(self._stage, 0.0)
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    @property
    def seconds(self) -> float:
        """Time spent in this stage, earlier runs included."""
        return self._spent + time.monotonic() - self._started

    def tick(self, parts: Mapping[str, Tensor]) -> None:
        """Count one finished step with the parts () of its objective."""
        progress = self._progress
        progress.step += 1
        progress.seconds[self._stage] = self.seconds
        # Sums stay where the tensors are: a number read at every step would wait for a GPU.
        for name, part in parts.items():
            before = self._sums.get(name)
            self._sums[name] = part.detach() if before is None else before + part.detach()
        self._count += 1
        if progress.step % CURVE_EVERY == 0:
            self._add_points()
            self._report(self._stage, progress.step, self._total)
        if time.monotonic() - self._saved > self._save_every:
            self._save()
            self._saved = time.monotonic()

    def _add_points(self) -> None:
        means = {name: float(value) / self._count for name, value in self._sums.items()}
        for name, value in {"sum": sum(means.values()), **means}.items():
            curve = curve_name(self._stage, name)
            self._progress.curves.setdefault(curve, []).append((self._progress.step, value))
            self._record(curve, self._progress.step, value)
        self._sums, self._count = {}, 0
