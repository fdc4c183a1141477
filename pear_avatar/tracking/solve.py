"""Levenberg-Marquardt over all frames at once."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch

from pear_avatar.tracking.arrow import solve_arrow
from pear_avatar.tracking.problem import Problem, energy, linearise
from pear_avatar.tracking.track_state import TrackState, retract

logger = logging.getLogger(__name__)

#: a start far from the minimum, and one that goes on where a like problem ended
FIRST_DAMPING, MIN_DAMPING = 1e-2, 1e-4
_MAX_DAMPING = 1e4


def minimise(
    problem: Problem,
    state: TrackState,
    steps: int,
    tolerance: float,
    on_step: Callable[[], None] | None = None,
    *,
    damping: float = FIRST_DAMPING,
) -> tuple[TrackState, float]:
    """At most ``steps`` linearisations from ``state``; the state reached and its energy.

    The energy never rises; the run ends early once two steps running lower it by less than the
    share ``tolerance``. The first step is damped by ``damping``: a state near the minimum needs
    little, and more of it makes steps so short that they look like the end.
    """
    best, idle = float(energy(problem, state)), 0
    for step in range(steps):
        system = linearise(problem, state)
        gain = 0.0
        while damping <= _MAX_DAMPING:
            try:
                candidate = retract(state, problem.layout, *solve_arrow(system, damping))
                value = float(energy(problem, candidate))
            except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
                value = float("inf")
            if value < best:
                gain, best, state = (best - value) / max(best, 1e-12), value, candidate
                damping = max(damping * 0.25, MIN_DAMPING)
                break
            damping *= 6
        logger.debug("step %d: energy %.1f, damping %.1e", step, best, damping)
        if on_step is not None:
            on_step()
        idle = idle + 1 if gain < tolerance else 0
        if idle >= 2 or damping > _MAX_DAMPING:
            break
    return state, best
