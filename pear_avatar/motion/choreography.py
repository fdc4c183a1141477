"""The motions of the synthetic person: the one that is filmed, and one the fit never sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator

from pear_avatar.body.expressions import face_from_arkit
from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS
from pear_avatar.body.model import BodyModel
from pear_avatar.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from pear_avatar.types import BodyParams

#: (share of the clip, value) pairs, joined by a monotone cubic.
Keys = Sequence[tuple[float, float]]

_REST_ARM = 68.0  # degrees that an arm hangs below the T-pose

#: Degrees unless said. Arm channels exist per side: ``raise`` lifts the arm sideways from hanging,
#: ``swing`` brings it forward, ``bend`` flexes the elbow, ``curl`` closes the hand (0 to 1).
#: ``smile``, ``open``, ``brows``, ``blink`` are strengths of facial actions (0 to 1);
#: ``step`` (0 to 1) lifts the feet in turn; ``side`` and ``near`` are metres.
FILMED: Mapping[str, Keys] = {
    "yaw": (
        (0.0, 0), (0.22, 0), (0.31, 75), (0.36, 90), (0.46, 150), (0.52, 130), (0.62, 10),
        (0.66, -20), (0.76, -110), (0.83, -145), (0.89, -110), (0.97, -15), (1.0, 0),
    ),
    "side": ((0.0, 0), (0.12, 0.01), (0.4, -0.08), (0.65, 0.06), (0.85, -0.04), (1.0, 0)),
    "near": ((0.0, 0), (0.3, -0.06), (0.55, 0.05), (0.8, -0.05), (1.0, 0.0)),
    "step": ((0.0, 0), (0.21, 0), (0.25, 1), (0.93, 1), (0.98, 0), (1.0, 0)),
    "lean": ((0.0, 0), (0.1, 2), (0.3, -2), (0.6, 5), (0.8, -3), (1.0, 0)),
    "twist": ((0.0, 0), (0.1, 8), (0.18, -8), (0.4, 6), (0.6, -6), (0.8, 6), (1.0, 0)),
    "head_turn": ((0.0, 0), (0.07, 22), (0.15, -22), (0.22, 5), (0.5, 18), (0.7, -15), (1.0, 0)),
    "head_nod": ((0.0, 0), (0.05, 8), (0.12, -8), (0.3, 5), (0.65, -5), (0.9, 6), (1.0, 0)),
    "left_raise": (
        (0.0, 4), (0.05, 10), (0.12, 95), (0.16, 110), (0.22, 12), (0.4, 20), (0.46, 70),
        (0.54, 15), (0.64, 35), (0.74, 8), (0.9, 14), (1.0, 30),
    ),
    "right_raise": (
        (0.0, 4), (0.05, 12), (0.12, 85), (0.16, 105), (0.22, 14), (0.36, 8), (0.5, 30),
        (0.64, 40), (0.78, 22), (0.84, 65), (0.92, 18), (1.0, 30),
    ),
    "left_swing": (
        (0.0, 5), (0.22, 6), (0.3, 35), (0.38, 5), (0.6, 30), (0.7, 0), (0.85, 25), (1.0, 15),
    ),
    "right_swing": (
        (0.0, 5), (0.22, 6), (0.3, 0), (0.4, 30), (0.62, 40), (0.72, 5), (0.85, 10), (1.0, 15),
    ),
    "left_bend": (
        (0.0, 12), (0.1, 15), (0.16, 40), (0.24, 20), (0.32, 70), (0.42, 20), (0.62, 75),
        (0.75, 20), (1.0, 45),
    ),
    "right_bend": (
        (0.0, 12), (0.1, 15), (0.16, 30), (0.24, 20), (0.4, 65), (0.5, 25), (0.64, 85),
        (0.78, 15), (1.0, 45),
    ),
    "left_curl": (
        (0.0, 0.25), (0.1, 0.05), (0.16, 0.1), (0.3, 0.7), (0.5, 0.2), (0.62, 0.6), (0.8, 0.1),
        (1.0, 0.3),
    ),
    "right_curl": (
        (0.0, 0.25), (0.1, 0.1), (0.2, 0.5), (0.4, 0.1), (0.64, 0.8), (0.85, 0.2), (1.0, 0.3),
    ),
    "smile": ((0.0, 0.35), (0.08, 0.7), (0.2, 0.2), (0.6, 0.8), (0.7, 0.1), (1.0, 0.5)),
    "open": (
        (0.0, 0.0), (0.1, 0.05), (0.14, 0.35), (0.18, 0.0), (0.58, 0.0), (0.63, 0.4), (0.68, 0.0),
        (1.0, 0.1),
    ),
    "brows": ((0.0, 0.0), (0.12, 0.6), (0.2, 0.0), (0.62, 0.5), (0.7, 0.0), (1.0, 0.0)),
    "blink": (
        (0.0, 0.0), (0.045, 0.0), (0.055, 0.9), (0.065, 0.0), (0.195, 0.0), (0.205, 0.9),
        (0.215, 0.0), (0.64, 0.0), (0.65, 0.9), (0.66, 0.0), (1.0, 0.0),
    ),
}  # fmt: skip

UNSEEN: Mapping[str, Keys] = {
    "yaw": ((0.0, 25), (0.3, -30), (0.55, 60), (0.8, 160), (1.0, 200)),
    "side": ((0.0, 0.05), (0.5, -0.06), (0.85, 0.0), (1.0, 0.0)),
    "near": ((0.0, 0.0), (0.5, -0.1), (1.0, -0.04)),
    "step": ((0.0, 0.8), (1.0, 0.8)),
    "lean": ((0.0, 8), (0.4, -4), (0.7, 10), (1.0, 0)),
    "twist": ((0.0, -12), (0.5, 14), (1.0, -10)),
    "head_turn": ((0.0, -20), (0.35, 25), (0.7, -25), (1.0, 10)),
    "head_nod": ((0.0, -8), (0.5, 10), (1.0, 0)),
    "left_raise": ((0.0, 120), (0.35, 40), (0.6, 75), (0.8, 20), (1.0, 95)),
    "right_raise": ((0.0, 25), (0.35, 125), (0.6, 20), (0.8, 60), (1.0, 95)),
    "left_swing": ((0.0, 0), (0.35, 50), (0.6, 10), (1.0, 0)),
    "right_swing": ((0.0, 60), (0.35, 0), (0.7, 40), (1.0, 0)),
    "left_bend": ((0.0, 50), (0.35, 90), (0.6, 15), (1.0, 25)),
    "right_bend": ((0.0, 95), (0.35, 30), (0.7, 60), (1.0, 25)),
    "left_curl": ((0.0, 0.1), (0.5, 0.6), (1.0, 0.2)),
    "right_curl": ((0.0, 0.7), (0.5, 0.1), (1.0, 0.5)),
    "smile": ((0.0, 0.6), (1.0, 0.2)),
    "open": ((0.0, 0.2), (0.5, 0.0), (1.0, 0.2)),
    "brows": ((0.0, 0.3), (1.0, 0.0)),
    "blink": ((0.0, 0.0), (1.0, 0.0)),
}  # fmt: skip

#: Radians of full curl at the three joints of a finger.
_CURL = (1.1, 1.4, 0.9)
_THUMB_CURL = (0.25, 0.5, 0.7)
_STEPS = 7  # footsteps over a clip while ``step`` is 1


def choreograph(
    body: BodyModel, betas: np.ndarray, channels: Mapping[str, Keys], num_frames: int
) -> BodyParams:
    """Poses of a motion, standing about the world's origin with ``transl`` at zero height.

    Args:
        body: the open body (for its facial actions).
        betas: (S,) shape coefficients.
        channels: :data:`FILMED`, :data:`UNSEEN` or a mapping with the same names.
        num_frames: how many frames N the motion is sampled at.

    Returns:
        N frames; ``transl`` has the sideways (x) and depth (z) way only. The caller puts the feet
        on the floor, once it knows the shoes.
    """
    time = np.linspace(0.0, 1.0, num_frames)
    value = {name: _sample(keys, time) for name, keys in channels.items()}
    aa = np.zeros((num_frames, NUM_JOINTS, 3))
    _trunk(aa, value)
    for side in ("left", "right"):
        _arm(aa, value, side)
        _hand(aa, value, side, time)
    _legs(aa, value, time)
    face = face_from_arkit(body, _face_actions(value))
    rotations = face.apply(axis_angle_to_matrix(torch.from_numpy(aa).float()))
    transl = np.stack([value["side"], np.zeros(num_frames), value["near"]], 1)
    return BodyParams(
        torch.from_numpy(betas), face.expression, rotations, torch.from_numpy(transl).float()
    )


def _sample(keys: Keys, time: np.ndarray) -> np.ndarray:
    at, values = zip(*keys, strict=True)
    sampled: np.ndarray = PchipInterpolator(at, values)(time)
    return sampled


def _trunk(aa: np.ndarray, value: Mapping[str, np.ndarray]) -> None:
    """Root, spine, neck and head; the spine shares its bend over three joints."""
    aa[:, 0, 1] = np.radians(value["yaw"])
    for name in ("spine1", "spine2", "spine3"):
        aa[:, JOINT_INDEX[name], 0] = np.radians(value["lean"]) / 3
        aa[:, JOINT_INDEX[name], 1] = np.radians(value["twist"]) / 3
    for name, share in (("neck", 0.4), ("head", 0.6)):
        aa[:, JOINT_INDEX[name], 0] = share * np.radians(value["head_nod"])
        aa[:, JOINT_INDEX[name], 1] = share * np.radians(value["head_turn"])


def _arm(aa: np.ndarray, value: Mapping[str, np.ndarray], side: str) -> None:
    """Collar, shoulder and elbow. The left arm lies along +x in the T-pose, the right along -x."""
    sign = 1.0 if side == "left" else -1.0
    raised = value[f"{side}_raise"]
    lift = np.radians(raised - _REST_ARM)
    collar = 0.18 * np.radians(np.maximum(raised - 20, 0))
    swing = np.radians(value[f"{side}_swing"])
    aa[:, JOINT_INDEX[f"{side}_collar"], 2] = sign * collar
    # First lift the arm in the frontal plane, then swing it about the body's lateral axis.
    down = axis_angle_to_matrix(_axis(2, sign * (lift - collar)))
    forward = axis_angle_to_matrix(_axis(0, -swing))
    aa[:, JOINT_INDEX[f"{side}_shoulder"]] = _to_axis_angle(forward @ down)
    aa[:, JOINT_INDEX[f"{side}_elbow"], 1] = -sign * np.radians(value[f"{side}_bend"])


def _hand(aa: np.ndarray, value: Mapping[str, np.ndarray], side: str, time: np.ndarray) -> None:
    """Fingers close one after the other; the wrist sways a little."""
    sign = 1.0 if side == "left" else -1.0
    curl = value[f"{side}_curl"]
    aa[:, JOINT_INDEX[f"{side}_wrist"], 2] = 0.15 * sign * np.sin(2 * np.pi * (2 * time + 0.1))
    for rank, finger in enumerate(("index", "middle", "ring", "pinky")):
        for k in range(3):
            joint = JOINT_INDEX[f"{side}_{finger}{k + 1}"]
            aa[:, joint, 2] = -sign * _CURL[k] * np.clip(curl * (0.85 + 0.1 * rank), 0, 1)
    for k in range(3):
        aa[:, JOINT_INDEX[f"{side}_thumb{k + 1}"], 1] = -sign * _THUMB_CURL[k] * curl * 0.6


def _legs(aa: np.ndarray, value: Mapping[str, np.ndarray], time: np.ndarray) -> None:
    """Feet leave the floor in turn while ``step`` is on; knees are never quite straight."""
    phase = 2 * np.pi * _STEPS * time / 2
    for side, shift in (("left", 0.0), ("right", np.pi)):
        lifted = value["step"] * np.maximum(np.sin(phase + shift), 0) ** 1.5
        hip = -np.radians(4 + 20 * lifted)
        knee = np.radians(7 + 38 * lifted)
        sign = 1.0 if side == "left" else -1.0
        aa[:, JOINT_INDEX[f"{side}_hip"], 0] = hip
        aa[:, JOINT_INDEX[f"{side}_hip"], 2] = sign * np.radians(2.0)
        aa[:, JOINT_INDEX[f"{side}_knee"], 0] = knee
        aa[:, JOINT_INDEX[f"{side}_ankle"], 0] = -(hip + knee) + np.radians(8) * lifted
        aa[:, JOINT_INDEX[f"{side}_ankle"], 1] = sign * np.radians(6.0)


def _face_actions(value: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Facial actions of the named channels, both sides alike."""
    strength = {n: torch.from_numpy(value[n]).float() for n in ("smile", "open", "brows", "blink")}
    return {
        "mouthSmileLeft": 0.8 * strength["smile"],
        "mouthSmileRight": 0.8 * strength["smile"],
        "jawOpen": 0.7 * strength["open"],
        "browInnerUp": strength["brows"],
        "browOuterUpLeft": strength["brows"],
        "browOuterUpRight": strength["brows"],
        "eyeBlinkLeft": strength["blink"],
        "eyeBlinkRight": strength["blink"],
    }


def _axis(axis: int, angle: np.ndarray) -> torch.Tensor:
    aa = np.zeros((len(angle), 3))
    aa[:, axis] = angle
    return torch.from_numpy(aa)


def _to_axis_angle(matrix: torch.Tensor) -> np.ndarray:
    result: np.ndarray = matrix_to_axis_angle(matrix).numpy()
    return result
