"""An avatar for tests in which nothing depends on what it looks like."""

from __future__ import annotations

import math

import torch

from pear_avatar.avatar.avatar import Avatar, SplatSet, personalise
from pear_avatar.avatar.binding import sample_surface
from pear_avatar.body import load_body


def grey_avatar(count: int, *, width: float = 0.02, logit_opacity: float = 3.0) -> Avatar:
    """The average body with ``count`` grey splats, each ``width`` metres wide."""
    body = load_body()
    betas = torch.zeros(body.num_betas)
    own = personalise(body, betas, torch.zeros_like(body.v_template))
    binding = sample_surface(own.v_template, own.faces, torch.ones(len(own.faces)), count, 0)
    splats = SplatSet(
        torch.zeros(count, 3),
        torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        torch.full((count, 3), math.log(width)),
        torch.full((count,), logit_opacity),
        torch.full((count, 3), 0.5),
    )
    return Avatar(own, binding, splats, betas)
