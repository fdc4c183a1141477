"""``python -m standins DIR``: write stand-ins for licensed model files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from standins.write import write_standins


def main() -> int:
    """Write the files and name them."""
    parser = argparse.ArgumentParser(
        prog="python -m standins",
        description="Write files in the layout of SMPL-X, FLAME and MANO with open geometry.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    args = parser.parse_args()
    folder = write_standins(args.folder)
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            sys.stdout.write(f"{path} ({path.stat().st_size / 2**20:.1f} MiB)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
