"""Other ways to draw the same splats on a CPU, for the splatting workloads.

gsplat's torch reference does not run on a CPU as it is. It needs nerfacc, whose two functions are
CUDA; it lists the tiles of each splat in a Python loop over splats; and it searches the (pixel,
splat) pairs to composite with a CUDA kernel. Each gets an equal and much faster stand-in here, so
that the comparison is with gsplat's arithmetic and not with its missing parts:

- pairs come from one vectorised sweep over the pixel box of every splat, then a counting sort by
  pixel (scipy's COO to CSR), then gsplat's thresholds;
- nerfacc's weights are a segmented cumulative product in log space, its sums a segment reduction
  or an index_add, whichever is faster.

Projection and compositing are gsplat's own functions, unchanged.
"""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator

import numpy as np
import torch
from scipy.sparse import coo_matrix
from torch import Tensor

from pear_avatar.splatting.reference import (
    ScreenSplats,
    composite_pixels,
    pixel_centers,
    project_splats,
)
from pear_avatar.splatting.splat_scene import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN, Splats, View
from pear_avatar.types import Camera

_DENSE_TILE = 16


def gsplat_reference(splats: list[Tensor], camera: Camera) -> tuple[Tensor, Tensor]:
    """Colour (H, W, D) and alpha (H, W, 1) by gsplat's torch functions (see the module)."""
    from gsplat.cuda import _torch_impl as impl

    means, quats, scales, opacities, colors = splats
    covariances, _ = impl._quat_scale_to_covar_preci(quats, scales, True, False, False)
    radii, means2d, depths, conics, _ = impl._fully_fused_projection(
        means,
        covariances,
        camera.T_camera_world[None],
        camera.K[None],
        camera.width,
        camera.height,
    )
    splat, pixel = _pairs(
        radii[0],
        means2d[0].detach(),
        depths[0].detach(),
        conics[0].detach(),
        opacities.detach(),
        width=camera.width,
        height=camera.height,
    )
    with _nerfacc_stand_in():
        color, alpha = impl.accumulate(
            means2d=means2d,
            conics=conics,
            opacities=opacities[None],
            colors=colors[None],
            gaussian_ids=splat,
            pixel_ids=pixel,
            image_ids=torch.zeros_like(splat),
            image_width=camera.width,
            image_height=camera.height,
        )
    return color[0], alpha[0]


@torch.no_grad()
def _pairs(
    radii: Tensor,
    means2d: Tensor,
    depths: Tensor,
    conics: Tensor,
    opacities: Tensor,
    *,
    width: int,
    height: int,
) -> tuple[Tensor, Tensor]:
    """(splat, pixel) of every pair that is drawn, by pixel and then near to far."""
    visible = (radii > 0).all(dim=1).nonzero()[:, 0]
    order = visible[torch.argsort(depths[visible], stable=True)]
    size = torch.tensor([width, height])
    reach = _reach(conics[order], opacities[order])
    low = (means2d[order] - reach - 0.5).ceil().long().clamp(min=0).minimum(size)
    high = (means2d[order] + reach + 0.5).floor().long().clamp(min=0).minimum(size)
    extent = (high - low).clamp(min=0)
    # One row per (splat, image row), then one entry per pixel: 32-bit, few and wide gathers.
    rank, row = _ranges(extent[:, 1] * (extent[:, 0] > 0))
    y = (low[rank, 1] + row).int()
    line, column = _ranges(extent[rank, 0])
    a, b, c = conics[order].unbind(1)
    dy = y + 0.5 - means2d[order[rank], 1]
    # -log(alpha / opacity) along a row is (a / 2) dx^2 + (b dy) dx + (c / 2) dy^2.
    per_line = torch.stack(
        (
            low[rank, 0] + 0.5 - means2d[order[rank], 0],
            -0.5 * a[rank],
            -b[rank] * dy,
            opacities[order[rank]].log() - 0.5 * c[rank] * dy * dy,
        ),
        dim=1,
    )
    start, square, linear, constant = per_line.index_select(0, line).unbind(1)
    dx = start + column
    alpha = torch.addcmul(constant, torch.addcmul(linear, square, dx), dx).exp_()
    keep = (alpha >= ALPHA_MIN).nonzero()[:, 0]
    line, column, alpha = line[keep], column[keep], alpha[keep].clamp_(max=ALPHA_MAX)
    pixel = ((y * width + low[rank, 0]).int())[line] + column.int()
    splat = order[rank].int()[line]

    # A counting sort by pixel that keeps the order of depth within one.
    entries = np.arange(len(pixel), dtype=np.int32)
    by_pixel = coo_matrix(
        (entries, (pixel.numpy(), entries)),
        shape=(width * height, len(entries)),
    ).tocsr()
    sort = torch.from_numpy(by_pixel.data)
    pixel, splat, alpha = pixel[sort], splat[sort], alpha[sort]
    after = _segment_cumulative(torch.log1p(-alpha.double()), pixel, inclusive=True)
    drawn = after > np.log(TRANSMITTANCE_MIN)
    return splat[drawn].long(), pixel[drawn].long()


def _ranges(lengths: Tensor) -> tuple[Tensor, Tensor]:
    """For consecutive ranges of the given lengths: each entry's range, and its place in it."""
    which = torch.repeat_interleave(lengths)
    return which, torch.arange(len(which)) - (lengths.cumsum(0) - lengths)[which]


