"""``pear-avatar demo``: the whole chain on a synthetic person, measured against the truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from pear_avatar.cli.options import (
    Subparsers,
    add_command,
    add_force_option,
    add_machine_options,
    plan_outputs,
)
from pear_avatar.errors import EXIT_OK, require_file
from pear_avatar.machine import limit_threads

_EXAMPLES = """\
  pear-avatar demo
      makes a synthetic clip, fits it, renders an unseen motion, prints the distance to the truth
  pear-avatar demo --video holiday.mp4 -o holiday-demo
      the same on your own video, where there is no truth to compare with
"""


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options."""
    parser = add_command(
        commands, "demo", "Show the whole chain on a synthetic person, or on a video.", _EXAMPLES
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("demo-out"),
        metavar="DIR",
        help="result folder (default: ./demo-out)",
    )
    parser.add_argument("--video", type=Path, metavar="PATH", help="a video of your own")
    parser.add_argument(
        "--preset", default="default", metavar="NAME", help="as for `fit` (default: default)"
    )
    add_machine_options(parser)
    add_force_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo and print its figures."""
    video = require_file(args.video, "video") if args.video else None
    args.kept_on_interrupt = (
        f"What was done is kept in {args.output}; run the same command again to go on."
    )
    limit_threads(args.threads)

    from pear_avatar.cli.fit import result_files
    from pear_avatar.cli.progress import StageProgress
    from pear_avatar.cli.summary import print_demo_summary
    from pear_avatar.commands.configuration import load_fit_config
    from pear_avatar.commands.demo import demo_folder, run_demo

    load_fit_config(args.preset, {"device": args.device})  # a wrong preset is reported at once
    plan_outputs(args, result_files(demo_folder(args.output, video)), [video, args.preset])
    with StageProgress() as progress:
        result = run_demo(
            args.output,
            video=video,
            preset=args.preset,
            device=args.device,
            progress=progress,
        )
    print_demo_summary(result)
    return EXIT_OK
