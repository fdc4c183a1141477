"""One frame's landmarks -> the person as a pose that can drive an avatar.

On top of the landmark lifter: hands that were lost are held and then relax, facial actions are
read against the person's neutral face, and the legs of people seen from the waist up stand or
sit as wished instead of being guessed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.mirror import mirrored_rotations
from pear_avatar.geometry.rotations import (
    axis_angle_to_matrix,
    matrix_to_quat_wxyz,
    quat_wxyz_to_matrix,
    slerp_wxyz,
)
from pear_avatar.motion.retarget.retarget import leg_length
from pear_avatar.recovery.lifter.lifter import LiftedClip, Lifter, relaxed_fingers
from pear_avatar.types import BodyParams, Camera, ClipDetections

__all__ = [
    "HandMemory",
    "Legs",
    "LiveBody",
    "LiveReader",
    "mirrored",
    "mirrored_names",
    "with_legs",
]

Legs = Literal["auto", "track", "stand", "sit"]

_LEG_LANDMARKS = (25, 26, 27, 28)
_LEG_JOINTS = tuple(
    JOINT_INDEX[f"{side}_{name}"]
    for side in ("left", "right")
    for name in ("hip", "knee", "ankle", "foot")
)
#: Mean visibility of knees and ankles from which on, and below which, legs are tracked.
_LEGS_SEEN, _LEGS_LOST = 0.65, 0.4
#: Share of a new frame in how clearly legs are seen.
_LEGS_SHARE = 0.2
#: Seconds for which a lost hand is held as it was, and time constant of its relaxing.
_HOLD, _RELAX = 0.5, 0.4
#: Fastest turn of a finger joint, rad/s: a hand that comes back does not jump.
_FINGER_SPEED = 14.0


@dataclass(frozen=True)
class LiveBody:
    """One recovered frame.

    time:    seconds of the source. arrived: :func:`time.monotonic` of the frame.
    params:  BodyParams without batch axes, betas (16,), in the camera's world.
    actions: (52,) facial actions in [0, 1], relative to the neutral face.
    raw_actions: (52,) as recovered.
    legs:    in [0, 1], how clearly knees and ankles are seen.
    rest_pelvis: (3,) m, the pelvis of the person's own rest pose.
    leg_length:  m, of the person's shape.
    """

    time: float
    arrived: float
    params: BodyParams
    actions: Tensor
    raw_actions: Tensor
    legs: float
    rest_pelvis: Tensor
    leg_length: float


class HandMemory:
    """Fingers over time: held when lost, relaxed after a while, never faster than a hand is."""

    def __init__(self) -> None:
        self._relaxed = matrix_to_quat_wxyz(relaxed_fingers())
        self._now: Tensor | None = None
        self._lost = [math.inf, math.inf]
        self._time = 0.0

    def apply(self, rotations: Tensor, seen: tuple[bool, bool], time: float) -> Tensor:
        """(55, 3, 3) rotations with fingers as they are to be shown.

        Args:
            rotations: as recovered.
            seen: whether the left and the right hand were.
            time: seconds; increasing.
        """
        fresh = matrix_to_quat_wxyz(rotations[25:])
        span = max(time - self._time, 1e-3)
        self._time = time
        if self._now is None:
            self._now = self._relaxed.clone()
            span = 1.0
        for side, part in enumerate((slice(0, 15), slice(15, 30))):
            self._lost[side] = 0.0 if seen[side] else self._lost[side] + span
            goal = self._goal(part, fresh, side, span)
            self._now[part] = _toward(self._now[part], goal, _FINGER_SPEED * span)
        out = rotations.clone()
        out[25:] = quat_wxyz_to_matrix(self._now)
        return out

    def _goal(self, part: slice, fresh: Tensor, side: int, span: float) -> Tensor:
        assert self._now is not None
        if self._lost[side] == 0.0:
            return fresh[part]
        if self._lost[side] <= _HOLD:
            return self._now[part]
        share = torch.full((15,), 1.0 - math.exp(-span / _RELAX))
        return slerp_wxyz(self._now[part], self._relaxed[part], share)


class LiveReader:
    """Landmarks in, :class:`LiveBody` out, with the memory that a live run needs.

    Args:
        lifter: recovers a frame. camera: None takes a usual lens.
    """

    #: The person's shape is a running mean over about so many frames.
    _SHAPE_MEMORY = 90

    def __init__(self, lifter: Lifter, camera: Camera | None = None) -> None:
        self._lifter, self._camera = lifter, camera
        self._hands = HandMemory()
        self._betas: Tensor | None = None
        self._count = 0
        self._legs = 0.0
        self._neutral: Tensor | None = None

    @torch.no_grad()
    def read(self, seen: ClipDetections, arrived: float) -> LiveBody:
        """Recover one frame (detections of one frame; :attr:`ClipDetections.time` counts)."""
        found = self._lifter.lift(seen, self._camera)
        time = float(seen.time[0])
        params = found.params[0]
        hands = found.confidence
        fingers = self._hands.apply(
            params.rotations, (bool(hands.left_hand[0] > 0), bool(hands.right_hand[0] > 0)), time
        )
        self._legs += 0.2 * (
            float(seen.pose_confidence[0, list(_LEG_LANDMARKS)].mean()) - self._legs
        )
        betas = self._shape(found)
        rest = self._lifter.body.shape(betas).joints
        return LiveBody(
            time=time,
            arrived=arrived,
            params=replace(params, rotations=fingers, betas=betas),
            actions=self._actions(found.actions[0]),
            raw_actions=found.actions[0],
            legs=self._legs,
            rest_pelvis=rest[0],
            leg_length=float(leg_length(rest)),
        )

    def calibrate(self, bodies: Sequence[LiveBody]) -> None:
        """Take the median face of some frames for the person's neutral one."""
        self._neutral = torch.stack([b.raw_actions for b in bodies]).median(0).values

    def _actions(self, actions: Tensor) -> Tensor:
        if self._neutral is None:
            return actions
        rest = self._neutral.clamp(0.0, 0.6)
        return ((actions - rest) / (1.0 - rest)).clamp(0.0, 1.0)

    def _shape(self, found: LiftedClip) -> Tensor:
        self._count = min(self._count + 1, self._SHAPE_MEMORY)
        new = found.params.betas[0]
        if self._betas is None:
            self._betas = new
        self._betas = self._betas + (new - self._betas) / self._count
        return self._betas


