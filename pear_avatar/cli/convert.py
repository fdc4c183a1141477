"""``pear-avatar convert``: motion files of one program into those of another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pear_avatar.choices import NPZ_LAYOUTS, BodyName
from pear_avatar.cli.options import (
    Subparsers,
    add_body_options,
    add_command,
    add_force_option,
    add_rig_options,
    plan_outputs,
    positive_float,
    rig_style,
)
from pear_avatar.errors import (
    EXIT_OK,
    EXIT_SKIPPED,
    EXIT_USER_ERROR,
    PearError,
)

if TYPE_CHECKING:
    from torch import Tensor

    from pear_avatar.commands.convert import Converted, ConvertOptions, Outcome

_EXAMPLES = """\
  pear-avatar convert dance.bvh dance.npz              to AMASS (SMPL-X)
  pear-avatar convert 01_01.amc walk.glb               needs 01.asf beside it, or --skeleton
  pear-avatar convert *.bvh --to npz -o out/           many at once
  pear-avatar convert walk.npz walk.bvh --fps 30 --start 1 --end 5
  pear-avatar convert hmr4d_results.pt clip.npz --camera-space
  pear-avatar convert track.npz 'meshes/*.obj'         one mesh a frame, in meshes/
  pear-avatar convert dance.bvh osc://127.0.0.1:9000 --loop

In: what a file holds decides, not its ending; nothing in it is ever executed.
{motion formats}

