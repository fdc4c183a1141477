"""Timing that stays fair on a machine with busy neighbours."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def seconds_of(call: Callable[[], Any]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def interleaved_medians(
    calls: Mapping[str, Callable[[], Any]],
    *,
    repeats: int = 11,
    warmup: int = 2,
    budget_seconds: float = 20.0,
) -> dict[str, float]:
    """Median milliseconds of each call.

    The calls take turns, so that a slow spell of the machine hits all of them. A call that has
    used its equal share of ``budget_seconds`` sits out the later rounds; each is timed at least
    once. Slow calls are warmed up once at most: their first run is timed too if it already used
    up half of the share.
    """
    share = budget_seconds / max(len(calls), 1)
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for name, call in calls.items():
        for _ in range(warmup):
            elapsed = seconds_of(call)
            if elapsed > share / 2:
                samples[name].append(elapsed)
                break
            if elapsed > share / 8:
                break
    for _ in range(repeats):
        for name, call in calls.items():
            if not samples[name] or sum(samples[name]) + samples[name][-1] < share:
                samples[name].append(seconds_of(call))
    return {name: 1e3 * statistics.median(times) for name, times in samples.items()}
