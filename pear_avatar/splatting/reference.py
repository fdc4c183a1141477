"""The readable twin of the fast rasterisers: plain torch, any device, any floating dtype.

EWA splatting (Zwicker et al. 2001) as in 3D Gaussian splatting (Kerbl et al. 2023), with gsplat's
conventions. It composites every splat on every pixel of a band of rows, so it is slow.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.splatting.splat_scene import (
    ALPHA_MAX,
    ALPHA_MIN,
    TRANSMITTANCE_MIN,
    Images,
    Splats,
    View,
)

_FIELD_OF_VIEW_MARGIN = 0.3
_MAX_PAIRS = 1 << 22
"""(pixel, splat) pairs held at a time."""


@dataclass(frozen=True)
class ScreenSplats:
    """M visible splats in screen space, near to far.

    centers (M, 2) pixels; conics (M, 3) the inverse covariance [[a, b], [b, c]] as a, b, c;
    opacities (M,); features (M, D + 1) colours, then camera-space z; index (M,) into the input.
    """

    centers: Tensor
    conics: Tensor
    opacities: Tensor
    features: Tensor
    index: Tensor


def draw(splats: Splats, view: View) -> Images:
    """Draw in the dtype of ``splats.means``."""
    like = splats.means
    poses = view.T_camera_world.to(like)
    cameras = view.K.detach().to(like)
    background = None if view.background is None else view.background.to(like)
    features, alphas = [], []
    for K, pose in zip(cameras.unbind(), poses.unbind(), strict=True):
        screen = project_splats(splats, K, pose, view)
        feature, alpha = composite(screen, view.width, view.height)
        features.append(feature)
        alphas.append(alpha)
    if not features:
        empty = like.new_empty(0, view.height, view.width, splats.colors.shape[1] + 2)
        return empty[..., :-2], empty[..., -2:-1], empty[..., -1:]
    feature, alpha = torch.stack(features), torch.stack(alphas)
    color, depth = feature[..., :-1], feature[..., -1:]
    if background is not None:
        color = color + (1 - alpha) * background
    return color, alpha, depth


def visible_splats(splats: Splats, z: Tensor, view: View) -> Tensor:
    """(M,) indices of splats that are finite, in front of the camera and not transparent."""
    rows = (splats.means, splats.quats_wxyz, splats.scales, splats.colors)
    finite = torch.stack([t.isfinite().all(dim=1) for t in rows]).all(dim=0)
    finite &= splats.opacities.isfinite() & (splats.quats_wxyz != 0).any(dim=1)
    seen = (z > view.near) & (z < view.far) & (splats.opacities >= ALPHA_MIN)
    return (finite & seen).nonzero()[:, 0]


def project_splats(splats: Splats, K: Tensor, T_camera_world: Tensor, view: View) -> ScreenSplats:
    """Visible splats of one camera in screen space, sorted by depth."""
    with torch.no_grad():
        z = splats.means @ T_camera_world[2, :3] + T_camera_world[2, 3]
        index = visible_splats(splats, z, view)
        index = index[torch.argsort(z[index], stable=True)]
    screen = _project_indexed(splats, index, K, T_camera_world, view)
    usable = screen.conics.isfinite().all(dim=1) & screen.centers.isfinite().all(dim=1)
    if bool(usable.all()):
        return screen
    # Anew without the splats that overflow, which would turn the others' gradients into NaN.
    return _project_indexed(splats, index[usable], K, T_camera_world, view)


def _project_indexed(
    splats: Splats, index: Tensor, K: Tensor, T_camera_world: Tensor, view: View
) -> ScreenSplats:
    W, t = T_camera_world[:3, :3], T_camera_world[:3, 3]
    mean_camera = splats.means[index] @ W.T + t
    z = mean_camera[:, 2]
    slope = mean_camera[:, :2] / z[:, None]
    focal = torch.stack((K[0, 0], K[1, 1]))
    centers = slope * focal + K[:2, 2]

    # Jacobian of the projection, taken no farther out than 1.3 times the field of view.
    size = K.new_tensor((view.width, view.height))
    margin = _FIELD_OF_VIEW_MARGIN * 0.5 * size / focal
    lower, upper = -(K[:2, 2] / focal + margin), (size - K[:2, 2]) / focal + margin
    clamped = torch.maximum(torch.minimum(slope, upper), lower)
    scaled_focal = focal / z[:, None]
    J = torch.cat((torch.diag_embed(scaled_focal), -(scaled_focal * clamped)[..., None]), dim=2)

    # Rows u and v of J W R(q) diag(s): the screen covariance is [[u.u, u.v], [u.v, v.v]].
    spread = J @ W @ quats_to_matrices(splats.quats_wxyz[index]) * splats.scales[index, None, :]
    u, v = spread.unbind(dim=1)
    var_x, var_y = u.square().sum(dim=1), v.square().sum(dim=1)
    cov_xy = (u * v).sum(dim=1)
    cross = torch.linalg.cross(u, v).square().sum(dim=1)  # var_x var_y - cov_xy^2, exactly
    det = cross + view.eps2d * (var_x + var_y) + view.eps2d**2
    conics = torch.stack((var_y + view.eps2d, -cov_xy, var_x + view.eps2d), dim=1) / det[:, None]
    features = torch.cat((splats.colors[index].to(z), z[:, None]), dim=1)
    return ScreenSplats(centers, conics, splats.opacities[index], features, index)


def quats_to_matrices(quats_wxyz: Tensor) -> Tensor:
    """(N, 4) quaternions of any length to (N, 3, 3) rotations."""
    w, x, y, z = (quats_wxyz / quats_wxyz.norm(dim=1, keepdim=True)).unbind(dim=1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def composite(screen: ScreenSplats, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Features (H, W, D + 1) and alpha (H, W, 1) of the splats, composited near to far."""
    rows = max(1, min(height, _MAX_PAIRS // (width * max(1, len(screen.index)))))
    bands = [
        composite_pixels(screen, pixel_centers(width, top, min(top + rows, height), screen.centers))
        for top in range(0, height, rows)
    ]
    feature = torch.cat([band[0] for band in bands]).reshape(height, width, -1)
    alpha = torch.cat([band[1] for band in bands]).reshape(height, width, 1)
    return feature, alpha


def pixel_centers(width: int, top: int, bottom: int, like: Tensor) -> Tensor:
    """(P, 2) centres of the pixels in rows [top, bottom), row by row."""
    x = torch.arange(width, dtype=like.dtype, device=like.device) + 0.5
    y = torch.arange(top, bottom, dtype=like.dtype, device=like.device) + 0.5
    return torch.cartesian_prod(y, x).reshape(-1, 2).flip(1)


def composite_pixels(screen: ScreenSplats, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Features (P, D + 1) and alpha (P, 1) at pixel centres (P, 2)."""
    dx, dy = (pixels[:, None, :] - screen.centers).unbind(dim=2)  # (P, M)
    a, b, c = screen.conics.unbind(dim=1)
    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    alpha = (screen.opacities * torch.exp(-sigma)).clamp(max=ALPHA_MAX)
    alpha = torch.where(alpha >= ALPHA_MIN, alpha, 0.0)
    after = torch.cumprod(1 - alpha, dim=1)
    before = torch.cat((torch.ones_like(after[:, :1]), after[:, :-1]), dim=1)
    weight = torch.where(after > TRANSMITTANCE_MIN, alpha * before, 0.0)
    return weight @ screen.features, weight.sum(dim=1, keepdim=True)
