"""An avatar that follows a live person: proportions, face, legs, floor and feet."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.body.expressions import FacePose, face_from_arkit
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.live.foot_lock import FootLock
from pear_avatar.live.live_body import Legs, LiveBody, mirrored, mirrored_names, with_legs
from pear_avatar.motion.retarget.retarget import leg_length
from pear_avatar.types import BodyParams

__all__ = ["DriveSettings", "Neutral", "Puppet"]

_FEET = [JOINT_INDEX[f"{side}_{name}"] for side in ("left", "right") for name in ("ankle", "foot")]
#: Time constants in seconds with which the floor is found: down at once, up slowly.
_FLOOR_DOWN, _FLOOR_UP = 0.15, 4.0
#: The sole lies so far below the lowest joint of the foot, as a share of the leg.
_SOLE = 0.03


@dataclass(frozen=True)
class DriveSettings:
    """What of a person drives the avatar.

    mirror: left and right exchanged, as in a mirror.
    body, hands, face: whether they follow; otherwise they rest.
    legs: "auto", "track", "stand" or "sit".
    lock_feet: standing feet do not slide.
    """

    mirror: bool = True
    body: bool = True
    hands: bool = True
    face: bool = True
    legs: Legs = "auto"
    lock_feet: bool = True


@dataclass(frozen=True)
class Neutral:
    """What calibration fixed: the root's turn (3, 3) and the pelvis (3,) in m of a person who
    stands still and faces the camera."""

    turn: Tensor
    pelvis: Tensor


class Puppet:
    """One avatar on a floor at height 0, driven by live bodies."""

    def __init__(self, avatar: Avatar) -> None:
        self.avatar = avatar
        rest = avatar.body.joint_template
        self._rest = rest
        self._legs = float(leg_length(rest))
        self._height = float(rest[0, 1] - rest[_FEET, 1].min()) + _SOLE * self._legs
        self._lock = FootLock()
        self._floor: float | None = None
        self._tracked = False
        self._time = -math.inf
        names = tuple(avatar.body.arkit_names)
        self._other_side = mirrored_names(names) if names else []

    @torch.no_grad()
    def pose(
        self, body: LiveBody, settings: DriveSettings, neutral: Neutral, time: float
    ) -> BodyParams:
        """The avatar's parameters (no batch axes) at ``time`` seconds of the source.

        Args:
            body: the person, already predicted to that time.
            settings: what follows.
            neutral: the person's origin and heading.
            time: increasing.
        """
        rotations, pelvis = self._person(body, settings, neutral)
        rotations, self._tracked = with_legs(rotations, settings.legs, body.legs, self._tracked)
        face = self._face(body, settings)
        if face is not None:
            rotations = face.apply(rotations)
        expression = (
            torch.zeros(self.avatar.body.num_expression) if face is None else face.expression
        )
        way = pelvis * (self._legs / body.leg_length)
        params = BodyParams(self.avatar.betas, expression, rotations, way - self._rest[0])
        return self._on_floor(params, settings, time)

    def _person(
        self, body: LiveBody, settings: DriveSettings, neutral: Neutral
    ) -> tuple[Tensor, Tensor]:
        """Rotations and the pelvis relative to the neutral stance, mirrored where wished."""
        back = neutral.turn.transpose(-1, -2)
        rotations = body.params.rotations.clone()
        rotations[0] = back @ rotations[0]
        if not settings.body:
            rotations[:22] = torch.eye(3)
            for side, sign in (("left", -1.0), ("right", 1.0)):
                turn = torch.tensor([0.0, 0.0, sign * 1.15])
                rotations[JOINT_INDEX[f"{side}_shoulder"]] = axis_angle_to_matrix(turn)
        if not settings.hands:
            rotations[25:] = torch.eye(3)
        pelvis = back @ (body.params.transl + body.rest_pelvis - neutral.pelvis)
        if not settings.body:
            pelvis = torch.zeros(3)
        return mirrored(rotations, pelvis) if settings.mirror else (rotations, pelvis)

    def _face(self, body: LiveBody, settings: DriveSettings) -> FacePose | None:
        if not settings.face or not self._other_side:
            return None
        actions = body.actions[self._other_side] if settings.mirror else body.actions
        return face_from_arkit(self.avatar.body, actions)

    def _on_floor(self, params: BodyParams, settings: DriveSettings, time: float) -> BodyParams:
        """Stand on the floor; keep standing feet in place."""
        span = min(max(time - self._time, 1e-3), 0.5)
        self._time = time
        posed = self.avatar.body.shape(None, params.expression).pose(
            params.rotations, params.transl
        )
        joints = posed.joints
        lowest = float(joints[_FEET, 1].min()) - _SOLE * self._legs
        if not self._tracked or self._floor is None:
            self._floor = lowest
        else:
            constant = _FLOOR_DOWN if lowest < self._floor else _FLOOR_UP
            self._floor += (lowest - self._floor) * (1.0 - math.exp(-span / constant))
        shift = torch.tensor([0.0, -self._floor, 0.0])
        if settings.lock_feet and self._tracked:
            shift = shift + self._lock.shift(joints, time)
        return replace(params, transl=params.transl + shift)
