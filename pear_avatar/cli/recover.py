"""``pear-avatar recover``: people out of a picture, a folder, a video or a camera."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pear_avatar.cli.options import (
    Subparsers,
    add_command,
    add_detector_option,
    add_machine_options,
    add_model_file_options,
    add_network_options,
    add_output_folder,
    plan_outputs,
    positive_float,
    positive_int,
)
from pear_avatar.errors import EXIT_OK, EXIT_SKIPPED, EXIT_USER_ERROR, PearError
from pear_avatar.machine import limit_threads

if TYPE_CHECKING:
    from pear_avatar.commands.recover import RecoverSummary
    from pear_avatar.recovery.sources import LifterSource, PearSource

_EXAMPLES = """\
  pear-avatar recover photo.jpg
      writes ./photo-recovered: parameters (npz), joints (json), mesh (glb), overlay picture
  pear-avatar recover holiday-photos/ --all -o people
      all people in every picture, and a contact sheet
  pear-avatar recover dance.mp4 --mesh ply --smooth gaussian
  pear-avatar recover match.mp4 --all --joints-only
      each person keeps one number from frame to frame; no mesh is made
  pear-avatar recover 0
      the first camera: a live page in the browser; Ctrl-C ends it and writes the motion
  pear-avatar recover photo.jpg --checkpoint pear_model.pt --body-models ~/models
      the PEAR network with weights of your own, and the SMPL-X and FLAME files that it speaks of

The parameters are read by render --pose and by convert (AMASS, BVH, GLB and others).
"""

_FARTHEST_PIXEL = 1e6


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options."""
    parser = add_command(
        commands, "recover", "Recover posed bodies from a picture or video.", _EXAMPLES
    )
    parser.add_argument(
        "input",
        metavar="INPUT",
        help="a picture, a folder of them, a video, a camera's number (0), or a stream's address "
        "(rtsp://, http://: the only kind of input that uses the network)",
    )
    add_output_folder(parser, "result folder (default: ./<name of the input>-recovered)")
    _add_person_options(parser)
    _add_result_options(parser)
    parser.add_argument(
        "--camera",
        metavar="FILE:NAME",
        help="calibration (JSON: K, R, t, image_wh; OpenCV axes) instead of a usual lens",
    )
    parser.add_argument(
        "--max-frames",
        type=positive_int,
        metavar="N",
        help="at most N frames of a video, evenly over its length",
    )
    _add_network(parser)
    add_detector_option(parser)
    _add_live_options(parser)
    add_machine_options(parser)
    parser.set_defaults(run=run)


def _add_person_options(parser: argparse.ArgumentParser) -> None:
    """Which people."""
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--all", dest="everyone", action="store_true", help="all people")
    who.add_argument(
        "--person",
        type=_person_number,
        metavar="N",
        help="one person, numbered from 0, largest first (default: the largest)",
    )
    who.add_argument(
        "--box",
        type=_box,
        metavar="X0,Y0,X1,Y1",
        help="the person in this box, in pixels; in a video, in it when first seen",
    )


def _add_result_options(parser: argparse.ArgumentParser) -> None:
    """What is written."""
    parser.add_argument(
        "--joints-only", action="store_true", help="parameters and joints, but no mesh"
    )
    parser.add_argument(
        "--mesh", choices=("glb", "ply", "obj"), default="glb", help="kind of mesh (default: glb)"
    )
    parser.add_argument(
        "--smooth",
        choices=("auto", "one-euro", "gaussian", "off"),
        default="auto",
        help="over a video's frames (default: auto, the one-euro filter; pictures are left alone)",
    )
    parser.add_argument("--no-overlay", action="store_true", help="no overlay picture or video")


def _add_live_options(parser: argparse.ArgumentParser) -> None:
    """Of a camera or stream alone."""
    live = parser.add_argument_group("live input (camera or stream)")
    live.add_argument("--window", action="store_true", help="show it in a window, not on a page")
    live.add_argument(
        "--seconds", type=positive_float, metavar="S", help="stop after so many seconds"
    )
    live.add_argument("--no-browser", action="store_true", help="only print the page's address")


