"""``pear-avatar render``: an avatar in a new motion."""

from __future__ import annotations

import argparse
from pathlib import Path

from pear_avatar.cli.options import (
    Subparsers,
    add_command,
    add_force_option,
    add_machine_options,
    image_size,
    plan_outputs,
    positive_float,
    positive_int,
)
from pear_avatar.commands.find_avatars import find_avatar
from pear_avatar.errors import (
    EXIT_OK,
    require_file,
)
from pear_avatar.machine import limit_threads

_EXAMPLES = """\
  pear-avatar render --pose dance.npz -o dance.mp4
      the newest avatar under the current folder dances
  pear-avatar render holiday-avatar --pose walk.bvh --camera orbit -o walk.mp4
  pear-avatar render me/avatar.safetensors --pose wave.npz --background transparent -o frames/
      numbered PNG pictures with alpha
  pear-avatar render --pose pose.npz --camera turntable --size 720x1280 -o turn.mp4

Poses, as convert reads them:
{motion formats}
"""


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options."""
    parser = add_command(commands, "render", "Render an avatar in a new motion.", _EXAMPLES)
    parser.add_argument(
        "avatar",
        nargs="?",
        type=Path,
        metavar="AVATAR",
        help="avatar file or result folder (default: the newest one under the current folder)",
    )
    parser.add_argument("--pose", type=Path, required=True, metavar="FILE", help="the motion")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="PATH",
        help="an .mp4 file, or a folder for numbered PNG pictures",
    )
    parser.add_argument(
        "--camera",
        choices=("clip", "orbit", "fixed", "turntable"),
        default="fixed",
        help="clip: the video's own camera; fixed: one that sees the whole motion; orbit: circles "
        "the moving person; turntable: circles the first pose (default: fixed)",
    )
    parser.add_argument(
        "--background",
        default="white",
        metavar="WHAT",
        help="white, #rrggbb, transparent (PNG pictures only) or a picture file (default: white)",
    )
    parser.add_argument(
        "--size", type=image_size, metavar="WxH", help="pixels (default: 512x512, clip: its own)"
    )
    parser.add_argument(
        "--fps", type=positive_float, metavar="F", help="frame rate (default: the motion's)"
    )
    parser.add_argument(
        "--max-frames", type=positive_int, metavar="N", help="render only the first N frames"
    )
    add_machine_options(parser)
    add_force_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Render and say where the result lies."""
    avatar = find_avatar(args.avatar, Path.cwd())
    pose = require_file(args.pose, "pose file")
    behind = args.background if Path(args.background).suffix else None
    first = args.output if args.output.suffix else args.output / "frame_00000.png"
    plan_outputs(args, [first], [avatar, pose, behind])
    limit_threads(args.threads)
    args.kept_on_interrupt = "No video was written; run the same command again."

    from pear_avatar.cli.progress import StageProgress
    from pear_avatar.rendering.render_motion import render_motion_file

    print(f"avatar: {avatar}")
    with StageProgress() as progress:
        render_motion_file(
            avatar,
            pose,
            args.output,
            camera=args.camera,
            background=args.background,
            size=args.size,
            fps=args.fps,
            max_frames=args.max_frames,
            device=args.device,
            progress=progress,
        )
    print(f"written: {args.output}")
    return EXIT_OK
