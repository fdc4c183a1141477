"""Our rasterisers against gsplat's own torch reference on a small scene."""

from __future__ import annotations

import sys
import types

import pytest
import torch
from splat_scenes import draw, random_scene

pytest.importorskip("gsplat", reason="gsplat is not installed: pip install '.[test]'")

_ALPHA_MIN, _T_MIN = 1 / 255, 1e-4


def _nerfacc_stand_in(num_splats):
    """nerfacc's two functions for pairs laid out as (pixel, splat), all splats at every pixel."""

    def render_weight_from_alpha(alphas, ray_indices, n_rays):
        a = alphas.reshape(n_rays, num_splats)
        after = torch.cumprod(1 - a, dim=1)
        before = torch.cat((torch.ones_like(after[:, :1]), after[:, :-1]), dim=1)
        return (a * before).flatten(), before.flatten()

    def accumulate_along_rays(weights, values, ray_indices, n_rays):
        w = weights.reshape(n_rays, num_splats, 1)
        if values is None:
            return w.sum(dim=1)
        return (w * values.reshape(n_rays, num_splats, -1)).sum(dim=1)

    module = types.ModuleType("nerfacc")
    module.render_weight_from_alpha = render_weight_from_alpha
    module.accumulate_along_rays = accumulate_along_rays
    return module


def _gsplat_render(scene, tensors, monkeypatch):
    """gsplat's projection and compositing maths, given every (pixel, splat) pair that counts."""
    from gsplat.cuda import _torch_impl as impl

    means, quats, scales, opacities, colors, pose, background = tensors
    covariances, _ = impl._quat_scale_to_covar_preci(quats, scales, True, False)
    _, means2d, depths, conics, _ = impl._fully_fused_projection(
        means, covariances, pose[None], scene.K[None].to(means), scene.width, scene.height
    )
    order = depths[0].argsort()
    count, pixels = len(means), scene.width * scene.height
    pixel = torch.arange(pixels).repeat_interleave(count)
    splat = order.repeat(pixels)
    image = torch.zeros_like(pixel)
    with torch.no_grad():  # gsplat's CUDA kernel picks the pairs; accumulate() takes them as given
        x, y = pixel % scene.width + 0.5, pixel // scene.width + 0.5
        dx, dy = (torch.stack((x, y), 1).to(means) - means2d[0, splat]).unbind(1)
        c = conics[0, splat]
        sigma = 0.5 * (c[:, 0] * dx**2 + c[:, 2] * dy**2) + c[:, 1] * dx * dy
        alpha = (opacities[splat] * torch.exp(-sigma)).clamp_max(0.999)
        alpha = alpha.where(alpha >= _ALPHA_MIN, 0.0).reshape(pixels, count)
        drawn = (alpha > 0) & (torch.cumprod(1 - alpha, dim=1) > _T_MIN)
    masked = torch.where(drawn.flatten(), opacities[splat], 0.0)
    # accumulate() indexes the opacities by splat: give each pair its own "splat".
    monkeypatch.setitem(sys.modules, "nerfacc", _nerfacc_stand_in(count))
    pair = torch.arange(len(pixel))
    color, alpha = impl.accumulate(
        means2d=means2d[:, splat],
        conics=conics[:, splat],
        opacities=masked[None],
        colors=colors[None, splat],
        gaussian_ids=pair,
        pixel_ids=pixel,
        image_ids=image,
        image_width=scene.width,
        image_height=scene.height,
    )
    return color[0] + (1 - alpha[0]) * background, alpha[0]


@pytest.mark.parametrize("backend", ["torch", "cpu"])
def test_matches_gsplats_reference(backend, monkeypatch):
    scene = random_scene(count=80, width=24, height=20)
    dtype = torch.float64 if backend == "torch" else torch.float32
    ours = scene.tensors(dtype)
    theirs = scene.tensors(torch.float64)
    output = draw(scene, ours, backend)
    color, alpha = _gsplat_render(scene, theirs, monkeypatch)
    weight = torch.randn(20, 24, 3, generator=torch.Generator().manual_seed(0)).double()
    gradients = torch.autograd.grad((output.color.double() * weight).sum(), ours)
    expected = torch.autograd.grad((color * weight).sum(), theirs)
    atol, rtol = (1e-10, 1e-8) if backend == "torch" else (2e-6, 5e-5)
    torch.testing.assert_close(output.color.double(), color, rtol=0, atol=atol)
    torch.testing.assert_close(output.alpha.double(), alpha, rtol=0, atol=atol)
    for found, truth in zip(gradients, expected, strict=True):
        assert float((found.double() - truth).norm() / truth.norm()) < rtol
