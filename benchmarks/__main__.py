"""``python -m benchmarks NAME [--quick] [--threads N] [--json FILE] [options of its own]``."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
from pathlib import Path

import benchmarks
from benchmarks.framework import Options, Result, format_table, to_json

_NOT_WORKLOADS = {"__main__", "framework", "timing"}


def workload_names() -> list[str]:
    """Names of the modules of this package that are workloads."""
    found = (module.name for module in pkgutil.iter_modules(benchmarks.__path__))
    return sorted(n for n in found if n not in _NOT_WORKLOADS and not n.startswith("_"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure this package beside its peers."
    )
    parser.add_argument("name", choices=workload_names(), help="the workload to run")
    parser.add_argument("--quick", action="store_true", help="only the headline cases")
    parser.add_argument("--threads", type=int, help="threads for all (default: usable cores)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the results as JSON")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one workload, print its table and optionally save it."""
    args, rest = _parser().parse_known_args(argv)
    # OpenMP's threads spin while they wait, which ruins the peers' times on a busy machine. Read
    # when torch is loaded, so before the workload is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    module = importlib.import_module(f"benchmarks.{args.name}")
    own = argparse.ArgumentParser(prog=f"python -m benchmarks {args.name}")
    if hasattr(module, "add_options"):
        module.add_options(own)
    options = Options(quick=args.quick, threads=args.threads, own=own.parse_args(rest))
    results: list[Result] = module.run(options)
    print(format_table(results))
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(to_json(results), encoding="utf-8")
        print(f"wrote {args.json}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
