"""Which way is up: the tilt of an uncalibrated camera, from how a clip's person stands.

Phones are held almost level but not quite, and high cameras look down: a camera taken as level
turns its own pitch into a lean of the person. The direction in which the clip's standing is
best explained, feet on one level floor and the mass over them, is found beside the motion.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize
from torch import Tensor

from pear_avatar.tracking.footing import (
    BALANCE_KERNEL,
    FLOOR_KERNEL,
    find_footing,
    footing_terms,
)
from pear_avatar.tracking.observations import Observations
from pear_avatar.tracking.robust import robust

#: seconds: errors of detections and stance that are so far apart in time are independent
_INDEPENDENT = 0.3
#: Cameras are rolled less than they are pitched, but a few stand askew: Student's t.
_ROLL_SHARE, _FREEDOM = 0.5, 2.0
_STARTS = ((0.0, 0.0), (0.0, 0.2), (0.0, -0.2))
_FIRST_STEP, _TOLERANCE, _MOST_TRIES = 0.1, 2e-3, 80


def find_up(o: Observations, speeds: Tensor, points: Tensor, rest: Tensor, sigma: float) -> Tensor:
    """(3,) against gravity in the solver's world, near its y axis.

    Args:
        o: the clip's measurements. speeds: (N, 2) m / s of the feet in the picture.
        points: (N, 33, 3) landmarks of the present state. rest: see :class:`.Footing`.
        sigma: radians, spread of an unknown camera's pitch.
    """

    evidence = 1.0 + float(o.time[-1] - o.time[0]) / _INDEPENDENT

    def direction(tilt: np.ndarray) -> Tensor:
        up = points.new_tensor([tilt[0], 1.0, tilt[1]])
        return up / up.norm()

    def cost(tilt: np.ndarray) -> float:
        up = direction(tilt)
        footing = find_footing(o, speeds, points, up, rest)
        balance, floor, _ = footing_terms(footing, points, up, o.time, 1.0, ground=1.0)
        total = points.new_zeros(())
        # A frame that does not stand is worth what one far from balance is: no tilt may win by
        # calling standing frames something else.
        for term, kernel, share in ((balance, BALANCE_KERNEL, 1.0), (floor, FLOOR_KERNEL, 0.5)):
            value = robust(term.residual(points).square().sum(-1), kernel)[0]
            on = term.weight.clamp(0, 1)
            rows = (on * value + (1 - on) * kernel**2).sum(1)
            total = total + share * rows.mean()
        square = (tilt / (sigma * np.array([_ROLL_SHARE, 1.0]))) ** 2
        prior = (_FREEDOM + 1) * np.log1p(square / _FREEDOM).sum()
        return evidence * float(total) + float(prior)

    found = [_descend(cost, start) for start in _STARTS]
    return direction(min(found, key=lambda result: result[1])[0])


def _descend(
    cost: Callable[[np.ndarray], float], start: tuple[float, float]
) -> tuple[np.ndarray, float]:
    simplex = np.array(start) + _FIRST_STEP * np.array([[0, 0], [1, 0], [0, 1]])
    found = minimize(
        cost,
        start,
        method="Nelder-Mead",
        options={"xatol": _TOLERANCE, "maxfev": _MOST_TRIES, "initial_simplex": simplex},
    )
    return found.x, float(found.fun)
