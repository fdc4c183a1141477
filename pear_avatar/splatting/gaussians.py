"""Splats before activation, as avatars, fits and exports hold them, and their picture."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor

from pear_avatar.splatting.api import BackendName, rasterise
from pear_avatar.types import Camera, RenderOutput

__all__ = ["Gaussians"]


@dataclass(frozen=True)
class Gaussians:
    """Splats in world space, before activation.

    means (N, 3) m; quats_wxyz (N, 4), normalised on use; log_scales (N, 3), log metres;
    logit_opacities (N,); colors (N, D) linear in display RGB, D = 3 unless features are used.
    """

    means: Tensor
    quats_wxyz: Tensor
    log_scales: Tensor
    logit_opacities: Tensor
    colors: Tensor

    def to(self, *args: Any, **kwargs: Any) -> Gaussians:
        """The same splats on another device or in another dtype."""
        return Gaussians(*(getattr(self, f.name).to(*args, **kwargs) for f in fields(self)))

    @property
    def count(self) -> int:
        """Number of splats."""
        return int(self.means.shape[0])

    def render(
        self, camera: Camera, background: Tensor | None = None, *, backend: BackendName = "auto"
    ) -> RenderOutput:
        """Draw the splats with :func:`~pear_avatar.splatting.api.rasterise`, differentiably.

        Args:
            camera: one camera, or a batch with leading axes (*C,).
            background: (D,) colour behind the splats; None leaves the result premultiplied on
                black, with its alpha.
            backend: as for :func:`~pear_avatar.splatting.api.rasterise`.

        Returns:
            Colour, alpha and depth with leading axes (*C,).

        Raises:
            ValueError: shapes, devices or settings do not fit together.
            ImportError: the back end is not installed; the message names the remedy.
        """
        return rasterise(
            self.means,
            self.quats_wxyz,
            self.log_scales.exp(),
            self.logit_opacities.sigmoid(),
            self.colors,
            camera=camera,
            background=background,
            backend=backend,
        )
