"""Scenes for the splatting workloads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.types import Camera

# A standing person of capsules: two end points and a radius each, metres, y up.
_TRUNK = (((0.0, 0.95, 0.0), (0.0, 1.45, 0.0), 0.16), ((0.0, 1.62, 0.0), (0.0, 1.70, 0.0), 0.11))
_LEFT_SIDE = (
    ((0.10, 0.90, 0.00), (0.14, 0.50, 0.03), 0.085),
    ((0.14, 0.50, 0.03), (0.15, 0.08, -0.02), 0.06),
    ((0.15, 0.05, 0.00), (0.17, 0.03, 0.16), 0.04),
    ((0.20, 1.42, 0.00), (0.42, 1.20, 0.02), 0.055),
    ((0.42, 1.20, 0.02), (0.55, 1.00, 0.12), 0.045),
    ((0.56, 0.98, 0.13), (0.60, 0.88, 0.16), 0.04),
)


@dataclass(frozen=True)
class SplatScene:
    """Splats as rasterise() takes them."""

    means: Tensor
    quats_wxyz: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor

    def tensors(self) -> list[Tensor]:
        """The five tensors in the order of rasterise()."""
        return [self.means, self.quats_wxyz, self.scales, self.opacities, self.colors]


def capsule_person(count: int, seed: int = 0) -> SplatScene:
    """Flat splats all over the surface of a person of capsules, as wide as they lie apart."""
    g = torch.Generator().manual_seed(seed)
    mirrored = [
        tuple((-end[0], *end[1:]) if isinstance(end, tuple) else end for end in part)
        for part in _LEFT_SIDE
    ]
    parts = [*_TRUNK, *_LEFT_SIDE, *mirrored]
    start = torch.tensor([p[0] for p in parts])
    end = torch.tensor([p[1] for p in parts])
    radius = torch.tensor([p[2] for p in parts])
    area = 2 * math.pi * radius * ((end - start).norm(dim=1) + 2 * radius)
    part = torch.multinomial(area, count, replacement=True, generator=g)
    normal = torch.nn.functional.normalize(torch.randn(count, 3, generator=g), dim=1)
    along = torch.rand(count, 1, generator=g)
    means = torch.lerp(start[part], end[part], along) + radius[part, None] * normal
    # The shortest turn from z to the normal.
    z = torch.tensor([0.0, 0.0, 1.0]).expand_as(normal)
    quats = torch.cat((1 + normal[:, 2:], torch.linalg.cross(z, normal)), dim=1)
    spacing = math.sqrt(float(area.sum()) / count)
    scales = 0.7 * spacing * torch.exp(0.25 * torch.randn(count, 3, generator=g))
    scales[:, 2] *= 0.25
    opacities = torch.sigmoid(1.5 + torch.randn(count, generator=g))
    return SplatScene(
        means,
        quats / quats.norm(dim=1, keepdim=True),
        scales,
        opacities,
        torch.rand(count, 3, generator=g),
    )


def full_figure_camera(side: int) -> Camera:
    """A square camera 3 m in front of the person, who covers about a sixth of the image."""
    pose = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    pose[1, 3], pose[2, 3] = 0.9, 3.0
    focal = 1.5 * side
    K = torch.tensor([[focal, 0.0, side / 2], [0.0, focal, side / 2], [0.0, 0.0, 1.0]])
    return Camera(K, pose, side, side)
