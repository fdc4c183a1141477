"""Motions that every avatar can play: standing, waving, walking on the spot, making faces.

They are written as channels of :mod:`pear_avatar.motion.choreography` and end as they
begin, so that they can go on for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.motion.choreography import Keys, choreograph
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import BodyParams, Motion

FPS = 30.0

#: A channel of our own: degrees by which the right upper arm turns about itself.
_FOREARM_UP = "right_forearm_up"

_STILL: Keys = ((0.0, 0.0), (1.0, 0.0))
#: What a channel does where a motion does not name it.
_NEUTRAL: Mapping[str, Keys] = {
    **dict.fromkeys(
        ("yaw", "side", "near", "step", "lean", "twist", "head_turn", "head_nod", "brows"), _STILL
    ),
    "open": _STILL,
    "smile": ((0.0, 0.1), (1.0, 0.1)),
    "blink": (
        (0.0, 0), (0.3, 0), (0.315, 0.9), (0.33, 0), (0.72, 0), (0.735, 0.9), (0.75, 0), (1.0, 0),
    ),
    **{f"{side}_raise": ((0.0, -7.0), (1.0, -7.0)) for side in ("left", "right")},
    **{f"{side}_swing": ((0.0, 4.0), (1.0, 4.0)) for side in ("left", "right")},
    **{f"{side}_bend": ((0.0, 14.0), (1.0, 14.0)) for side in ("left", "right")},
    **{f"{side}_curl": ((0.0, 0.25), (1.0, 0.25)) for side in ("left", "right")},
}  # fmt: skip

_IDLE: Mapping[str, Keys] = {
    "side": ((0.0, 0), (0.3, 0.012), (0.7, -0.012), (1.0, 0)),
    "lean": tuple((k / 6, (0.5, 1.6)[k % 2]) for k in range(7)),
    "twist": ((0.0, 0), (0.3, 3), (0.7, -3), (1.0, 0)),
    "head_turn": (
        (0.0, 0), (0.12, 0), (0.22, 16), (0.38, 16), (0.52, -14), (0.7, -12), (0.85, 0), (1.0, 0),
    ),
    "head_nod": ((0.0, 0), (0.25, 3), (0.5, -3), (0.8, 2), (1.0, 0)),
    "left_raise": ((0.0, -7), (0.4, -5), (1.0, -7)),
    "right_raise": ((0.0, -7), (0.6, -5), (1.0, -7)),
    "smile": ((0.0, 0.1), (0.3, 0.35), (0.6, 0.1), (1.0, 0.1)),
}  # fmt: skip

_WAVE: Mapping[str, Keys] = {
    "right_raise": ((0.0, -7), (0.04, -7), (0.2, 62), (0.74, 62), (0.92, -7), (1.0, -7)),
    "right_bend": (
        (0.0, 14), (0.04, 14), (0.2, 86), (0.27, 52), (0.34, 100), (0.41, 52), (0.48, 100),
        (0.55, 52), (0.62, 100), (0.74, 80), (0.92, 14), (1.0, 14),
    ),
    _FOREARM_UP: ((0.0, 0), (0.04, 0), (0.2, 80), (0.74, 80), (0.92, 0), (1.0, 0)),
    "right_curl": ((0.0, 0.25), (0.2, 0.02), (0.74, 0.02), (0.92, 0.25), (1.0, 0.25)),
    "lean": ((0.0, 0), (0.25, -2), (0.7, -2), (1.0, 0)),
    "head_turn": ((0.0, 0), (0.25, -8), (0.7, -8), (1.0, 0)),
    "smile": ((0.0, 0.1), (0.2, 0.8), (0.75, 0.8), (1.0, 0.1)),
    "brows": ((0.0, 0), (0.2, 0.4), (0.4, 0.1), (1.0, 0)),
}  # fmt: skip


def _cycle(*values: float) -> Keys:
    """Four values that come again and again over seven half steps, from the first to the first."""
    return (*((k / 14, values[k % 4]) for k in range(14)), (1.0, values[0]))


#: Seven half steps, from standing to standing; each arm swings with the other leg.
_WALK: Mapping[str, Keys] = {
    "step": ((0.0, 0.0), (0.07, 1.0), (0.93, 1.0), (1.0, 0.0)),
    "left_swing": _cycle(4, 4, 4, 30),
    "right_swing": _cycle(4, 30, 4, 4),
    "left_bend": ((0.0, 14), (0.1, 38), (0.9, 38), (1.0, 14)),
    "right_bend": ((0.0, 14), (0.1, 38), (0.9, 38), (1.0, 14)),
    "twist": _cycle(0, 5, 0, -5),
    "side": _cycle(0, -0.02, 0, 0.02),
}

_FACES: Mapping[str, Keys] = {
    "smile": (
        (0.0, 0.1), (0.12, 1.0), (0.25, 1.0), (0.35, 0.0), (0.7, 0.0), (0.82, 0.7), (1.0, 0.1),
    ),
    "open": ((0.0, 0), (0.35, 0), (0.45, 0.9), (0.55, 0.1), (0.62, 0.6), (0.7, 0), (1.0, 0)),
    "brows": ((0.0, 0), (0.35, 0), (0.45, 1.0), (0.56, 0.9), (0.66, 0), (1.0, 0)),
    "blink": (
        (0.0, 0), (0.28, 0), (0.31, 1.0), (0.34, 0), (0.7, 0), (0.74, 1.0), (0.8, 1.0), (0.84, 0),
        (1.0, 0),
    ),
    "head_turn": ((0.0, 0), (0.2, 10), (0.5, -6), (0.8, 6), (1.0, 0)),
    "head_nod": ((0.0, 0), (0.2, -4), (0.45, 4), (0.8, -3), (1.0, 0)),
    "lean": ((0.0, 0.5), (0.5, 1.5), (1.0, 0.5)),
}  # fmt: skip


@dataclass(frozen=True)
class BuiltinMotion:
    """A motion in channels, and how many seconds one round takes."""

    id: str
    name: str
    seconds: float
    channels: Mapping[str, Keys]

    @property
    def frames(self) -> int:
        """Frames at :data:`FPS`; the first would come again after the last."""
        return round(self.seconds * FPS)


BUILTIN_MOTIONS: tuple[BuiltinMotion, ...] = (
    BuiltinMotion("idle", "Standing", 8.0, _IDLE),
    BuiltinMotion("wave", "Waving", 5.0, _WAVE),
    BuiltinMotion("walk", "Walking on the spot", 5.0, _WALK),
    BuiltinMotion("faces", "Making faces", 6.0, _FACES),
)


def builtin_motion(avatar: Avatar, builtin: BuiltinMotion) -> Motion:
    """A built-in motion for this avatar, standing on height zero at the world's origin."""
    count = builtin.frames
    channels = {**_NEUTRAL, **builtin.channels}
    with torch.no_grad():
        params = choreograph(avatar.body, avatar.betas.numpy(), channels, count + 1)
        params = _turn(params[torch.arange(count)], channels.get(_FOREARM_UP, _STILL), count)
        posed = avatar.body.shape(None).pose(params.rotations, params.transl)
        vertices = avatar.body.shape(None).vertices()
        soles = torch.nonzero(vertices[:, 1] < vertices[:, 1].min() + 0.06).squeeze(1)
        low = _lowest(avatar, posed.rest_to_posed, vertices, soles)
    transl = params.transl - torch.stack([torch.zeros(count), low, torch.zeros(count)], 1)
    grounded = BodyParams(params.betas, params.expression, params.rotations, transl)
    return Motion(grounded, np.arange(count) / FPS, builtin.name)


