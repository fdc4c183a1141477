"""Feet that stay where they stand, by moving the whole body and nothing else.

The root of a body seen by one camera wavers by centimetres, and with it the feet. A foot that is
low and slow stands; while it does, the body is shifted so that this foot does not move. The
shift never jumps: it goes from one standing foot to the next, and dies away in the air.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX

__all__ = ["FootLock"]

_FEET = tuple(
    (JOINT_INDEX[f"{side}_ankle"], JOINT_INDEX[f"{side}_foot"]) for side in ("left", "right")
)
#: A foot stands below this height over the lower foot's (m) and this speed (m/s); it goes above
#: the second ones.
_ENTER = (0.05, 0.35)
_LEAVE = (0.09, 0.8)
#: Time constant of the smoothed foot speed, and of a shift that no foot asks for, seconds.
_SPEED_MEMORY, _FREE = 0.12, 0.6
#: How fast the place of a standing foot gives way to where the camera sees it, m/s.
_CREEP = 0.004
#: A shift beyond this is a step that was missed: the foot is let go.
_MOST = 0.3


@dataclass
class _Foot:
    last: Tensor | None = None
    speed: float = 0.0
    standing: bool = False
    since: float = 0.0


class FootLock:
    """Shifts for one driven body, frame by frame."""

    def __init__(self) -> None:
        self._feet = (_Foot(), _Foot())
        self._anchor: Tensor | None = None
        self._stance: int | None = None
        self._shift = torch.zeros(3)
        self._time = -math.inf

    def shift(self, joints: Tensor, time: float) -> Tensor:
        """(3,) metres to add to the body, horizontal.

        Args:
            joints: (55, 3) metres, posed, y up, not shifted yet.
            time: seconds; increasing.
        """
        span = min(max(time - self._time, 1e-3), 0.5)
        self._time = time
        places = [joints[list(pair)].mean(0) for pair in _FEET]
        ground = float(torch.stack([joints[list(pair), 1].min() for pair in _FEET]).min())
        for foot, place in zip(self._feet, places, strict=True):
            self._judge(foot, place, float(place[1]) - ground, span, time)
        self._choose(places)
        self._follow(places, span)
        return self._shift.clone()

    def _judge(self, foot: _Foot, place: Tensor, height: float, span: float, time: float) -> None:
        moved = 0.0 if foot.last is None else float((place - foot.last)[[0, 2]].norm()) / span
        foot.last = place.clone()
        foot.speed += (moved - foot.speed) * (1.0 - math.exp(-span / _SPEED_MEMORY))
        # The middle of a flat foot lies a few centimetres above the lowest joint.
        most_height, most_speed = _LEAVE if foot.standing else _ENTER
        stands = height < most_height + 0.06 and foot.speed < most_speed
        if stands and not foot.standing:
            foot.since = time
        foot.standing = stands

    def _choose(self, places: list[Tensor]) -> None:
        """The foot that has stood longest holds the body."""
        if self._stance is not None and self._feet[self._stance].standing:
            return
        standing = [k for k in (0, 1) if self._feet[k].standing]
        self._stance = min(standing, key=lambda k: self._feet[k].since) if standing else None
        self._anchor = None if self._stance is None else places[self._stance] + self._shift

    def _follow(self, places: list[Tensor], span: float) -> None:
        if self._stance is None or self._anchor is None:
            self._shift = self._shift * math.exp(-span / _FREE)
            return
        place = places[self._stance]
        apart = place - self._anchor
        apart[1] = 0.0
        size = float(apart.norm())
        self._anchor = self._anchor + apart * (min(_CREEP * span, size) / max(size, 1e-9))
        shift = self._anchor - place
        shift[1] = 0.0
        if float(shift.norm()) > _MOST:
            self._stance = self._anchor = None
            return
        self._shift = shift
