"""``pear-avatar synthetic``: a clip of a synthetic person with known truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from pear_avatar.cli.options import Subparsers, add_command, positive_int
from pear_avatar.pipeline.machine import limit_threads

_EXAMPLES = """\
  pear-avatar synthetic -o person
      writes person/clip.mp4 and the true poses, shape and cameras beside it
  pear-avatar synthetic -o person --frames 120 --seed 3
"""


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options."""
    parser = add_command(
        commands,
        "synthetic",
        "Make a short clip of a synthetic person with known truth.",
        _EXAMPLES,
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="result folder"
    )
    parser.add_argument("--frames", type=positive_int, metavar="N", help="length of the clip")
    parser.add_argument("--seed", type=int, default=0, help="another person (default: 0)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the clip and say where it lies."""
    limit_threads()
    raise NotImplementedError
