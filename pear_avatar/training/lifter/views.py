"""Where training people stand before which camera: heading, pitch, framing, truncation.

The world has y up and its camera at the origin looking along -z, so a person who faces the
camera has a root rotation near the identity. Image places are rays: ``(x / depth, -y / depth)``,
which is pixels from the principal point over the focal length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.geometry.rotations import axis_angle_to_matrix

_UPPER_BODY = [0, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24]
_HEAD_AND_SHOULDERS = [0, 7, 8, 9, 10, 11, 12]
_SHARES = {"whole": 0.55, "upper": 0.30, "head": 0.15}
_NEAREST = 0.25


@dataclass(frozen=True)
class Views:
    """B cameras: translation of the body (B, 3) metres and half the picture (B, 2) as rays."""

    transl: Tensor
    half: Tensor


def sample_headings(roots: Tensor, generator: torch.Generator) -> Tensor:
    """Turn upright roots (B, 3, 3) all round, mostly to the front, before a tilted camera."""
    count = len(roots)
    uniform = torch.rand(count, 3, generator=generator)
    normal = torch.randn(count, 3, generator=generator)
    frontal = 0.6 * normal[:, 0]
    yaw = torch.where(uniform[:, 0] < 0.55, frontal, math.pi * (2 * uniform[:, 1] - 1))
    zero = torch.zeros(count)
    pitch = 0.05 + 0.16 * normal[:, 1]
    high = uniform[:, 2] < 0.2  # from a balcony or a ceiling
    pitch = torch.where(high, 0.25 + 0.55 * torch.rand(count, generator=generator), pitch)
    tilt = axis_angle_to_matrix(torch.stack([pitch, zero, 0.06 * normal[:, 2]], -1))
    return tilt @ axis_angle_to_matrix(torch.stack([zero, yaw, zero], -1)) @ roots


def sample_views(pose_points: Tensor, generator: torch.Generator) -> Views:
    """Frame people given their pose landmarks (B, 33, 3) about the world's origin, metres."""
    count = len(pose_points)

    def uniform(low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    focal = torch.exp(uniform(math.log(0.75), math.log(2.4)))  # over the longer side
    short = uniform(0.5, 1.0)
    landscape = uniform() < 0.5
    half = torch.stack(
        [torch.where(landscape, 1.0, short), torch.where(landscape, short, 1.0)], -1
    ) / (2 * focal[:, None])
    kind = uniform()
    whole, head = kind < _SHARES["whole"], kind > 1 - _SHARES["head"]
    center, size = _extent(pose_points)
    for chosen, index in ((~whole & ~head, _UPPER_BODY), (head, _HEAD_AND_SHOULDERS)):
        part_center, part_size = _extent(pose_points[:, index])
        center = torch.where(chosen[:, None], part_center, center)
        size = torch.where(chosen, part_size, size)
    size = size.clamp_min(0.4)
    fill = torch.where(whole, uniform(0.25, 0.98), uniform(0.6, 1.2)) * 2 * half.amin(1)
    depth = size / fill
    room = (2 * half - fill[:, None]).clamp_min(0.05) * 0.9
    shift = (torch.rand(count, 2, generator=generator) - 0.5) * room * depth[:, None]
    transl = torch.cat([shift, -depth[:, None]], -1) - center
    nearest = pose_points[..., 2].amax(1) + _NEAREST
    transl = torch.cat([transl[:, :2], torch.minimum(transl[:, 2], -nearest)[:, None]], -1)
    return Views(transl, half)


def to_rays(points: Tensor) -> Tensor:
    """(B, P, 3) world points -> (B, P, 2) rays; x right and y down as in a picture."""
    depth = (-points[..., 2:]).clamp_min(0.05)
    return points[..., :2] * points.new_tensor([1.0, -1.0]) / depth


def in_sight(points: Tensor, half: Tensor, rim: float = 1.03) -> Tensor:
    """(B, P) bool: in front of the camera and within the picture, or on its rim."""
    inside = (to_rays(points).abs() < rim * half[:, None]).all(-1)
    return inside & (points[..., 2] < -0.1)


def _extent(points: Tensor) -> tuple[Tensor, Tensor]:
    low, high = points.amin(1), points.amax(1)
    return 0.5 * (low + high), (high - low)[:, :2].amax(1)
