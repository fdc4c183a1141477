"""Where a posed body stands, in closed form: its landmarks must lie on their rays."""

from __future__ import annotations

import torch
from torch import Tensor

#: metres: landmarks further off count little. All are believed at first, for the guess may be
#: far off in depth; then the wild ones are let go step by step.
_KERNELS = (1e3, 0.4, 0.15, 0.05, 0.05)
#: trust in the network's own guess, as a share of the landmarks' weight: sideways, in depth
_PRIOR = (1e-3, 1e-3, 5e-5)


def place(points: Tensor, rays: Tensor, weight: Tensor, guess: Tensor) -> Tensor:
    """Translations (B, 3) that put landmarks onto their rays, by robust least squares.

    Args:
        points: (B, P, 3) metres about any origin, in axes with y up and the camera along -z.
        rays: (B, P, 2) of the detected landmarks.
        weight: (B, P) >= 0.
        guess: (B, 3) where the origin is thought to be; decides where nothing was seen.
    """
    x, y, z = points.unbind(-1)
    u, v = rays.unbind(-1)
    one, zero = torch.ones_like(u), torch.zeros_like(u)
    # x + tx + u (z + tz) = 0 and y + ty - v (z + tz) = 0, both linear in t.
    rows = torch.cat([torch.stack([one, zero, u], -1), torch.stack([zero, one, -v], -1)], 1)
    wanted = torch.cat([-x - u * z, -y + v * z], 1)
    trust = weight.sum(1).clamp_min(1e-3)
    prior = torch.diag_embed(points.new_tensor(_PRIOR) * trust[:, None])
    t, square = guess, torch.zeros_like(u)
    for kernel in _KERNELS:
        robust = weight / (1 + square / kernel**2)
        weighted = rows * torch.cat([robust, robust], 1)[..., None]
        normal = weighted.transpose(1, 2) @ rows + prior
        right = (weighted * wanted[..., None]).sum(1) + (prior @ guess[..., None])[..., 0]
        t = torch.linalg.solve(normal, right)
        square = ((rows @ t[..., None])[..., 0] - wanted).unflatten(1, (2, -1)).square().sum(1)
    # People stand in front of the camera.
    behind = (points[..., 2].amax(1) + t[:, 2]) > -0.05
    return torch.where(behind[:, None], guess, t)
