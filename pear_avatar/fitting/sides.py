"""The sides that a clip hardly shows, kept in step with those that it shows well during a fit.

Each look at the fitted frames says how well every splat's own looks are known. A splat that is
hardly known takes after its partner on the other side (:mod:`pear_avatar.fitting.mirror`); where
neither is known its colour is made up (:mod:`pear_avatar.fitting.visibility`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.fitting.materials import Materials
from pear_avatar.fitting.mirror import (
    Partners,
    light_between_sides,
    share_of_partner,
    take_after,
)
from pear_avatar.fitting.visibility import (
    Observed,
    fill_unseen,
    neighbours_on_surface,
    seen_share,
)

#: splats seen edge-on alone learn at this share of the rate after the late look, so that the filmed
#: view stays good while they keep what their partner and material give them
_EDGE_RATE = 0.35
#: at the early and last looks only what is seen less than this is made up: the rest has learnt
_KEPT = 0.25
#: how far a splat's colour may lie from the mean of the pixels that show it, and how much of them
#: (mean facing^4) it takes to know that mean. A splat under half-transparent neighbours can take
#: any colour at no cost to the fitted pictures; it shows from elsewhere and where it is copied to
_COLOR_BOUND, _COLOR_KNOWN = 0.12, 0.002


class Sides:
    """Mirror partners and materials of one fit's splats, and what was last seen of them."""

    def __init__(self, body: BodyModel, state: FitState, *, mirror: bool, materials: bool) -> None:
        """Pair up the splats and find their regions; changes nothing."""
        self._body = body
        self._partners = Partners.of(body, state.binding) if mirror else None
        self._materials = Materials(body, state.binding) if materials else None
        self._ring = neighbours_on_surface(body, state, 8)
        self._light = torch.zeros_like(state.splats["colors"])
        self._low = torch.zeros_like(self._light)
        self._high = torch.ones_like(self._light)

    def note(self, state: FitState, observed: Observed) -> None:
        """Take in what the frames show; brings colours within the bounds that follow from it."""
        self._evidence = observed.evidence
        known = (observed.weight > _COLOR_KNOWN)[:, None]
        self._low = torch.where(known, observed.color - _COLOR_BOUND, torch.zeros_like(self._low))
        self._high = torch.where(known, observed.color + _COLOR_BOUND, torch.ones_like(self._high))
        self.bound(state)
        self._shown = torch.where(known, observed.color, state.splats["colors"])
        if self._partners is None:
            return
        state.mirrored.copy_(share_of_partner(self._partners, observed.evidence))
        self._light = light_between_sides(
            state.splats["colors"], self._partners, observed.evidence, self._ring
        )

    def look(self, state: FitState, observed: Observed, *, strict: bool) -> None:
        """Take in what the frames show and remake the rest; sets how fast each splat may learn.

        ``strict``: splats that are seen edge-on alone are remade too, and learn slowly afterwards.
        """
        self.note(state, observed)
        seen = seen_share(observed.weight)
        state.seen.copy_(torch.maximum(observed.evidence, _EDGE_RATE * seen) if strict else seen)
        self.remake(state, observed.evidence if strict else (seen / _KEPT).clamp(0, 1))

    def remake(self, state: FitState, kept: Tensor) -> None:
        """Mirror and fill in place; ``kept`` (N,) says how much of its own looks each keeps."""
        self.follow(state)
        kept = torch.maximum(kept, state.mirrored)
        known, looks = self._evidence, self._shown
        if self._partners is not None:
            theirs = self._evidence[self._partners.index]
            known = torch.maximum(known, state.mirrored * theirs)
            mirrored = (self._shown[self._partners.index] * self._light.exp()).clamp(0, 1)
            looks = torch.lerp(looks, mirrored, state.mirrored[:, None])
        fill_unseen(self._body, state, kept, known=known, looks=looks, materials=self._materials)

    def bound(self, state: FitState) -> None:
        """Hold colours near the pixels that show them, in place."""
        colors = state.splats["colors"]
        torch.minimum(torch.maximum(colors, self._low), self._high, out=colors)

    def follow(self, state: FitState) -> None:
        """Colours keep to the clip, and hardly shown splats to their partners, in place."""
        self.bound(state)
        if self._partners is not None:
            take_after(state, self._partners, state.mirrored, self._light)

    def finish(self, state: FitState, observed: Observed) -> None:
        """The last look: only what the clip hardly shows is made up again."""
        self.note(state, observed)
        state.seen.copy_(seen_share(observed.weight))
        self.remake(state, (state.seen / _KEPT).clamp(0, 1))


def origins(state: FitState) -> Tensor:
    """(N, 3) where a finished fit's looks come from, rows sum to 1: the clip, mirror, made up."""
    own = (1 - state.mirrored) * (state.seen / _KEPT).clamp(0, 1)
    return torch.stack([own, state.mirrored, 1 - own - state.mirrored], 1)
