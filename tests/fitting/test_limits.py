"""Bounds of the splats: the C++ core and its twin."""

from __future__ import annotations

import torch

from pear_avatar.body import load_body
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_state import new_state
from pear_avatar.fitting.limits import SplatLimits


def test_the_core_bounds_splats_as_torch_does():
    config = FittingConfig(num_splats=300)
    body = load_body()
    ends = []
    for backend in ("cpu", "torch"):
        g = torch.Generator().manual_seed(0)
        state = new_state(body, torch.zeros(body.num_betas), 1, config)
        limits = SplatLimits(body, state, config.limits)
        for name, size in (("offsets", 0.02), ("log_scales", 2.0), ("local_quats", 1.0)):
            state.splats[name] += size * torch.randn(state.splats[name].shape, generator=g)
        state.splats["logit_opacities"] += 8 * torch.randn(300, generator=g)
        state.splats["colors"] += torch.randn(300, 3, generator=g)
        state.splats["local_quats"][3] = 0.0
        limits.apply(state, backend=backend)
        ends.append(state.splats)
    for name, ours in ends[0].items():
        torch.testing.assert_close(ours, ends[1][name], rtol=1e-5, atol=1e-7)
    assert ends[0]["offsets"].norm(dim=-1).max() <= config.limits.offset * 1.0001
