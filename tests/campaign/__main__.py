"""``python -m tests.campaign``: try every case and print the table of what was tried."""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .base_files import make_base_files
from .case import Case
from .cases import all_cases
from .runner import Runner


def try_all(cases: Sequence[Case], folder: Path, jobs: int) -> list[tuple[Case, list[str]]]:
    """Try cases with so many side by side; the cases with what is wrong with each."""
    waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
    for case in cases:
        waiting.put(case)
    results: list[tuple[Case, list[str]]] = []

    def work(number: int) -> None:
        with Runner(folder / f"job{number}", folder / "base") as runner:
            while True:
                try:
                    case = waiting.get_nowait()
                except queue.Empty:
                    return
                found = runner.try_case(case)
                results.append((case, found))
                if found:
                    print(f"FAULT {case.group} / {case.name}: {'; '.join(found)}", flush=True)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def table(results: Sequence[tuple[Case, list[str]]]) -> str:
    """Tried, fine and fault, by group."""
    tried = Counter(case.group for case, _ in results)
    bad = Counter(case.group for case, found in results if found)
    lines = [f"{'':<34}{'tried':>7}{'fine':>7}{'fault':>7}"]
    for group in tried:
        lines.append(f"{group:<34}{tried[group]:>7}{tried[group] - bad[group]:>7}{bad[group]:>7}")
    total, faults = sum(tried.values()), sum(bad.values())
    lines.append(f"{'all':<34}{total:>7}{total - faults:>7}{faults:>7}")
    return "\n".join(lines)


def main() -> int:
    """Try what the arguments select; exit code 1 where there is a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    parser.add_argument("--jobs", type=int, default=max(1, len(os.sched_getaffinity(0))))
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="cases whose group or name holds it"
    )
    parser.add_argument("--flips", type=int, default=6, help="scrambled copies of each file")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th case")
    parser.add_argument("--folder", type=Path, help="keep the files of faults here")
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="campaign-"))
    make_base_files(folder / "base")
    cases = [
        c for c in all_cases(folder / "base", args.flips) if args.only in f"{c.group} / {c.name}"
    ]
    results = try_all(cases[:: args.every], folder, args.jobs)
    print(table(results))
    faults = any(found for _, found in results)
    if faults:
        print(f"the files of the faults are in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
