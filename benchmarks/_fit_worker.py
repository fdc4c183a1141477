"""One source tree's fit, timed on request; see ``benchmarks._fit_against``.

Run as a file with PYTHONPATH naming the tree: the package and ``benchmarks.fit`` are that tree's.
Reads one JSON object a line, {"task", "count", "splats", "height", "threads"}, and answers each
with {"wall", "cpu"}: seconds for one of ``count`` calls, processor time of all threads in "cpu".
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

from benchmarks import fit
from pear_avatar import _native
from pear_avatar.evaluation.perceptual import load_perceptual
from pear_avatar.fitting.evaluate import Evaluator
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.run import single_torch_thread


@lru_cache(maxsize=1)
def _task(name: str, splats: int, height: int, threads: int) -> Callable[[], object]:
    """The call that one request repeats, warm."""
    fit._HEIGHT, fit._WIDTH = height, height // 2
    config = FittingConfig(num_splats=splats, crop_size=height)
    fitter = fit.make_fitter(config, torch.device("cpu"))
    if name == "step":
        return fit.make_step(fitter)
    evaluator = Evaluator(fitter.scene, fitter.state, config, load_perceptual(), threads=threads)
    poses = {"heldout": evaluator.interpolated, "heldout_tracked": evaluator.tracked}
    return lambda: evaluator.measure([0, 1], poses, perceptual=("heldout",))


def answer(request: dict[str, Any]) -> dict[str, float]:
    """Time ``count`` calls after one that warms up."""
    _native.set_num_threads(request["threads"])
    key = (request["task"], request["splats"], request["height"], request["threads"])
    with single_torch_thread():
        call = _task(*key)
        call()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(request["count"]):
            call()
        count = request["count"]
        return {
            "wall": (time.perf_counter() - wall) / count,
            "cpu": (time.process_time() - cpu) / count,
        }


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