def _add_network(parser: argparse.ArgumentParser) -> None:
    """The options of users who bring the PEAR network's weights."""
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="weights of the PEAR network (pear_model.pt, formerly ehm_model_stage1.pt), to use "
        "it instead of the landmark lifter "
        "(also: PEAR_AVATAR_PEAR_CHECKPOINT)",
    )
    add_model_file_options(parser)
    add_network_options(parser, "auto")


def _person_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number such as 0, 1, 2")
    return int(text)


def _box(text: str) -> tuple[float, float, float, float]:
    try:
        x0, y0, x1, y1 = (float(v) for v in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a box such as 120,40,380,700 (x0,y0,x1,y1 in pixels)"
        ) from None
    if not all(abs(v) < _FARTHEST_PIXEL for v in (x0, y0, x1, y1)):
        raise argparse.ArgumentTypeError(f"{text!r}: a box is made of pixels of a picture")
    if not (x0 < x1 and y0 < y1):
        raise argparse.ArgumentTypeError(f"{text!r}: x0 must be below x1, and y0 below y1")
    return x0, y0, x1, y1


def _network(args: argparse.Namespace) -> LifterSource | PearSource:
    from pear_avatar.recovery.sources import pose_source

    return pose_source(
        args.checkpoint,
        args.device,
        args.body_models,
        args.gender or "neutral",
        convention=args.convention,
        precision=args.precision,
    )


def run(args: argparse.Namespace) -> int:
    """Recover, write, and say what was done and what was skipped."""
    from pear_avatar.cli.fit import camera_file
    from pear_avatar.commands.recover_inputs import resolve_input

    source = resolve_input(args.input)
    out: Path = args.output or Path.cwd() / f"{source.name}-recovered"
    args.kept_on_interrupt = f"What was finished is in {out}."
    if source.kind == "folder" and out.resolve() == Path(source.source).resolve():
        raise PearError(f"{out} holds the pictures: name another folder for the results with -o")
    calibration = None if args.camera is None else camera_file(args.camera)
    plan_outputs(args, [out / f"{source.name}.npz"], [source.source, args.checkpoint, calibration])
    limit_threads(args.threads)

    from pear_avatar.cli.fit import read_camera
    from pear_avatar.cli.progress import StageProgress
    from pear_avatar.commands.recover import RecoverOptions, recover_pictures

    options = RecoverOptions(
        everyone=args.everyone,
        person=args.person,
        box=args.box,
        mesh="none" if args.joints_only else args.mesh,
        smooth=args.smooth,
        overlay=not args.no_overlay,
        max_frames=args.max_frames,
        camera=read_camera(args.camera) if args.camera else None,
    )

    from pear_avatar.commands.recover_live import recover_live
    from pear_avatar.commands.recover_video import recover_video
    from pear_avatar.perception.detectors import DEFAULT_DETECTOR, load_detectors
    from pear_avatar.perception.picture import PictureDetector
    from pear_avatar.recovery.recoverer import Recoverer

    found: RecoverSummary
    network = _network(args)
    detector = PictureDetector(load_detectors(args.detector or DEFAULT_DETECTOR))
    with Recoverer(network, detector) as recoverer:
        if source.is_live:
            found = recover_live(
                source,
                out,
                options,
                recoverer,
                window=args.window,
                browser=not args.no_browser,
                seconds=args.seconds,
                log=lambda line: print(line, file=sys.stderr),
            )
        else:
            work = recover_video if source.kind == "video" else recover_pictures
            with StageProgress() as progress:
                found = work(source, out, options, recoverer, progress=progress)
    return _summary(found)


def _summary(found: RecoverSummary) -> int:
    """Say what was done and what was skipped; the exit code."""
    for skipped in found.skipped:
        print(f"pear-avatar: skipped: {skipped.reason}", file=sys.stderr)
    people = "1 person" if found.people == 1 else f"{found.people} people"
    print(f"{people} recovered: {found.folder}")
    if found.skipped and len(found.skipped) == found.inputs:
        return EXIT_USER_ERROR
    return EXIT_SKIPPED if found.skipped else EXIT_OK
