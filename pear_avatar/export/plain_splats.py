"""Splats as plain arrays, ready to be written in any layout."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import get_args

import numpy as np

from pear_avatar.choices import SplatAxes
from pear_avatar.errors import PearError
from pear_avatar.splatting import Gaussians

__all__ = ["SH_C0", "PlainSplats", "plain_splats"]

logger = logging.getLogger(__name__)

#: The constant spherical harmonic: color = 0.5 + SH_C0 * coefficient.
SH_C0 = 0.28209479177387814


@dataclass(frozen=True)
class PlainSplats:
    """N finite splats in float32.

    means (N, 3) m; quats_wxyz (N, 4) of unit length; log_scales (N, 3); logit_opacities (N,);
    colors (N, 3) RGB.
    """

    means: np.ndarray
    quats_wxyz: np.ndarray
    log_scales: np.ndarray
    logit_opacities: np.ndarray
    colors: np.ndarray

    @property
    def count(self) -> int:
        """N."""
        return len(self.means)

    @property
    def opacities(self) -> np.ndarray:
        """(N,) in [0, 1]."""
        opacities: np.ndarray = 1 / (1 + np.exp(-self.logit_opacities))
        return opacities

    @property
    def sh0(self) -> np.ndarray:
        """(N, 3) coefficients of the constant spherical harmonic."""
        coefficients: np.ndarray = (self.colors - 0.5) / np.float32(SH_C0)
        return coefficients


def plain_splats(gaussians: Gaussians, axes: SplatAxes = "y-up") -> PlainSplats:
    """Check splats and turn their world; those that draw nothing (NaN, no rotation) are left out.

    Raises:
        ValueError: no splats, colours that are not RGB, or unknown axes.
    """
    if axes not in get_args(SplatAxes):
        raise ValueError(f"axes must be one of {get_args(SplatAxes)}, got {axes!r}")
    if gaussians.colors.shape[-1:] != (3,):
        raise PearError(f"only RGB splats can be written, got {tuple(gaussians.colors.shape)}")
    means, quats, scales, opacities, colors = (
        t.detach().float().cpu().numpy()
        for t in (
            gaussians.means,
            gaussians.quats_wxyz,
            gaussians.log_scales,
            gaussians.logit_opacities,
            gaussians.colors,
        )
    )
    lengths = np.linalg.norm(quats, axis=1)
    rows = np.concatenate([means, quats, scales, opacities[:, None], colors], axis=1)
    keep = np.isfinite(rows).all(axis=1) & (lengths > 0)
    if not keep.any():
        raise PearError(f"there is nothing to write: none of {len(means)} splats is finite")
    if not keep.all():
        logger.warning("left out %d splats that hold NaN or infinity", int((~keep).sum()))
    means, quats = means[keep], quats[keep] / lengths[keep, None]
    if axes == "y-down":  # half a turn about x
        means = means * np.array([1, -1, -1], np.float32)
        w, x, y, z = quats.T
        quats = np.stack([-x, w, -z, y], axis=1)
    return PlainSplats(means, quats, scales[keep], opacities[keep], colors[keep])
