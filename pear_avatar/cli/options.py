"""Options that several commands share, and their conversion from text."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pear_avatar.choices import BodyName, BoneNames, Convention, Precision, RootKind, Travel

if TYPE_CHECKING:
    from pear_avatar.export.rig import RigStyle

#: Stands in examples for the list of motion formats, which costs too much to make unless asked.
MOTION_FORMATS = "{motion formats}"

#: What ``argparse`` calls the object that ``add_subparsers`` returns; it is generic and private.
Subparsers = Any


def add_command(commands: Subparsers, name: str, summary: str, examples: str) -> Any:
    """A sub-parser with examples under its options and ``-v`` among them."""
    parser = commands.add_parser(
        name,
        help=summary[0].lower() + summary[1:].rstrip("."),
        description=summary,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="log each step")
    return parser


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """``--threads`` and ``--device``."""
    add_threads_option(parser)
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where to compute (default: auto, a GPU if there is one)",
    )


def add_threads_option(parser: argparse.ArgumentParser) -> None:
    """``--threads``."""
    parser.add_argument(
        "--threads",
        type=positive_int,
        metavar="N",
        help="processor threads (default: all cores that are granted)",
    )


def add_detector_option(parser: argparse.ArgumentParser) -> None:
    """``--detector``, which the configuration knows as ``perception.detector``."""
    parser.add_argument(
        "--detector",
        metavar="NAME",
        help="networks that detect people: mediapipe, or those of an installed package that "
        "registers some (entry points pear_avatar.detectors)",
    )


def add_network_options(parser: argparse.ArgumentParser, precision: Precision) -> None:
    """Add the options of how a PEAR checkpoint is run; ``precision`` is the default."""
    parser.add_argument(
        "--convention",
        choices=get_args(Convention),
        default="pear",
        help="crops and body of a PEAR checkpoint: pear, as its authors' program has them "
        "(default), or eased: wide boxes seen whole, averaged crops, no jump at the neck",
    )
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        default=precision,
        help="numbers of a PEAR checkpoint's products; auto takes bfloat16 where it is faster, "
        f"which turns joints by half a degree (default: {precision})",
    )


def add_body_options(parser: argparse.ArgumentParser) -> None:
    """``--body``, ``--gender`` and ``--body-models``."""
    parser.add_argument(
        "--body",
        choices=[body.value for body in BodyName],
        help="open (ships with the package, the default), or smplx with model files of your own",
    )
    add_model_file_options(parser)


def add_model_file_options(parser: argparse.ArgumentParser) -> None:
    """``--gender`` and ``--body-models``: which licensed files, and where they are."""
    parser.add_argument(
        "--gender",
        choices=("neutral", "male", "female"),
        help="which SMPL-X file (default: neutral)",
    )
    parser.add_argument(
        "--body-models",
        type=Path,
        metavar="DIR",
        help="folder of SMPL-X and FLAME model files (default: the environment variable "
        "PEAR_AVATAR_BODY_MODELS); pear-avatar assets checks it",
    )


def add_rig_options(parser: argparse.ArgumentParser) -> None:
    """``--root``, ``--bones`` and ``--travel``: the skeleton of files for other programs."""
    group = parser.add_argument_group("the skeleton of meshes")
    group.add_argument(
        "--root",
        choices=get_args(RootKind),
        default="floor",
        help="floor: stands at the origin, a root joint above the pelvis, bones along the limbs "
        "(default); pelvis: the pelvis comes first, joints have the world's axes",
    )
    group.add_argument(
        "--bones",
        choices=get_args(BoneNames),
        default="smplx",
        help="whose joint names (default: smplx)",
    )
    group.add_argument(
        "--travel",
        choices=get_args(Travel),
        default="root",
        help="what carries the way over the floor: the root joint (root motion, the default), "
        "the pelvis, or nothing (in-place)",
    )


def rig_style(args: argparse.Namespace) -> RigStyle:
    """What :func:`add_rig_options` was answered."""
    from pear_avatar.export.rig import RigStyle

    return RigStyle(args.root, args.bones, args.travel)


def add_force_option(parser: argparse.ArgumentParser) -> None:
    """``--force``; :func:`plan_outputs` obeys it."""
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace files that pear-avatar did not make, too (inputs never)",
    )


def add_output_folder(parser: argparse.ArgumentParser, summary: str) -> None:
    """``-o`` for a folder, and ``--force``."""
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help=summary)
    add_force_option(parser)


def plan_outputs(
    args: argparse.Namespace,
    outputs: Iterable[str | Path],
    inputs: Iterable[str | Path | None],
) -> None:
    """Check the outputs before any work, and protect the inputs and the user's files until the end.

    Args:
        args: of a command with ``--force``.
        outputs: the files that will be written, as far as they are known.
        inputs: the files that are read; None stands for an option that was left out.

    Raises:
        PearError: an output is an input, is not of this program, or cannot be written.
    """
    from pear_avatar.io.replacing import check_outputs, rules_for_outputs

    rules_for_outputs([path for path in inputs if path is not None], force=args.force)
    check_outputs(outputs)


def seed_number(text: str) -> int:
    """A whole number from 0 to 2^32 - 1, which every random generator takes."""
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else -1
    if not 0 <= value < 1 << 32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 4294967295")
    return value


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text) if text.isascii() and text.isdigit() and len(text) <= 12 else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def positive_float(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def image_size(text: str) -> tuple[int, int]:
    """``WxH`` in pixels, such as ``720x1280``; both even, as H.264 wants them."""
    width, _, height = text.lower().partition("x")
    if not (all(s.isascii() and s.isdigit() and len(s) < 6 for s in (width, height))):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 720x1280")
    size = int(width), int(height)
    if not all(16 <= side <= 8192 and side % 2 == 0 for side in size):
        raise argparse.ArgumentTypeError(f"{text!r}: sides must be even, from 16 to 8192")
    return size
