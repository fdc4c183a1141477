"""The input of a rasteriser back end: checked splats, flat cameras and settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

ALPHA_MIN = 1.0 / 255.0
"""A splat adds nothing to a pixel where its alpha is below this."""
ALPHA_MAX = 0.999
"""Alpha is clamped to this from above."""
TRANSMITTANCE_MIN = 1e-4
"""A pixel stops before the splat that would take its transmittance to or below this."""


@dataclass(frozen=True)
class Splats:
    """Activated splats in world space on one device.

    means (N, 3) m; quats_wxyz (N, 4), normalised on use; scales (N, 3) m; opacities (N,) in
    [0, 1]; colors (N, D).
    """

    means: Tensor
    quats_wxyz: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor


@dataclass(frozen=True)
class View:
    """C cameras with one image size, and how to draw.

    K: (C, 3, 3) pixels. T_camera_world: (C, 4, 4). background: (D,) or None.
    eps2d: pixels^2 added to the diagonal of each screen covariance.
    near, far: splats at a camera-space z outside of (near, far) metres are culled.
    """

    K: Tensor
    T_camera_world: Tensor
    width: int
    height: int
    background: Tensor | None
    eps2d: float
    near: float
    far: float


Images = tuple[Tensor, Tensor, Tensor]
"""color (C, H, W, D), alpha (C, H, W, 1), depth (C, H, W, 1)."""

Backend = Callable[[Splats, View], Images]
