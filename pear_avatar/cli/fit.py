"""``pear-avatar fit``: a video goes in, an avatar comes out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pear_avatar.cli.options import (
    Subparsers,
    add_body_options,
    add_command,
    add_detector_option,
    add_machine_options,
    add_output_folder,
    plan_outputs,
    positive_int,
)
from pear_avatar.errors import EXIT_OK, ConfigError, PearError, require_file
from pear_avatar.machine import limit_threads

if TYPE_CHECKING:
    from pear_avatar.perception.everyone import PersonChoice
    from pear_avatar.types import Camera

_EXAMPLES = """\
  pear-avatar fit holiday.mp4
      writes ./holiday-avatar: avatar.safetensors, track.npz, report.html, preview.mp4, ...
  pear-avatar fit holiday.mp4 -o me --preset fast
      a first look within minutes
  pear-avatar fit holiday.mp4 --set fitting.num_splats=60000 --set fitting.joint_steps=12000
  pear-avatar fit lab.mp4 --camera cameras.json:cam01
      a calibrated camera instead of a guessed one
  pear-avatar fit party.mp4 --at 640,300,0
      the person who covers pixel 640, 300 of the first frame, where there are several
  pear-avatar fit holiday.mp4 --body smplx --body-models ~/models
      SMPL-X with a FLAME head, from files of your own, instead of the open body

The same command run again continues a fit that was stopped.
"""


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options."""
    parser = add_command(commands, "fit", "Fit an avatar to a video of one person.", _EXAMPLES)
    parser.add_argument("video", type=Path, metavar="VIDEO", help="a video with one person in it")
    add_output_folder(parser, "result folder (default: ./<name of the video>-avatar)")
    parser.add_argument(
        "--preset",
        default="default",
        metavar="NAME",
        help="fast, default, high, or a YAML file of overrides (default: default)",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change one setting; may be given many times (config.yaml in a result lists all)",
    )
    parser.add_argument(
        "--unseen-tail",
        action="store_true",
        help="keep the last 20%% of the clip out of the fit and measure it too",
    )
    parser.add_argument(
        "--camera",
        metavar="FILE:NAME",
        help="calibration (JSON: K, R, t, image_wh; OpenCV axes) and the camera's name in it",
    )
    parser.add_argument(
        "--max-frames",
        type=positive_int,
        metavar="N",
        help="use at most N frames, evenly over the whole clip",
    )
    add_detector_option(parser)
    parser.add_argument(
        "--tensorboard",
        action="store_true",
        help="write the curve of every loss for TensorBoard, into DIR/tensorboard",
    )
    _add_person_options(parser)
    add_body_options(parser)
    add_machine_options(parser)
    parser.set_defaults(run=run)


def _add_person_options(parser: argparse.ArgumentParser) -> None:
    """Which of several people."""
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        "--person",
        type=positive_int,
        metavar="N",
        help="which of several people: 1 (default) is the largest, most central, longest seen",
    )
    who.add_argument(
        "--at",
        metavar="X,Y,FRAME",
        help="the person who covers this pixel of this frame (frames count from 0)",
    )


def default_output(video: Path) -> Path:
    """Where results of a video go when no folder is named: beside where the user stands."""
    return Path.cwd() / f"{video.stem}-avatar"


def result_files(folder: Path) -> list[Path]:
    """The files by which a fit's result is known."""
    names = "avatar.safetensors track.npz config.yaml report.json report.html preview.mp4"
    return [folder / name for name in (*names.split(), "overlay.mp4")]


def camera_file(spec: str) -> Path:
    """The file of ``FILE:NAME`` or ``FILE``."""
    path, colon, _ = spec.rpartition(":")
    return Path(path if colon and not Path(spec).is_file() else spec)


def read_camera(spec: str) -> Camera:
    """The camera of ``FILE:NAME``, or of ``FILE`` where it holds only one."""
    from pear_avatar.tracking.calibration import load_camera

    path = camera_file(spec)
    name = spec[len(str(path)) + 1 :]
    return load_camera(require_file(path, "camera file"), name or None)


def read_choice(number: int | None, at: str | None) -> PersonChoice | None:
    """Whom ``--person`` or ``--at`` means; None without either."""
    from pear_avatar.perception.everyone import PersonChoice

    if at is None:
        return None if number is None else PersonChoice(number=number)
    try:
        x, y, frame = at.split(",")
        return PersonChoice(at=(float(x), float(y), int(frame)))
    except ValueError as error:
        if isinstance(error, PearError):
            raise
        raise ConfigError(f"--at {at}: give x, y and a frame number, as 640,300,0") from None


def run(args: argparse.Namespace) -> int:
    """Fit and print the figures."""
    video = require_file(args.video, "video")
    out_dir: Path = args.output or default_output(video)
    args.kept_on_interrupt = (
        f"What was done is kept in {out_dir}; run the same command again to go on."
    )
    limit_threads(args.threads)

    from pear_avatar.cli.progress import StageProgress
    from pear_avatar.cli.summary import print_fit_summary
    from pear_avatar.commands.configuration import load_fit_config

    overrides = list(args.overrides)
    if args.max_frames:
        overrides.append(f"clip.max_frames={args.max_frames}")
    if args.device != "auto":
        overrides.append(f"device={args.device}")
    if args.detector:
        overrides.append(f"perception.detector={args.detector}")
    if args.body:
        overrides.append(f"body.name={args.body}")
    if args.gender:
        overrides.append(f"body.gender={args.gender}")
    if args.tensorboard:
        overrides.append("output.tensorboard=true")
    config = load_fit_config(args.preset, overrides)
    calibration = None if args.camera is None else camera_file(args.camera)
    plan_outputs(args, result_files(out_dir), [video, args.preset, calibration])

    # Settings are checked before the heavy imports, so that a mistake is reported at once.
    camera = read_camera(args.camera) if args.camera else None
    person = read_choice(args.person, args.at)

    from pear_avatar.commands.fit import fit_video

    with StageProgress() as progress:
        fit_video(
            video,
            out_dir,
            config,
            camera=camera,
            body_models=args.body_models,
            person=person,
            unseen_tail=args.unseen_tail,
            progress=progress,
        )
    print_fit_summary(out_dir)
    return EXIT_OK
