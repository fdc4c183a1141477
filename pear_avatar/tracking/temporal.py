"""Smoothness over time: second and first differences of every per-frame parameter.

The energy approximates the integrals of squared acceleration and speed over time, so it does
not depend on the frame rate, and the real time stamps of variable frame rates count.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: seconds: the frame period at which the spreads of :mod:`.priors` hold
_REFERENCE_PERIOD = 1 / 30
#: seconds: a longer gap than this couples its two sides no more weakly
_LONGEST_GAP = 0.5
_SHORTEST_GAP = 1e-3


@dataclass(frozen=True)
class Bands:
    """Symmetric banded matrix over frames, one per parameter: (N, P), (N-1, P), (N-2, P)."""

    main: Tensor
    first: Tensor
    second: Tensor


@dataclass(frozen=True)
class Smoothness:
    """Weights of one clip: gaps dt (N-1,) seconds, precisions (P,) of acceleration and speed."""

    dt: Tensor
    acceleration: Tensor
    speed: Tensor

    @property
    def num_frames(self) -> int:
        """Number of frames N."""
        return int(self.dt.shape[0]) + 1

    def _coefficients(self) -> tuple[Tensor, Tensor]:
        """Rows of both difference operators, scaled by sqrt(period): (N-2, 3) and (N-1, 2)."""
        a, b = self.dt[:-1], self.dt[1:]
        mean = (a + b) / 2
        before, after = 1 / (a * mean), 1 / (b * mean)
        scale = (mean / _REFERENCE_PERIOD).sqrt()[:, None]
        second = torch.stack([before, -before - after, after], dim=1) * scale
        rate = (1 / self.dt) * (self.dt / _REFERENCE_PERIOD).sqrt()
        return second, torch.stack([-rate, rate], dim=1)

    def bands(self) -> Bands:
        """The Hessian: exact for linear parameters."""
        c, v = self._coefficients()
        n, wa, ws = self.num_frames, self.acceleration, self.speed
        main = self.dt.new_zeros(n, len(wa))
        first = self.dt.new_zeros(n - 1, len(wa))
        for k in range(3):
            main[k : k + n - 2] += c[:, k : k + 1] ** 2 * wa
        for k in range(2):
            main[k : k + n - 1] += v[:, k : k + 1] ** 2 * ws
            first[k : k + n - 2] += (c[:, k] * c[:, k + 1])[:, None] * wa
        first += (v[:, 0] * v[:, 1])[:, None] * ws
        return Bands(main, first, (c[:, 0] * c[:, 2])[:, None] * wa)

    def energy(self, steps: Tensor) -> Tensor:
        """Half the weighted squares; ``steps`` (N-1, P) is what each parameter moves by."""
        accel, speed = self._differences(steps)
        return 0.5 * ((accel**2 * self.acceleration).sum() + (speed**2 * self.speed).sum())

    def gradient(self, steps: Tensor) -> Tensor:
        """(N, P) derivative of :meth:`energy` by the parameters."""
        accel, speed = self._differences(steps)
        c, v = self._coefficients()
        n = self.num_frames
        out = steps.new_zeros(n, steps.shape[1])
        for k in range(3):
            out[k : k + n - 2] += c[:, k : k + 1] * accel * self.acceleration
        for k in range(2):
            out[k : k + n - 1] += v[:, k : k + 1] * speed * self.speed
        return out

    def _differences(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        c, v = self._coefficients()
        accel = c[:, 2:] * steps[1:] - c[:, :1] * steps[:-1]
        return accel, v[:, 1:] * steps


def gaps(time: Tensor) -> Tensor:
    """(N-1,) seconds between frames, kept within sensible bounds."""
    return time.diff().clamp(_SHORTEST_GAP, _LONGEST_GAP)
