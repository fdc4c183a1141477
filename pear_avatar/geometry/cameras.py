"""Pinhole cameras: projection, crops, and the cameras of novel views.

Conventions are those of :mod:`pear_avatar.types`: OpenCV camera axes, pixel centres at +0.5,
``T_camera_world`` maps world points into the camera, y up in the world.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from pear_avatar.types import Camera

__all__ = [
    "camera_center",
    "crop_camera",
    "default_world_camera",
    "intrinsics",
    "invert_rigid",
    "look_at",
    "orbit_cameras",
    "project",
    "project_camera_points",
    "to_camera",
    "transform_points",
    "unproject",
]


def transform_points(T_a_b: Tensor, points_b: Tensor) -> Tensor:
    """Apply (*B, 4, 4) or (*B, 3, 4) rigid transforms to (*B, P, 3) points."""
    R, t = T_a_b[..., :3, :3], T_a_b[..., :3, 3]
    return points_b @ R.transpose(-1, -2) + t.unsqueeze(-2)


def invert_rigid(T_a_b: Tensor) -> Tensor:
    """``T_b_a`` of rigid (*B, 4, 4) transforms; exact and cheaper than a general inverse."""
    R_t = T_a_b[..., :3, :3].transpose(-1, -2)
    t = -(R_t @ T_a_b[..., :3, 3:])
    return torch.cat([torch.cat([R_t, t], dim=-1), T_a_b[..., 3:, :]], dim=-2)


def to_camera(camera: Camera, points_world: Tensor) -> Tensor:
    """World points (*B, P, 3) -> camera coordinates (*B, P, 3), metres."""
    return transform_points(camera.T_camera_world, points_world)


def project_camera_points(K: Tensor, points_camera: Tensor, min_depth: float = 1e-3) -> Tensor:
    """Camera-space points (*B, P, 3) -> pixels (*B, P, 2); see :func:`project`."""
    z = points_camera[..., 2:].clamp_min(min_depth)
    focal = torch.stack([K[..., 0, 0], K[..., 1, 1]], dim=-1).unsqueeze(-2)
    center = K[..., :2, 2].unsqueeze(-2)
    return points_camera[..., :2] / z * focal + center


def project(camera: Camera, points_world: Tensor, min_depth: float = 1e-3) -> tuple[Tensor, Tensor]:
    """Project world points into pixels.

    Args:
        camera: one camera or a batch (*B) of them; broadcasts against the points.
        points_world: (*B, P, 3) metres.
        min_depth: metres. Points nearer than this, or behind the camera, are projected as if
            they stood at this depth, so values and gradients stay finite; use their
            returned z to leave them out.

    Returns:
        pixels (*B, P, 2) and camera-space z (*B, P) in metres.
    """
    points_camera = to_camera(camera, points_world)
    return project_camera_points(camera.K, points_camera, min_depth), points_camera[..., 2]


def unproject(camera: Camera, pixels: Tensor, depth: Tensor) -> Tensor:
    """Pixels (*B, P, 2) at camera-space z (*B, P) metres -> world points (*B, P, 3)."""
    focal = torch.stack([camera.K[..., 0, 0], camera.K[..., 1, 1]], dim=-1).unsqueeze(-2)
    rays = (pixels - camera.K[..., :2, 2].unsqueeze(-2)) / focal
    points = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1) * depth[..., None]
    return transform_points(invert_rigid(camera.T_camera_world), points)


def crop_camera(
    camera: Camera, scale: float, offset_x: float, offset_y: float, width: int, *, height: int
) -> Camera:
    """The camera of a crop: pixel ``x`` of the image becomes ``(x - offset) * scale``.

    ``offset_x``, ``offset_y`` are the crop's top-left corner in the original image's pixels;
    ``width``, ``height`` the crop's size after scaling.
    """
    if not scale > 0:
        raise ValueError(f"scale must be positive, got {scale}")
    if width < 1 or height < 1:
        raise ValueError(f"the crop must be at least 1 x 1 pixels, got {width} x {height}")
    T = camera.K.new_tensor(
        [[scale, 0, -offset_x * scale], [0, scale, -offset_y * scale], [0, 0, 1]]
    )
    return replace(camera, K=T @ camera.K, width=int(width), height=int(height))


def intrinsics(
    focal: float | Tensor,
    width: int,
    height: int,
    *,
    center: tuple[float, float] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """(*B, 3, 3) with square pixels; ``focal`` in pixels, principal point at the image centre."""
    focal = torch.as_tensor(focal, dtype=dtype)
    if not bool((focal > 0).all()):
        raise ValueError(f"focal must be positive, got {focal.tolist()}")
    cx, cy = center if center is not None else (width / 2, height / 2)
    zero, one = torch.zeros_like(focal), torch.ones_like(focal)
    entries = [focal, zero, one * cx, zero, focal, one * cy, zero, zero, one]
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def default_world_camera(dtype: torch.dtype = torch.float32) -> Tensor:
    """``T_camera_world`` (4, 4) of a clip without calibration: half a turn about x."""
    return torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=dtype))


def camera_center(camera: Camera) -> Tensor:
    """Where the camera stands in the world, (*B, 3) metres."""
    return invert_rigid(camera.T_camera_world)[..., :3, 3]


def look_at(eye: Tensor, target: Tensor, up: Tensor | None = None) -> Tensor:
    """``T_camera_world`` (*B, 4, 4) of a camera at ``eye`` looking at ``target``, both (*B, 3).

    ``up`` is the world's up, (0, 1, 0) by default; looking exactly along it, z takes its place.
    """
    eye, target = torch.broadcast_tensors(eye, target)
    if up is None:
        up = eye.new_tensor([0.0, 1.0, 0.0])
    forward = target - eye
    if bool((forward.norm(dim=-1) < 1e-9).any()):
        raise ValueError("eye and target coincide: a camera needs a direction to look in")
    forward = torch.nn.functional.normalize(forward, dim=-1)
    up = torch.nn.functional.normalize(up, dim=-1).expand_as(forward)
    parallel = torch.linalg.cross(forward, up).norm(dim=-1, keepdim=True) < 1e-6
    up = torch.where(parallel, up.roll(1, dims=-1), up)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=-1)
    down = torch.linalg.cross(forward, right)
    R = torch.stack([right, down, forward], dim=-2)
    t = -(R @ eye[..., None])
    bottom = eye.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(*R.shape[:-2], 1, 4)
    return torch.cat([torch.cat([R, t], dim=-1), bottom], dim=-2)


def orbit_cameras(
    target: Tensor,
    distance: float,
    azimuth: Tensor,
    *,
    focal: float,
    width: int,
    height: int,
    elevation: float = 0.0,
) -> Camera:
    """Cameras on a circle about ``target`` (3,), all looking at it.

    azimuth: (N,) radians about +y; 0 stands on +z, in front of a body that faces +z, and
    pi / 2 on +x, at that body's left. elevation: radians above the horizon.
    Returns N cameras of ``focal`` pixels and ``width`` x ``height``.
    """
    if not abs(elevation) < math.pi / 2:
        raise ValueError(f"elevation must lie strictly within +-pi/2 radians, got {elevation}")
    if not distance > 0:
        raise ValueError(f"distance must be positive, got {distance}")
    azimuth = azimuth.to(target)
    offset = torch.stack(
        [
            torch.sin(azimuth) * math.cos(elevation),
            torch.full_like(azimuth, math.sin(elevation)),
            torch.cos(azimuth) * math.cos(elevation),
        ],
        dim=-1,
    )
    T = look_at(target + distance * offset, target)
    K = intrinsics(focal, width, height, dtype=target.dtype).to(target.device)
    return Camera(K.expand(*T.shape[:-2], 3, 3), T, int(width), int(height))
