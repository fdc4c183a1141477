"""The fit of another source tree beside this one's, in one run.

Each tree gets a process of its own, and both are asked in turns for a few steps, so that whatever
else the machine does meets both. Ratios are of medians over the rounds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.framework import Result

_HERE = Path(__file__).resolve().parent
_COUNT = {"step": 12, "evaluation": 1}


@dataclass(frozen=True)
class Workload:
    """What is repeated: a "step" of the joint stage, or the "evaluation" of two frames."""

    task: str
    splats: int = 30_000
    height: int = 512
    threads: int = 1

    @property
    def label(self) -> str:
        """As the table shows it."""
        size = f"{self.splats // 1000}k/{self.height}"
        return f"{self.task} {size}, {self.threads} thread{'s' * (self.threads > 1)}"


class Worker:
    """A source tree's process."""

    def __init__(self, tree: Path) -> None:
        """Start it; it ends with :meth:`close`."""
        environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_WAIT_POLICY": "PASSIVE"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_HERE / "_fit_worker.py")],
            env=environment,
            cwd=tree,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def time(self, workload: Workload) -> dict[str, float]:
        """Seconds of one call, "wall" and "cpu"."""
        request: dict[str, Any] = {**vars(workload), "count": _COUNT[workload.task]}
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the process of a tree ended with status {process.wait()}")
        found: dict[str, float] = json.loads(line)
        return found

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


@contextmanager
def _workers(trees: list[Path]) -> Iterator[list[Worker]]:
    workers = [Worker(tree) for tree in trees]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.close()


def beside(tree: Path, rounds: int) -> list[Result]:
    """This tree's steps and evaluation beside those of ``tree``, on one and on two threads."""
    results = []
    with _workers([_HERE.parent, tree]) as workers:
        for task in ("step", "evaluation"):
            for threads in (1, 2):
                workload = Workload(task, threads=threads)
                # Kinds of time of both trees, round after round.
                found = [[worker.time(workload) for worker in workers] for _ in range(rounds)]
                for kind in ("wall", "cpu"):
                    ours, theirs = np.median([[t[kind] for t in pair] for pair in found], axis=0)
                    results.append(
                        Result.versus(
                            f"{workload.label}: {kind}",
                            1e3 * float(ours),
                            "ms",
                            "lower",
                            str(tree),
                            peer_value=1e3 * float(theirs),
                        )
                    )
    return results


def growth(rounds: int) -> list[Result]:
    """How processor time of a step grows with splats and with pixels: exponents of power laws.

    The largest size beside the next smaller one, where what does not grow counts least.
    """
    splats = [Workload("step", splats=n) for n in (60_000, 120_000)]
    pixels = [Workload("step", height=h) for h in (704, 1024)]
    results = []
    with _workers([_HERE.parent]) as (worker,):
        for name, pair, ratio in (
            ("splats", splats, 2.0),
            ("pixels", pixels, (1024 / 704) ** 2),
        ):
            times = [[worker.time(w)["cpu"] for w in pair] for _ in range(rounds)]
            small, large = np.median(times, axis=0)
            slope = float(np.log(large / small) / np.log(ratio))
            results.append(Result(f"step time over {name}, exponent", slope, "", "lower"))
    return results
