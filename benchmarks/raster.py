"""The splat rasteriser and the fused image loss, beside what else draws splats on a CPU.

A person of 20 000 to 120 000 splats fills about a sixth of images of 256 to 1024 pixels a side.
Peers: gsplat's torch reference, with fast stand-ins for the parts it lacks on a CPU
(:mod:`benchmarks._splat_peers` says which), and a dense per-tile torch implementation. All get the
same number of threads, the same splats and the same cotangent, take turns within one run, and must
first draw the same picture. Forward+backward is the gradient of the colours with respect to means,
rotations, scales, opacities, colours and camera pose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks._splat_peers import dense_tiles, gsplat_reference, torch_l1_ssim
from benchmarks._splat_scenes import capsule_person, full_figure_camera
from benchmarks.framework import Options, Result
from benchmarks.timing import interleaved_medians
from pear_avatar import _native
from pear_avatar.splatting import l1_ssim_loss, rasterise
from pear_avatar.types import Camera

_OURS = "ours"
_HEADLINE = (30_000, 512)
_CASES = (
    (30_000, 256),
    _HEADLINE,
    (30_000, 1024),
    (20_000, 512),
    (60_000, 512),
    (120_000, 512),
)
# Rounding may decide a threshold (alpha 1/255, transmittance 1e-4) differently at a few pixels.
_MEAN_DIFFERENCE = 1e-5

Draw = Callable[[list[Tensor], Camera], tuple[Tensor, Tensor]]


def run(options: Options) -> list[Result]:
    """Measure all cases, or only 30 000 splats at 512 pixels with ``quick``."""
    threads = options.threads or _native.num_threads()
    _native.set_num_threads(threads)
    torch.set_num_threads(threads)
    results = []
    for count, side in (_HEADLINE,) if options.quick else _CASES:
        results += _raster_case(count, side, budget=9.0 if options.quick else 16.0)
    results += _image_loss_case(512)
    return results


def _ours(splats: list[Tensor], camera: Camera) -> tuple[Tensor, Tensor]:
    means, quats, scales, opacities, colors = splats
    output = rasterise(means, quats, scales, opacities, colors, camera=camera, backend="cpu")
    return output.color, output.alpha


def _raster_case(count: int, side: int, budget: float) -> list[Result]:
    scene = capsule_person(count)
    camera = full_figure_camera(side)
    drawers: dict[str, Draw] = {
        _OURS: _ours,
        "gsplat torch reference": gsplat_reference,
        "dense per-tile torch": dense_tiles,
    }
    _check_pictures(drawers, scene.tensors(), camera)
    cotangent = torch.randn(side, side, 3, generator=torch.Generator().manual_seed(0))
    forward = {name: _forward(draw, scene.tensors(), camera) for name, draw in drawers.items()}
    both = {
        name: _forward_backward(draw, scene.tensors(), camera, cotangent)
        for name, draw in drawers.items()
    }
    results = []
    for phase, calls in (("forward", forward), ("forward+backward", both)):
        label = f"raster {phase} {count // 1000}k/{side}"
        results += _versus_all(label, interleaved_medians(calls, budget_seconds=budget))
    return results


def _versus_all(label: str, medians: dict[str, float]) -> list[Result]:
    ours = medians[_OURS]
    return [
        Result.versus(label, ours, "ms", "lower", peer, peer_value=value)
        for peer, value in medians.items()
        if peer != _OURS
    ]


@torch.no_grad()
def _check_pictures(drawers: dict[str, Draw], splats: list[Tensor], camera: Camera) -> None:
    ours, _ = drawers[_OURS](splats, camera)
    for name, draw in drawers.items():
        difference = float((draw(splats, camera)[0] - ours).abs().mean())
        if not difference < _MEAN_DIFFERENCE:
            raise RuntimeError(f"{name} draws another picture: mean difference {difference:.2g}")


def _forward(draw: Draw, splats: list[Tensor], camera: Camera) -> Callable[[], object]:
    def call() -> object:
        with torch.no_grad():
            return draw(splats, camera)

    return call


def _forward_backward(
    draw: Draw, splats: list[Tensor], camera: Camera, cotangent: Tensor
) -> Callable[[], object]:
    leaves = [t.clone().requires_grad_() for t in splats]
    pose = camera.T_camera_world.clone().requires_grad_()
    posed = replace(camera, T_camera_world=pose)

    def call() -> object:
        color, _ = draw(leaves, posed)
        return torch.autograd.grad(color, [*leaves, pose], cotangent)

    return call


def _image_loss_case(side: int) -> list[Result]:
    g = torch.Generator().manual_seed(0)
    y = torch.rand(3, side, side, generator=g)
    x = (y + 0.1 * torch.randn(3, side, side, generator=g)).clamp(0, 1).requires_grad_()

    def step(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(loss(x, y), x)

    calls = {_OURS: step(l1_ssim_loss), "11x11 torch SSIM + L1": step(torch_l1_ssim)}
    label = f"L1+SSIM forward+backward 3x{side}x{side}"
    return _versus_all(label, interleaved_medians(calls, budget_seconds=6.0, repeats=15))
