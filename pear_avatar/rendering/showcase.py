"""Pictures of an avatar in standard poses, from all sides."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS
from pear_avatar.geometry.cameras import orbit_cameras
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import BodyParams, Camera

AZIMUTHS_DEG = (0.0, 45.0, 90.0, 180.0, 270.0)


def standard_pose(avatar: Avatar, arms: str) -> BodyParams:
    """A standing person with ``arms`` "down" or "raised", feet wherever the pelvis leaves them."""
    axis_angle = torch.zeros(NUM_JOINTS, 3)
    lift = {"down": -1.15, "raised": 0.95}
    if arms not in lift:
        raise ValueError(f"arms must be one of {sorted(lift)}, got {arms!r}")
    for side, sign in (("left", 1.0), ("right", -1.0)):
        axis_angle[JOINT_INDEX[f"{side}_shoulder"], 2] = sign * lift[arms]
        if arms == "raised":
            axis_angle[JOINT_INDEX[f"{side}_collar"], 2] = sign * 0.15
        for finger in ("index", "middle", "ring", "pinky"):
            for k in (1, 2, 3):
                axis_angle[JOINT_INDEX[f"{side}_{finger}{k}"], 2] = -sign * 0.2
    return BodyParams(
        avatar.betas,
        torch.zeros(avatar.body.expression_dirs.shape[-1]),
        axis_angle_to_matrix(axis_angle),
        torch.zeros(3),
    )


def to_uint8(image: Tensor) -> np.ndarray:
    """(H, W, C) floats in [0, 1] -> uint8."""
    return (image.detach().clamp(0, 1) * 255 + 0.5).to(torch.uint8).contiguous().cpu().numpy()


def framing_cameras(
    points: Tensor, azimuths_deg: tuple[float, ...], width: int, height: int
) -> list[Camera]:
    """Cameras around points (P, 3) that all of them fit into, at eye level of their middle."""
    low, high = points.amin(0), points.amax(0)
    center = (low + high) / 2
    flat = float((points - center)[:, [0, 2]].norm(dim=-1).max())
    tall = float(high[1] - low[1]) / 2
    half_fov = math.radians(14.0)
    focal = height / 2 / math.tan(half_fov)
    distance = max(tall * 1.08 * focal * 2 / height, flat * 1.08 * focal * 2 / width) + flat
    azimuths = torch.deg2rad(torch.tensor(azimuths_deg))
    cameras = orbit_cameras(center, distance, azimuths, focal=focal, width=width, height=height)
    return [cameras[k] for k in range(len(azimuths_deg))]


@torch.no_grad()
def novel_views(
    avatar: Avatar, arms: str, size: tuple[int, int] = (360, 512)
) -> list[tuple[str, np.ndarray]]:
    """(label, picture) of one standard pose at :data:`AZIMUTHS_DEG`, over white."""
    params = standard_pose(avatar, arms)
    gaussians = avatar.gaussians(params)
    cameras = framing_cameras(gaussians.means, AZIMUTHS_DEG, *size)
    white = torch.ones(3)
    return [
        (f"arms {arms}, {azimuth:.0f}°", to_uint8(gaussians.render(camera, white).color))
        for azimuth, camera in zip(AZIMUTHS_DEG, cameras, strict=True)
    ]
