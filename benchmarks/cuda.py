"""What a CUDA GPU gives: gsplat behind ``rasterise`` and the joint fit step, beside the CPU.

One command for a borrowed GPU (it needs CUDA, nvcc and gsplat)::

    pip install -e ".[gpu]" && python -m benchmarks cuda --json cuda.json

The first figures are differences of the pictures, so that a wrong back end cannot look fast.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks._splat_scenes import capsule_person, full_figure_camera
from benchmarks.fit import make_fitter, make_step
from benchmarks.framework import Options, Result
from benchmarks.timing import interleaved_medians
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.splatting import rasterise
from pear_avatar.types import Camera

_COUNT, _SIDE = 30_000, 512


def run(options: Options) -> list[Result]:
    """Differences in the picture, then milliseconds on both devices."""
    if not torch.cuda.is_available():
        raise SystemExit("benchmarks cuda: no CUDA GPU that torch can use was found")
    camera = full_figure_camera(_SIDE)
    splats = capsule_person(_COUNT).tensors()
    budget = 10.0 if options.quick else 40.0
    results = [_difference(splats, camera)]
    calls: dict[str, Callable[[], object]] = {}
    for device in ("cpu", "cuda"):
        calls[f"draw {device}"] = _draw_and_back(splats, camera, torch.device(device))
        fitter = make_fitter(FittingConfig(), torch.device(device))
        calls[f"step {device}"] = _synchronised(make_step(fitter))
    medians = interleaved_medians(calls, repeats=41, warmup=3, budget_seconds=budget)
    for name, label in (("draw", "forward+backward"), ("step", "joint fit step")):
        results.append(
            Result.versus(
                f"{label} {_COUNT // 1000}k/{_SIDE} on CUDA",
                medians[f"{name} cuda"],
                "ms",
                "lower",
                "CPU core",
                peer_value=medians[f"{name} cpu"],
            )
        )
    return results


def _draw(splats: list[Tensor], camera: Camera) -> Tensor:
    means, quats, scales, opacities, colors = splats
    return rasterise(means, quats, scales, opacities, colors, camera=camera).color


def _difference(splats: list[Tensor], camera: Camera) -> Result:
    cpu = _draw(splats, camera)
    gpu = _draw([s.cuda() for s in splats], camera.to("cuda")).cpu()
    mean = float((cpu - gpu).abs().mean())
    return Result("mean difference of the picture, CUDA to CPU", mean, "RGB", "lower")


def _draw_and_back(
    splats: list[Tensor], camera: Camera, device: torch.device
) -> Callable[[], object]:
    placed, seen_by = [s.to(device) for s in splats], camera.to(device)

    def call() -> None:
        leaves = [s.detach().requires_grad_() for s in placed]
        _draw(leaves, seen_by).square().mean().backward()

    return _synchronised(call)


def _synchronised(call: Callable[[], object]) -> Callable[[], object]:
    def timed() -> None:
        call()
        torch.cuda.synchronize()

    return timed
