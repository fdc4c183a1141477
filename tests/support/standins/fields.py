"""Smooth made-up directions where the open body has fewer than a licensed file."""

from __future__ import annotations

import numpy as np

__all__ = ["local_pose_dirs", "waves"]

_POSE_AMPLITUDE = 8e-4
_PARENT_SHARE = 0.3


def waves(points: np.ndarray, count: int, amplitude: float, seed: int) -> np.ndarray:
    """(V, 3, count) slow sines over space, metres; the same seed gives the same waves."""
    rng = np.random.default_rng(seed)
    wave = rng.normal(0, 8.0, (3, 3 * count))
    phase = rng.uniform(0, 2 * np.pi, 3 * count)
    field = amplitude * np.sin(points @ wave + phase)
    return np.asarray(field.reshape(len(points), 3, count))


def local_pose_dirs(
    points: np.ndarray, weights: np.ndarray, parents: tuple[int, ...], seed: int
) -> np.ndarray:
    """(V, 3, 9 (J - 1)) small correctives, each near the joint that drives it.

    weights (V, J) are the skinning weights.
    """
    joints = len(parents)
    near = weights[:, 1:] + _PARENT_SHARE * weights[:, list(parents[1:])]
    field = waves(points, 9 * (joints - 1), _POSE_AMPLITUDE, seed)
    return np.asarray(field * near.repeat(9, axis=1)[:, None])