def with_legs(rotations: Tensor, legs: Legs, seen: float, tracked: bool) -> tuple[Tensor, bool]:
    """(55, 3, 3) rotations whose legs follow, stand or sit.

    Args:
        rotations: of the whole body.
        legs: what is wished; "auto" follows legs that are seen and stands otherwise.
        seen: how clearly they are seen, in [0, 1].
        tracked: whether they were followed in the last frame ("auto" keeps to it in between).

    Returns:
        the rotations and whether the legs follow.
    """
    follow = legs == "track" or (legs == "auto" and seen > (_LEGS_LOST if tracked else _LEGS_SEEN))
    if follow:
        return rotations, True
    out = rotations.clone()
    out[list(_LEG_JOINTS)] = torch.eye(3).to(out)
    if legs == "sit":
        bend = axis_angle_to_matrix(torch.tensor([-math.pi / 2 * 0.92, 0.0, 0.0])).to(out)
        for side in ("left", "right"):
            out[JOINT_INDEX[f"{side}_hip"]] = bend
            out[JOINT_INDEX[f"{side}_knee"]] = bend.transpose(-1, -2)
    # A trunk above unseen legs keeps its heading but does not tip the legs with it.
    out[0], lean = _upright(rotations[0])
    out[JOINT_INDEX["spine1"]] = lean @ out[JOINT_INDEX["spine1"]]
    return out, False


def mirrored(rotations: Tensor, transl: Tensor) -> tuple[Tensor, Tensor]:
    """The same pose as seen in a mirror: left and right exchanged, x reflected.

    (*B, 55, 3, 3) rotations and (*B, 3) translations.
    """
    return mirrored_rotations(rotations), transl * torch.tensor([-1.0, 1.0, 1.0]).to(transl)


def mirrored_names(names: tuple[str, ...]) -> list[int]:
    """Index of the action on the other side of the face for each ARKit name."""

    def other(name: str) -> str:
        if name.endswith("Left"):
            return name[: -len("Left")] + "Right"
        if name.endswith("Right"):
            return name[: -len("Right")] + "Left"
        return name

    return [names.index(other(name)) for name in names]


def _upright(root: Tensor) -> tuple[Tensor, Tensor]:
    """(heading about y, rest): ``root = heading @ rest``."""
    forward = root @ torch.tensor([0.0, 0.0, 1.0]).to(root)
    yaw = torch.atan2(forward[0], forward[2])
    heading = axis_angle_to_matrix(torch.stack([yaw * 0, yaw, yaw * 0]))
    return heading, heading.transpose(-1, -2) @ root


def _toward(now: Tensor, goal: Tensor, most: float) -> Tensor:
    """(J, 4) quaternions moved toward others by at most ``most`` radians each."""
    dot = (now * goal).sum(-1).abs().clamp(max=1.0)
    angle = 2.0 * torch.acos(dot)
    return slerp_wxyz(now, goal, (most / angle.clamp_min(1e-6)).clamp(max=1.0))
