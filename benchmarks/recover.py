"""Feed-forward recovery: how fast the networks are, and how good the landmark lifter is.

Image tensor to mesh, beside the published arrangement
------------------------------------------------------
The published arrangement is the network as its authors run it: a vision transformer of that size
and the decoder with all its keys and values, layer by layer in float32. Both end in the same
EHM-s mesh, by this package's mathematics, and both have the same random weights: time does not
depend on what a network knows.

``compiled`` lets torch's compiler fuse what lies between the products; what that costs stands above
it. With a CUDA GPU the same table is made there too. ``--quick`` keeps to ViT-Ti and ViT-S without
compilation (on CUDA: to ViT-B, compiled).

The lifter's figures are of :mod:`benchmarks._lifter_eval`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor

from benchmarks._lifter_eval import lifter_results
from benchmarks.framework import Options, Result
from benchmarks.timing import interleaved_medians
from pear_avatar.body import load_body
from pear_avatar.body.ehm import EhmModel, open_ehm
from pear_avatar.recovery.pear.engine import PearEngine
from pear_avatar.recovery.pear.pear_config import CROP_SIZE, PearConfig
from pear_avatar.recovery.pear.pear_model import PearModel, output_sizes
from pear_avatar.recovery.pear.pear_network import PearNetwork

_CPU_SIZES = ("vit-ti", "vit-s", "vit-b")
_CUDA_SIZES = ("vit-ti", "vit-s", "vit-b", "vit-l", "vit-h")
_PEER = "eager float32"
_STREAM_SECONDS = 3.0
#: Standard deviation that the random decoders' outputs have relative to their input's.
_READOUT = 0.1


def run(options: Options) -> list[Result]:
    """Frames per second at batch 1, and what half precision changes."""
    torch.set_num_threads(options.threads or len(os.sched_getaffinity(0)))
    model = open_ehm(load_body())
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    results: list[Result] = []
    for name in _CPU_SIZES[:2] if options.quick else _CPU_SIZES:
        results += _compare(name, model, cpu, (1,), compiled=not options.quick)
    if torch.cuda.is_available():
        for name in ("vit-b",) if options.quick else _CUDA_SIZES:
            results += _compare(name, model, cuda, (1, 8, 32), compiled=True)
    return results + lifter_results(options)


def _compare(
    name: str,
    model: EhmModel,
    device: torch.device,
    batches: Iterable[int],
    *,
    compiled: bool,
) -> list[Result]:
    network = _lively_network(name, model).to(device)
    engines = {"": PearEngine(network, device=device)}
    if compiled:
        engines[", compiled"] = PearEngine(network, device=device, compiled=True)
    kinds = {label: PearModel(engine, model) for label, engine in engines.items()}
    results = [_difference(name, network, kinds[""])]
    for batch in batches:
        crops = torch.rand(batch, 3, CROP_SIZE, CROP_SIZE, device=device)
        title = f"{name} {device} batch {batch}"
        if compiled:
            start = time.perf_counter()
            kinds[", compiled"].vertices(crops)
            seconds = time.perf_counter() - start
            results.append(Result(f"{title}: compiling", seconds, "s", "lower"))
        meshes: dict[str, Callable[[Tensor], Tensor]] = {
            _PEER: partial(_published, network, kinds[""]),
            **{kind: recovery.vertices for kind, recovery in kinds.items()},
        }
        calls = {key: _synchronised(partial(mesh, crops), device) for key, mesh in meshes.items()}
        with torch.no_grad():
            ms = interleaved_medians(calls, repeats=41, warmup=3, budget_seconds=24)
        peer = 1e3 * batch / ms[_PEER]
        for kind in kinds:
            label, rate = f"{title}: crop to mesh{kind}", 1e3 * batch / ms[kind]
            results.append(Result.versus(label, rate, "frames/s", "higher", _PEER, peer_value=peer))
    if device.type == "cpu":
        results += _throughput(name, network, kinds[""])
    return results


def _throughput(name: str, network: PearNetwork, recovery: PearModel) -> list[Result]:
    """Frames a second of one worker with one thread for each core, each on frames of its own.

    Handing one small network to several threads costs as much as it gains; a video's frames need
    not wait for each other.
    """
    workers = torch.get_num_threads()
    results = []
    for batch in (1, 4):
        crops = torch.rand(batch, 3, CROP_SIZE, CROP_SIZE)
        ours = batch * _calls_a_second(partial(recovery.vertices, crops), workers)
        peer = batch * _calls_a_second(partial(_published, network, recovery, crops), workers)
        label = f"{name} cpu, {workers} workers, batch {batch}: crop to mesh"
        results.append(Result.versus(label, ours, "frames/s", "higher", _PEER, peer_value=peer))
    torch.set_num_threads(workers)
    return results


def _calls_a_second(call: Callable[[], object], workers: int) -> float:
    counts, stop = [0] * workers, threading.Event()
    started = threading.Barrier(workers + 1)

    def work(k: int) -> None:
        torch.set_num_threads(1)  # of this thread
        with torch.no_grad():
            for _ in range(3):
                call()
            started.wait()
            while not stop.is_set():
                call()
                counts[k] += 1

    threads = [threading.Thread(target=work, args=(k,)) for k in range(workers)]
    for thread in threads:
        thread.start()
    started.wait()
    begin = time.perf_counter()
    time.sleep(_STREAM_SECONDS)
    rate = sum(counts) / (time.perf_counter() - begin)
    stop.set()
    for thread in threads:
        thread.join()
    return rate


@torch.no_grad()
def _lively_network(name: str, model: EhmModel) -> PearNetwork:
    """Random weights that let activations through, as trained ones do, and poses that vary.

    An untrained network would recover the mean pose for every person, whatever the precision.
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
def _published(network: PearNetwork, recovery: PearModel, crops: Tensor) -> Tensor:
    return recovery.posed(network(crops)).vertices()


@torch.no_grad()
def _difference(name: str, network: PearNetwork, recovery: PearModel) -> Result:
    """Mean distance of the two meshes' vertices, roots aligned, in millimetres."""
    device = recovery.engine.device
    crops = torch.rand(4, 3, CROP_SIZE, CROP_SIZE, device=device)
    fast, slow = recovery.vertices(crops).clone(), _published(network, recovery, crops)
    fast, slow = (v - v.mean(1, keepdim=True) for v in (fast, slow))
    millimetres = 1e3 * float((fast - slow).norm(dim=-1).mean())
    precision = str(recovery.engine.dtype).removeprefix("torch.")
    return Result(f"{name} {device}: mesh, {precision} to float32", millimetres, "mm", "lower")


def _synchronised(call: Callable[[], object], device: torch.device) -> Callable[[], object]:
    if device.type != "cuda":
        return call

    def timed() -> None:
        call()
        torch.cuda.synchronize()

    return timed
