"""Between detections, and ahead of them: where the body is at the moment of drawing.

Detections come at half the rate of drawing and some 50 ms late. Each one updates a one-euro
filter (Casiez, Roussel and Vogel 2012); the drawn pose is the filtered one moved on by a damped
speed, so that motion is neither stepped nor late, and stops where detections stop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from pear_avatar.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from pear_avatar.recovery.smoothing import BodyFilterState, one_euro_body
from pear_avatar.types import BodyParams

__all__ = ["PosePredictor"]

#: Farthest look ahead in seconds; beyond it the pose holds.
_REACH = 0.12
#: Time constant in seconds with which a speed that was not confirmed dies away.
_FADE = 0.08
#: Time constant of the speed's own smoothing, seconds.
_SPEED_MEMORY = 0.06
#: Share of the new speed's excess that is believed: detectors overshoot when motion stops.
_TRUST = 0.8
#: Fastest turn (rad/s) and walk (m/s) that is carried on; more is a jump of the detector.
_MOST_TURN, _MOST_WALK = 12.0, 4.0


@dataclass(frozen=True)
class _Speeds:
    """Angular speed (55, 3) rad/s in each joint's own frame, translation (3,) m/s, expression."""

    turn: Tensor
    walk: Tensor
    face: Tensor


class PosePredictor:
    """Filtered, predicted poses of one person; not for use from two threads at once."""

    def __init__(self) -> None:
        self._filter: BodyFilterState | None = None
        self._pose: BodyParams | None = None
        self._time = -math.inf
        self._speeds: _Speeds | None = None

    @property
    def last_time(self) -> float:
        """Source time of the newest pose, seconds; minus infinity before the first."""
        return self._time

    def push(self, params: BodyParams, time: float) -> None:
        """Take in one detected pose (no batch axes) of source time ``time`` in seconds.

        A time that does not increase is left out.
        """
        if not time > self._time:
            return
        self._filter, steady = one_euro_body(self._filter, params, time)
        if self._pose is not None:
            self._speeds = self._updated(steady, time - self._time)
        self._pose, self._time = steady, time

    def at(self, time: float) -> BodyParams | None:
        """The pose at ``time`` (seconds of the source); None before the first detection."""
        if self._pose is None or self._speeds is None:
            return self._pose
        ahead = min(max(time - self._time, 0.0), _REACH)
        # The way of a speed that dies away: v * fade * (1 - exp(-t / fade)).
        reach = _FADE * (1.0 - math.exp(-ahead / _FADE))
        speeds, pose = self._speeds, self._pose
        return replace(
            pose,
            rotations=pose.rotations @ axis_angle_to_matrix(speeds.turn * reach),
            transl=pose.transl + speeds.walk * reach,
            expression=pose.expression + speeds.face * reach,
        )

    def _updated(self, new: BodyParams, span: float) -> _Speeds:
        assert self._pose is not None
        old = self._pose
        turn = matrix_to_axis_angle(old.rotations.transpose(-1, -2) @ new.rotations) / span
        walk = (new.transl - old.transl) / span
        face = (new.expression - old.expression) / span
        now = _Speeds(
            _limited(turn, _MOST_TURN) * _TRUST, _limited(walk, _MOST_WALK) * _TRUST, face * _TRUST
        )
        if self._speeds is None:
            return now
        keep = math.exp(-span / _SPEED_MEMORY)
        last = self._speeds
        return _Speeds(
            now.turn + keep * (last.turn - now.turn),
            now.walk + keep * (last.walk - now.walk),
            now.face + keep * (last.face - now.face),
        )


def _limited(speed: Tensor, most: float) -> Tensor:
    size = speed.norm(dim=-1, keepdim=True)
    return speed * (most / size.clamp_min(1e-9)).clamp_max(1.0)
