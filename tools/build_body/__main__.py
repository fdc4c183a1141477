"""Build the open body, or check the shipped file: ``python -m tools.build_body -h``."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

import numpy as np

from tools.build_body.assemble import build_open_body
from tools.build_body.compare import differences
from tools.build_body.write import write_npz

_ROOT = Path(__file__).resolve().parents[2]
_SHIPPED = _ROOT / "pear_avatar" / "body" / "assets" / "open_body.npz"
_log = logging.getLogger("tools.build_body")


def main(arguments: list[str] | None = None) -> int:
    """0 when built, or when ``--check`` found the rebuilt body equal to the file."""
    parser = argparse.ArgumentParser(prog="python -m tools.build_body", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=_SHIPPED, help="file to write")
    parser.add_argument(
        "--check", action="store_true", help="compare a rebuild with the file, write nothing"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    arrays = build_open_body()
    for name, value in json.loads(str(arrays["meta"]))["figures"].items():
        _log.info("%-34s %8.3f mm", name, value)
    if options.check:
        with np.load(options.output, allow_pickle=False) as shipped:
            found = differences(arrays, dict(shipped))
        for line in found:
            _log.error(line)
        _log.info("%s: %s", options.output, "differs" if found else "matches the rebuilt body")
        return 1 if found else 0
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_npz(options.output, arrays)
    _log.info("wrote %s, %.2f MB", options.output, options.output.stat().st_size / 1e6)
    return 0


if __name__ == "__main__":
    sys.exit(main())
