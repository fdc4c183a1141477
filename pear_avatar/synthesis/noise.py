"""Smooth value noise in the plane, for everything procedural."""

from __future__ import annotations

import numpy as np


class ValueNoise:
    """Bilinear noise over one random table that repeats every 256 lattice steps.

    Args:
        seed: the same seed gives the same noise.
    """

    def __init__(self, seed: int) -> None:
        self._table = np.random.default_rng([seed, 3]).random((256, 256)).astype(np.float32)

    def value(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Noise in [0, 1] with a lattice of 1."""
        i, j = np.floor(x), np.floor(y)
        fx, fy = x - i, y - j
        fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
        a, b = i.astype(np.int64) & 255, j.astype(np.int64) & 255
        t = self._table
        low = t[b, a] * (1 - fx) + t[b, (a + 1) & 255] * fx
        high = t[(b + 1) & 255, a] * (1 - fx) + t[(b + 1) & 255, (a + 1) & 255] * fx
        mixed: np.ndarray = low * (1 - fy) + high * fy
        return mixed

    def fractal(self, x: np.ndarray, y: np.ndarray, octaves: int) -> np.ndarray:
        """Sum of octaves, in [0, 1]."""
        total, weight = np.zeros_like(x), 0.0
        for k in range(octaves):
            total = total + self.value(x * 2**k + 17 * k, y * 2**k + 31 * k) / 2**k
            weight += 0.5**k
        return total / weight
