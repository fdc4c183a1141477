"""``pear-avatar synthetic``: a clip of a synthetic person with known truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from pear_avatar.cli.options import (
    Subparsers,
    add_command,
    add_force_option,
    image_size,
    plan_outputs,
    positive_int,
    seed_number,
)
from pear_avatar.errors import EXIT_OK
from pear_avatar.machine import limit_threads

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
    parser.add_argument(
        "--frames",
        type=positive_int,
        default=120,
        metavar="N",
        help="length of the clip (default: 120)",
    )
    parser.add_argument(
        "--size",
        type=image_size,
        default=(512, 640),
        metavar="WxH",
        help="pixels (default: 512x640)",
    )
    parser.add_argument("--seed", type=seed_number, default=0, help="another person (default: 0)")
    add_force_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the clip and say where it lies."""
    limit_threads()
    args.kept_on_interrupt = "No clip was written; run the same command again."

    from pear_avatar.body import load_body
    from pear_avatar.cli.progress import StageProgress
    from pear_avatar.synthesis.synthetic_clip import (
        TRUTH_NAME,
        UNSEEN_NAME,
        VIDEO_NAME,
        make_synthetic_clip,
    )

    names = (VIDEO_NAME, TRUTH_NAME, UNSEEN_NAME)
    plan_outputs(args, [args.output / name for name in names], [])
    with StageProgress() as progress:
        clip = make_synthetic_clip(
            args.output,
            load_body(),
            seed=args.seed,
            num_frames=args.frames,
            size=args.size,
            progress=progress,
        )
    print(f"video: {clip.video}")
    print(f"truth: {args.output / TRUTH_NAME} and {args.output / UNSEEN_NAME}")
    return EXIT_OK