Out: by ending: .npz (see --layout), .bvh, .csv (joint positions), .glb, .gltf, .pmo (to be
     dropped onto an exported web page), FOLDER/*.obj, FOLDER/*.ply, osc://HOST:PORT (UDP:
     /pear/frame, /pear/root, /pear/joint/NAME as quaternions x y z w, /pear/expression, /pear/end).
"""


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options."""
    parser = add_command(
        commands, "convert", "Convert motions between file formats, or stream them.", _EXAMPLES
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="IN", help="motion files; without -o the last is OUT"
    )
    parser.add_argument("-o", "--output", metavar="OUT", help="a file, or a folder with --to")
    parser.add_argument(
        "--to", metavar="ENDING", help="npz, bvh, csv, glb, gltf, pmo, obj or ply, for many files"
    )
    parser.add_argument(
        "--layout",
        choices=tuple(NPZ_LAYOUTS),
        default="amass",
        help="names in npz files: "
        + ", ".join(f"{name} ({what})" for name, what in NPZ_LAYOUTS.items())
        + " (default: amass)",
    )
    _add_motion_options(parser)
    _add_source_options(parser)
    add_force_option(parser)
    parser.set_defaults(run=run)


def _add_motion_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the motion")
    group.add_argument("--fps", type=positive_float, metavar="F", help="frame rate of the result")
    group.add_argument("--start", type=seconds, metavar="S", help="cut: from this second on")
    group.add_argument("--end", type=seconds, metavar="S", help="cut: up to this second")
    group.add_argument(
        "--frames", type=frame_range, metavar="A:B", help="cut: frames A up to, not including, B"
    )
    group.add_argument(
        "--body-height", type=positive_float, metavar="M", help="make the person this tall"
    )
    group.add_argument(
        "--betas", metavar="WHAT", help="shape of the person: numbers b0,b1,... or one of our npz"
    )
    group.add_argument("--name", metavar="NAME", help="name inside files that hold one")
    group.add_argument(
        "--bvh-order",
        type=str.upper,
        choices=("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"),
        default="ZXY",
        help="Euler angles of BVH files (default: ZXY)",
    )
    group.add_argument(
        "--bvh-unit", choices=("cm", "m"), default="cm", help="lengths in BVH files (default: cm)"
    )
    group.add_argument("--loop", action="store_true", help="stream again and again until Ctrl-C")


def _add_source_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what the source does not say")
    group.add_argument(
        "--up", choices=("y", "z", "-y"), help="its axis that points up (-y: camera axes)"
    )
    group.add_argument(
        "--source-fps", type=positive_float, metavar="F", help="its frame rate, if it has none"
    )
    group.add_argument("--skeleton", type=Path, metavar="ASF", help="skeleton of an .amc file")
    group.add_argument(
        "--camera-space", action="store_true", help="GVHMR: the motion as the camera sees it"
    )
    add_body_options(parser)
    add_rig_options(parser)
    parser.add_argument(
        "--report",
        action="store_true",
        help="list the source joint behind each joint of the body",
    )
    parser.add_argument(
        "--report-json", action="store_true", help="write it beside the result as NAME.report.json"
    )


def run(args: argparse.Namespace) -> int:
    """Convert and say where the results lie."""
    inputs, output = _paths(args)
    args.kept_on_interrupt = "Files that were finished are kept; the one in work is not."
    read = [*inputs, args.skeleton, args.betas]
    files = [Path(output)] if _is_one_file(args, inputs, output) else []
    plan_outputs(args, files, read)
    options = _options(args)
    if args.to is None and len(inputs) == 1:
        return _convert_one(args, inputs[0], output, options)
    return _convert_many(args, inputs, Path(output), options)


def _is_one_file(args: argparse.Namespace, inputs: list[Path], output: str) -> bool:
    stream = output.startswith("osc:")
    return args.to is None and len(inputs) == 1 and not stream and Path(output).stem != "*"


def _convert_one(
    args: argparse.Namespace, source: Path, output: str, options: ConvertOptions
) -> int:
    from pear_avatar.commands.convert import convert_file, output_kind

    if output_kind(output) == "osc":
        _announce_stream(output, args.loop)
        args.kept_on_interrupt = "The stream has ended."
    done = convert_file(source, output, options, report=args.report_json)
    print(_line(source, done))
    if args.report:
        _print_report(done)
    return EXIT_OK


def _convert_many(
    args: argparse.Namespace, inputs: list[Path], folder: Path, options: ConvertOptions
) -> int:
    from pear_avatar.commands.convert import convert_all

    if args.to is None:
        raise PearError("with several inputs say what they become: --to npz -o FOLDER")
    if folder.suffix and not folder.is_dir():
        raise PearError(f"{folder} looks like a file: name a folder with -o")
    if folder.is_file():
        raise PearError(f"{folder} is a file: name a folder with -o")

    def log_outcome(outcome: Outcome) -> None:
        if outcome.result is None:
            print(f"skipped {outcome.source}: {outcome.error}", flush=True)
            return
        print(_line(outcome.source, outcome.result), flush=True)
        if args.report:
            _print_report(outcome.result)

    outcomes = convert_all(
        inputs, folder, args.to, options, reports=args.report_json, on_done=log_outcome
    )
    skipped = sum(outcome.result is None for outcome in outcomes)
    if skipped:
        print(f"{skipped} of {len(outcomes)} files were skipped")
    if skipped == len(outcomes):
        return EXIT_USER_ERROR
    return EXIT_SKIPPED if skipped else EXIT_OK


def _paths(args: argparse.Namespace) -> tuple[list[Path], str]:
    """The inputs, and the output: ``-o``, or else the last argument."""
    inputs, output = list(args.inputs), args.output
    if output is None:
        if len(inputs) < 2:
            raise PearError(f"say where {inputs[0]} shall go: pear-avatar convert IN OUT")
        output = inputs.pop()
    return [Path(i) for i in inputs], output


def _options(args: argparse.Namespace) -> ConvertOptions:
    from pear_avatar.body.sources import BodySource
    from pear_avatar.commands.convert import ConvertOptions
    from pear_avatar.motion.formats.read_options import ReadOptions

    source = BodySource(args.body or BodyName.OPEN, args.body_models, args.gender or "neutral")
    return ConvertOptions(
        read=ReadOptions(
            up_axis=args.up,
            frame_rate=args.source_fps,
            skeleton=args.skeleton,
            camera_space=args.camera_space,
        ),
        body=source,
        fps=args.fps,
        start=args.start,
        end=args.end,
        frames=args.frames,
        betas=None if args.betas is None else _betas(args.betas),
        body_height=args.body_height,
        name=args.name,
        layout=args.layout,
        order=args.bvh_order,
        unit=args.bvh_unit,
        loop=args.loop,
        rig=rig_style(args),
    )


def _betas(text: str) -> Tensor:
    """Numbers between commas, or the shape in one of our files."""
    import torch

    from pear_avatar.motion.formats.registry import load_motion

    if Path(text).suffix:
        try:
            return torch.tensor([float(text)])
        except ValueError:
            return load_motion(text).params.betas
    try:
        values = torch.tensor([float(word) for word in text.split(",")])
    except ValueError:
        raise PearError(f"--betas must be numbers b0,b1,... or an npz file, got {text!r}") from None
    if not bool(torch.isfinite(values).all()) or float(values.abs().max()) > 20:
        raise PearError(f"--betas must be within 20 standard deviations, got {text!r}")
    return values


def _announce_stream(output: str, loop: bool) -> None:
    from pear_avatar.motion.osc import OscTarget

    target = OscTarget.parse(output)
    if not target.is_loopback:
        print(f"warning: the motion goes over the network, unencrypted, to {target.host}")
    until = ", again and again until Ctrl-C" if loop else ""
    print(f"streaming to {target.host}:{target.port} over UDP{until}", flush=True)


def _line(source: Path, done: Converted) -> str:
    motion = done.motion
    return (
        f"{source} ({done.source.layout}) -> {done.target}: {motion.params.num_frames} frames at "
        f"{motion.fps:.4g} fps"
    )


def _print_report(done: Converted) -> None:
    if done.source.report is None:
        print("  parameters of the SMPL family: joints were taken over as they are")
    else:
        print("  " + done.source.report.table().replace("\n", "\n  "))


def seconds(text: str) -> float:
    """A number of seconds, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def frame_range(text: str) -> tuple[int | None, int | None]:
    """``A:B``; either may be left out."""
    first, colon, last = text.partition(":")
    if colon and all(part == "" or part.isdecimal() for part in (first, last)):
        low, high = (int(part) if part else None for part in (first, last))
        if high is None or (low or 0) < high:
            return low, high
    raise argparse.ArgumentTypeError(f"{text!r} is not a range of frames such as 10:200")
