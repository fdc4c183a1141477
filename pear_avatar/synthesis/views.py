"""Cameras of synthetic pictures: framing from head to whole body, lens, tilt, roll, truncation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.geometry.cameras import look_at

_UPPER = [
    JOINT_INDEX[n]
    for n in (
        "head",
        "neck",
        "spine2",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_hip",
        "right_hip",
    )
]
_HEAD = [JOINT_INDEX[n] for n in ("head", "neck", "left_eye", "right_eye")]
_LOWER = [
    JOINT_INDEX[n]
    for n in (
        "pelvis",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_foot",
        "right_foot",
    )
]
_ABOVE_HEAD = 0.19  # metres from the head joint to the top of the hair
_NEAREST = 0.35
_ABOVE_FLOOR = 0.12


@dataclass(frozen=True)
class View:
    """One camera: K (3, 3) pixels, T_camera_world (4, 4), both float32; width, height; framing."""

    K: np.ndarray
    T_camera_world: np.ndarray
    width: int
    height: int
    framing: str

    @property
    def eye(self) -> np.ndarray:
        """(3,) where the camera stands."""
        place: np.ndarray = -self.T_camera_world[:3, :3].T @ self.T_camera_world[:3, 3]
        return place

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points (P, 3) to pixels (P, 2) and camera-space z (P,), both float32.

        Points nearer than a millimetre are projected as if they stood there.
        """
        T = self.T_camera_world
        at = points.astype(np.float32, copy=False) @ T[:3, :3].T + T[:3, 3]
        z = np.maximum(at[:, 2], 1e-3)
        pixels = np.empty((len(at), 2), np.float32)
        for k in range(2):
            pixels[:, k] = at[:, k] / z * self.K[k, k] + self.K[k, 2]
        return pixels, np.ascontiguousarray(at[:, 2])


def sample_view(
    joints: np.ndarray, rng: np.random.Generator, size: tuple[int, int], framing: str | None = None
) -> View:
    """A camera for a person.

    Args:
        joints: (55, 3) of the person, metres, floor at y = 0.
        rng: source of randomness.
        size: width and height of the picture.
        framing: "whole", "upper", "head" or "lower"; None draws one.
    """
    width, height = size
    if framing is None:
        framing = str(rng.choice(("whole", "upper", "head", "lower"), p=(0.45, 0.33, 0.17, 0.05)))
    center, extent = _target(joints, framing)
    focal = max(size) * np.exp(rng.uniform(np.log(0.7), np.log(3.2)))
    low, high = {
        "whole": (0.35, 0.95),
        "upper": (0.55, 1.05),
        "head": (0.35, 1.0),
        "lower": (0.6, 1.1),
    }[framing]
    fill = rng.uniform(low, high)
    distance = max(extent * focal / (fill * min(size)), _NEAREST + 0.3 * extent)
    elevation = np.radians(_elevation(rng))
    azimuth = rng.uniform(-np.pi, np.pi)
    away = np.array(
        [
            np.cos(elevation) * np.sin(azimuth),
            np.sin(elevation),
            np.cos(elevation) * np.cos(azimuth),
        ]
    )
    eye = center + distance * away
    eye[1] = max(eye[1], _ABOVE_FLOOR)
    room = max(1 - fill, 0.0) + (0.35 if rng.random() < 0.2 else 0.05)
    shift = rng.uniform(-0.5, 0.5, 2) * room * np.array(size) * distance / focal
    T = _aimed(eye, center, shift, _roll(rng))
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float32)
    return View(K, T, width, height, framing)


def _target(joints: np.ndarray, framing: str) -> tuple[np.ndarray, float]:
    """Middle (3,) and extent of what is framed, metres."""
    index = {"whole": list(range(22)), "upper": _UPPER, "head": _HEAD, "lower": _LOWER}[framing]
    points = joints[index]
    if framing != "lower":
        head, neck = joints[JOINT_INDEX["head"]], joints[JOINT_INDEX["neck"]]
        up = (head - neck) / max(float(np.linalg.norm(head - neck)), 1e-6)
        points = np.concatenate([points, (head + _ABOVE_HEAD * up)[None]])
    low, high = points.min(0), points.max(0)
    return (low + high) / 2, float(max((high - low).max(), 0.3))


def _elevation(rng: np.random.Generator) -> float:
    """Degrees above the horizon."""
    chance = rng.random()
    if chance < 0.15:
        return float(rng.uniform(18, 62))
    return float(rng.normal(4, 9)) if chance < 0.95 else float(rng.uniform(-18, -5))


def _roll(rng: np.random.Generator) -> float:
    return float(np.radians(rng.normal(0, 15 if rng.random() < 0.08 else 3.5)))


def _aimed(eye: np.ndarray, center: np.ndarray, shift: np.ndarray, roll: float) -> np.ndarray:
    """A camera that looks at ``center`` moved by ``shift`` (2,) metres in the picture."""
    T = look_at(torch.from_numpy(eye), torch.from_numpy(center)).numpy()
    aim = center + shift[0] * T[0, :3] + shift[1] * T[1, :3]
    T = look_at(torch.from_numpy(eye), torch.from_numpy(aim)).numpy()
    c, s = np.cos(roll), np.sin(roll)
    turn = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    turned: np.ndarray = (turn @ T).astype(np.float32)
    return turned