def _reach(conics: Tensor, opacities: Tensor) -> Tensor:
    """(M, 2) pixels from the centre beyond which alpha is below its threshold."""
    a, b, c = conics.unbind(1)
    variance = torch.stack((c, a), dim=1) / (a * c - b * b)[:, None]
    return (2 * torch.log(opacities / ALPHA_MIN).clamp(min=0)[:, None] * variance).sqrt()


def _segment_cumulative(values: Tensor, segment: Tensor, *, inclusive: bool) -> Tensor:
    """Running sums that begin anew with each segment; segments are consecutive."""
    running = values.cumsum(0)
    before = running - values
    first = torch.ones_like(segment, dtype=torch.bool)
    first[1:] = segment[1:] != segment[:-1]
    start = first.nonzero()[:, 0]
    lengths = torch.diff(start, append=torch.tensor([len(segment)]))
    base = torch.repeat_interleave(before[start], lengths)
    return (running if inclusive else before) - base


def _render_weight_from_alpha(
    alphas: Tensor, ray_indices: Tensor, n_rays: int
) -> tuple[Tensor, Tensor]:
    logs = torch.log1p(-alphas.double())
    before = _segment_cumulative(logs, ray_indices, inclusive=False).exp().to(alphas)
    return alphas * before, before


def _accumulate_along_rays(
    weights: Tensor, values: Tensor | None, ray_indices: Tensor, n_rays: int
) -> Tensor:
    source = weights[:, None] if values is None else weights[:, None] * values
    total = source.new_zeros(n_rays, source.shape[1])
    return total.index_add(0, ray_indices, source)


@contextlib.contextmanager
def _nerfacc_stand_in() -> Iterator[None]:
    module = types.ModuleType("nerfacc")
    module.render_weight_from_alpha = _render_weight_from_alpha  # type: ignore[attr-defined]
    module.accumulate_along_rays = _accumulate_along_rays  # type: ignore[attr-defined]
    before = sys.modules.get("nerfacc")
    sys.modules["nerfacc"] = module
    try:
        yield
    finally:
        if before is None:
            del sys.modules["nerfacc"]
        else:
            sys.modules["nerfacc"] = before


def dense_tiles(splats: list[Tensor], camera: Camera) -> tuple[Tensor, Tensor]:
    """Colour (H, W, D) and alpha (H, W, 1): per 16 x 16 tile, all its splats on all its pixels.

    What most pure-torch implementations of Gaussian splatting do.
    """
    view = View(
        K=camera.K[None],
        T_camera_world=camera.T_camera_world[None],
        width=camera.width,
        height=camera.height,
        background=None,
        eps2d=0.3,
        near=0.01,
        far=1e10,
    )
    screen = project_splats(Splats(*splats), camera.K, camera.T_camera_world, view)
    low, high = _pixel_boxes(screen)
    rows = []
    for top in range(0, camera.height, _DENSE_TILE):
        bottom = min(top + _DENSE_TILE, camera.height)
        in_row = ((high[:, 1] > top) & (low[:, 1] < bottom)).nonzero()[:, 0]
        tiles = []
        for left in range(0, camera.width, _DENSE_TILE):
            right = min(left + _DENSE_TILE, camera.width)
            hit = in_row[(high[in_row, 0] > left) & (low[in_row, 0] < right)]
            tile = ScreenSplats(
                screen.centers[hit],
                screen.conics[hit],
                screen.opacities[hit],
                screen.features[hit],
                screen.index[hit],
            )
            pixels = pixel_centers(right - left, top, bottom, screen.centers)
            pixels = pixels + pixels.new_tensor([left, 0.0])
            feature, alpha = composite_pixels(tile, pixels)
            both = torch.cat((feature[:, :-1], alpha), dim=1)
            tiles.append(both.reshape(bottom - top, right - left, -1))
        rows.append(torch.cat(tiles, dim=1))
    image = torch.cat(rows)
    return image[..., :-1], image[..., -1:]


@torch.no_grad()
def _pixel_boxes(screen: ScreenSplats) -> tuple[Tensor, Tensor]:
    """Where alpha reaches its threshold: lower and upper corners (M, 2) in pixels."""
    reach = _reach(screen.conics, screen.opacities)
    return screen.centers - reach, screen.centers + reach


def torch_l1_ssim(x: Tensor, y: Tensor) -> Tensor:
    """0.8 L1 + 0.2 (1 - SSIM) with five 11 x 11 grouped convolutions, as 3DGS trains with."""
    channels = x.shape[0]
    offsets = torch.arange(-5, 6, dtype=x.dtype)
    taps = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window = (torch.outer(taps, taps) / taps.sum() ** 2).expand(channels, 1, 11, 11).contiguous()

    def blur(image: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(image[None], window, padding=5, groups=channels)[0]

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    ssim = (2 * mean_x * mean_y + 1e-4) * (2 * covariance + 9e-4)
    ssim = ssim / ((mean_x**2 + mean_y**2 + 1e-4) * (var_x + var_y + 9e-4))
    return 0.8 * (x - y).abs().mean() + 0.2 * (1 - ssim.mean())