def _turn(params: BodyParams, keys: Keys, count: int) -> BodyParams:
    """The right upper arm turned about its own axis, so that a bent elbow points up."""
    at, degrees = zip(*keys, strict=True)
    angle = np.radians(PchipInterpolator(at, degrees)(np.arange(count) / count))
    axis_angle = torch.zeros(count, 3, dtype=torch.float64)
    axis_angle[:, 0] = torch.from_numpy(-angle)
    rotations = params.rotations.clone()
    joint = JOINT_INDEX["right_shoulder"]
    rotations[:, joint] = rotations[:, joint] @ axis_angle_to_matrix(axis_angle).to(rotations)
    return replace(params, rotations=rotations)


def _lowest(
    avatar: Avatar, transforms: torch.Tensor, vertices: torch.Tensor, chosen: torch.Tensor
) -> torch.Tensor:
    """(N,) height of the lowest of the chosen vertices under (N, J, 3, 4) transforms."""
    body = avatar.body
    joints, weights = body.skin_joints[chosen], body.skin_weights[chosen]
    height_rows = transforms[:, :, 1]  # (N, J, 4): only the height is asked for
    blended = (height_rows[:, joints] * weights[..., None]).sum(2)  # (N, P, 4)
    heights = (blended[..., :3] * vertices[chosen]).sum(-1) + blended[..., 3]
    return heights.amin(1)
