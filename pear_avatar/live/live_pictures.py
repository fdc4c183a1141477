"""Pictures of a live run: the avatars side by side, and the camera's picture with landmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.geometry.cameras import orbit_cameras
from pear_avatar.live.puppet import Puppet
from pear_avatar.perception.overlay import draw_landmarks
from pear_avatar.rendering.showcase import to_uint8
from pear_avatar.types import BodyParams, Camera, ClipDetections

Framing = Literal["body", "bust"]

__all__ = ["AvatarStage", "Framing", "camera_picture"]

_BACKGROUND = (0.90, 0.91, 0.93)
_HALF_FOV = math.radians(14.0)


class AvatarStage:
    """Draws every avatar into its own panel of one picture.

    Args:
        puppets: whom to draw. size: (width, height) of the picture in pixels.
    """

    def __init__(self, puppets: Sequence[Puppet], size: tuple[int, int]) -> None:
        self._puppets = tuple(puppets)
        count = len(self._puppets)
        self._panel = (size[0] // count // 2 * 2, size[1] // 2 * 2)
        self._background = torch.tensor(_BACKGROUND)
        self._cameras: dict[str, list[Camera]] = {}

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the pictures."""
        return self._panel[0] * len(self._puppets), self._panel[1]

    @torch.no_grad()
    def draw(self, poses: Sequence[BodyParams], framing: Framing) -> np.ndarray:
        """(H, W, 3) uint8."""
        panels = [
            self._drawn(puppet, pose, camera)
            for puppet, pose, camera in zip(
                self._puppets, poses, self._framed(framing), strict=True
            )
        ]
        return panels[0] if len(panels) == 1 else np.concatenate(panels, axis=1)

    def _drawn(self, puppet: Puppet, pose: BodyParams, camera: Camera) -> np.ndarray:
        drawn = puppet.avatar.gaussians(pose).render(camera, self._background)
        return to_uint8(drawn.color)

    def _framed(self, framing: Framing) -> list[Camera]:
        if framing not in self._cameras:
            self._cameras[framing] = [self._camera(p, framing) for p in self._puppets]
        return self._cameras[framing]

    def _camera(self, puppet: Puppet, framing: Framing) -> Camera:
        """A still camera that holds the person's whole height, or head and shoulders."""
        rest = puppet.avatar.body.joint_template
        head = float(rest[JOINT_INDEX["head"], 1] - rest[:, 1].min())
        top = head * 1.16 + 0.04
        span = {"body": (-0.04, top * 1.1), "bust": (head * 0.68, top * 1.04)}[framing]
        width, height = self._panel
        focal = height / 2 / math.tan(_HALF_FOV)
        tall = (span[1] - span[0]) / 2 * max(1.0, 0.62 * height / width)
        center = torch.tensor([0.0, (span[0] + span[1]) / 2, 0.0])
        distance = tall * 1.04 * focal * 2 / height
        return orbit_cameras(
            center, distance, torch.zeros(1), focal=focal, width=width, height=height
        )[0]


def camera_picture(rgb: np.ndarray, seen: ClipDetections | None) -> np.ndarray:
    """The camera's picture with the body's landmarks on it."""
    out = rgb.copy()
    if seen is None:
        return out
    draw_landmarks(out, seen, 0)
    return out
