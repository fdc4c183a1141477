"""Feed-forward recovery, image tensor to mesh, beside the published arrangement.

The published arrangement is the network as its authors run it: a vision transformer of that size
and the decoder with all its keys and values, layer by layer in float32. Both end in the same
EHM-s mesh, by this package's mathematics, and both have the same random weights: time does not
depend on what a network knows.

With a CUDA GPU the same table is made there too; ``--quick`` keeps to ViT-Ti and ViT-S (on CUDA:
ViT-B).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from benchmarks.framework import Options, Result
from benchmarks.timing import interleaved_medians
from pear_avatar.body import load_body
from pear_avatar.body.ehm import EhmModel, open_ehm
from pear_avatar.recovery.pear.config import CROP_SIZE, PearConfig
from pear_avatar.recovery.pear.engine import PearEngine
from pear_avatar.recovery.pear.network import PearNetwork
from pear_avatar.recovery.pear.people import PearRecovery, output_sizes

_CPU_SIZES = ("vit-ti", "vit-s", "vit-b")
_CUDA_SIZES = ("vit-ti", "vit-s", "vit-b", "vit-l", "vit-h")
_PEER = "eager float32"
#: Standard deviation that the random decoders' outputs have relative to their input's.
_READOUT = 0.1


def run(options: Options) -> list[Result]:
    """Frames per second at batch 1, and what half precision changes."""
    torch.set_num_threads(options.threads or len(os.sched_getaffinity(0)))
    model = open_ehm(load_body())
    results: list[Result] = []
    for name in _CPU_SIZES[:2] if options.quick else _CPU_SIZES:
        results += _compare(name, model, torch.device("cpu"), (1,))
    if torch.cuda.is_available():
        for name in ("vit-b",) if options.quick else _CUDA_SIZES:
            results += _compare(name, model, torch.device("cuda"), (1, 8, 32))
    return results


def _compare(
    name: str, model: EhmModel, device: torch.device, batches: Iterable[int]
) -> list[Result]:
    network = _lively_network(name, model).to(device)
    # Ignored on a processor.
    recovery = PearRecovery(PearEngine(network, device=device, compiled=True), model)
    engine, where = recovery.engine, str(device)
    results = [_difference(name, network, recovery)]
    for batch in batches:
        crops = torch.rand(batch, 3, CROP_SIZE, CROP_SIZE, device=device)
        label = f"{name} {where} batch {batch}"
        calls: dict[str, Callable[[], object]] = {
            "mesh": partial(recovery.vertices, crops),
            "mesh eager": partial(_published, network, recovery, crops),
            "network": partial(engine, crops),
            "network eager": partial(network, crops),
        }
        calls = {key: _finished(call, device) for key, call in calls.items()}
        with torch.no_grad():
            ms = interleaved_medians(calls, repeats=41, warmup=3, budget_seconds=24)
        for what, title in (("mesh", "crop to mesh"), ("network", "crop to parameters")):
            rates = [1e3 * batch / ms[what + suffix] for suffix in ("", " eager")]
            title = f"{label}: {title}"
            results.append(Result.versus(title, rates[0], "frames/s", "higher", _PEER, rates[1]))
    return results


@torch.no_grad()
def _lively_network(name: str, model: EhmModel) -> PearNetwork:
    """Random weights that let activations through, as trained ones do, and poses that vary.

    A network fresh for training would show everybody in the mean pose, whatever the precision.
    """
    torch.manual_seed(0)
    network = PearNetwork(PearConfig.named(name, output_sizes(model))).eval()
    readouts = {id(network.head.readout(name)) for name in network.head.widths}
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):
            spread = _READOUT if id(module) in readouts else 1.0
            module.weight.normal_(0, spread * module.in_features**-0.5)
    return network


@torch.no_grad()
def _published(network: PearNetwork, recovery: PearRecovery, crops: Tensor) -> Tensor:
    return recovery.posed(network(crops)).vertices()


@torch.no_grad()
def _difference(name: str, network: PearNetwork, recovery: PearRecovery) -> Result:
    """Mean distance of the two meshes' vertices, roots aligned, in millimetres."""
    device = recovery.engine.device
    crops = torch.rand(4, 3, CROP_SIZE, CROP_SIZE, device=device)
    fast, slow = recovery.vertices(crops).clone(), _published(network, recovery, crops)
    fast, slow = (v - v.mean(1, keepdim=True) for v in (fast, slow))
    millimetres = 1e3 * float((fast - slow).norm(dim=-1).mean())
    precision = str(recovery.engine.dtype).removeprefix("torch.")
    return Result(f"{name} {device}: mesh, {precision} to float32", millimetres, "mm", "lower")


def _finished(call: Callable[[], object], device: torch.device) -> Callable[[], object]:
    if device.type != "cuda":
        return call

    def timed() -> None:
        call()
        torch.cuda.synchronize()

    return timed
