"""``pear-avatar synth``: labelled pictures of synthetic people, in shards."""

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
from pear_avatar.machine import available_cores, limit_threads

_EXAMPLES = """\
  pear-avatar synth --count 64 -o people --sheet people/sheet.jpg
      64 labelled pictures of 64 people, and one picture of them all
  pear-avatar synth --count 100000 -o train --mocap recordings --seed 1
      poses from motion capture as well; run it again after an interruption and it goes on
  pear-avatar synth --count 1000 -o own --backgrounds photos --size 384x384
"""
#: Pictures for which a person is dressed once, in large sets.
_USUAL_PER_PERSON = 64


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options."""
    parser = add_command(
        commands,
        "synth",
        "Make labelled pictures of synthetic people, in shards that webdataset reads.",
        _EXAMPLES,
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the shards"
    )
    parser.add_argument(
        "--count", type=positive_int, required=True, metavar="N", help="how many pictures"
    )
    parser.add_argument(
        "--size",
        type=image_size,
        default=(256, 256),
        metavar="WxH",
        help="pixels (default: 256x256)",
    )
    parser.add_argument("--seed", type=seed_number, default=0, help="another set (default: 0)")
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE", help="also write the first 64 pictures on one"
    )
    parser.add_argument(
        "--mocap", type=Path, metavar="DIR", help="folder of motion files to take poses from"
    )
    parser.add_argument(
        "--backgrounds",
        type=Path,
        metavar="DIR",
        help="folder of pictures, and panoramas (.hdr, .exr) that light the people too",
    )
    parser.add_argument(
        "--people",
        type=positive_int,
        metavar="N",
        help="different people at least (default: 64, and one more for every 64 pictures)",
    )
    parser.add_argument(
        "--no-maps", action="store_true", help="leave out class, depth and normal maps"
    )
    parser.add_argument(
        "--per-shard",
        type=positive_int,
        default=256,
        metavar="N",
        help="pictures in a shard (default: 256)",
    )
    parser.add_argument(
        "--processes",
        type=positive_int,
        metavar="N",
        help="how many work side by side (default: all cores that are granted)",
    )
    add_force_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the set and say where it lies."""
    limit_threads(1)
    args.kept_on_interrupt = "Whole shards are kept; run the same command again to go on."

    from pear_avatar.cli.progress import StageProgress
    from pear_avatar.commands.synth import make_synthetic_set
    from pear_avatar.synthesis.shards import SynthOptions

    per_person = min(_USUAL_PER_PERSON, max(1, args.count // (args.people or 64)))
    # At least sixteen shards, so that many processes have work, with whole people in each.
    share = -(-args.count // 16)
    per_shard = min(args.per_shard, -(-share // per_person) * per_person)
    options = SynthOptions(
        count=args.count,
        seed=args.seed,
        size=args.size,
        per_shard=per_shard,
        per_person=per_person,
        mocap=None if args.mocap is None else str(args.mocap),
        backgrounds=None if args.backgrounds is None else str(args.backgrounds),
        maps=not args.no_maps,
    )
    plan_outputs(args, [args.output / "dataset.json", *([args.sheet] if args.sheet else [])], [])
    with StageProgress() as progress:
        made = make_synthetic_set(
            options,
            args.output,
            processes=args.processes or available_cores(),
            sheet=args.sheet,
            progress=progress,
        )
    print(f"shards: {len(made.shards)} with {made.count} pictures in {args.output}")
    if made.sheet is not None:
        print(f"sheet: {made.sheet}")
    return EXIT_OK
