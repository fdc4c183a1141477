"""``pear-avatar live``: a camera drives avatars."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pear_avatar.cli.options import (
    Subparsers,
    add_command,
    add_output_folder,
    add_threads_option,
    image_size,
    plan_outputs,
    positive_float,
)
from pear_avatar.commands.find_avatars import find_avatar
from pear_avatar.errors import EXIT_OK
from pear_avatar.machine import limit_threads

_EXAMPLES = """\
  pear-avatar live
      the newest avatar here follows the first camera, on a page in the browser
  pear-avatar live ann-avatar bob-avatar --camera 1
      two avatars follow one person
  pear-avatar live ann-avatar --camera dance.mp4 --loop
      a video instead of a camera, in real time
  pear-avatar live ann-avatar --send vmc://127.0.0.1:39539 --send osc://192.168.1.5:9000
      to programs that take the VMC protocol, and to an engine
  pear-avatar live ann-avatar --no-draw --send ws://8765
      no picture, only poses as JSON for the clients of a WebSocket

Keys on the page: C calibrates (stand still, look neutral), R records, Space freezes, M mirrors.
Recordings are read by render --pose and by convert.
"""


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options."""
    parser = add_command(commands, "live", "Drive avatars with a camera.", _EXAMPLES)
    parser.add_argument(
        "avatars",
        nargs="*",
        type=Path,
        metavar="AVATAR",
        help="avatar files or result folders (default: the newest under this folder)",
    )
    parser.add_argument(
        "--camera",
        default="0",
        metavar="SOURCE",
        dest="source",
        help="a camera's number (default: 0), a video, or a stream's address (rtsp://, http://)",
    )
    parser.add_argument("--loop", action="store_true", help="begin a video again at its end")
    add_output_folder(parser, "folder of recordings (default: ./live-recordings)")
    _add_picture_options(parser)
    _add_output_options(parser)
    parser.add_argument(
        "--calibration",
        metavar="FILE:NAME",
        help="calibration of the camera (JSON: K, R, t, image_wh) instead of a usual lens",
    )
    parser.add_argument(
        "--seconds", type=positive_float, metavar="S", help="stop after so many seconds"
    )
    add_threads_option(parser)
    parser.set_defaults(run=run)


def _add_picture_options(parser: argparse.ArgumentParser) -> None:
    """How the avatar moves and is drawn."""
    parser.add_argument(
        "--size",
        type=image_size,
        default=(512, 640),
        metavar="WxH",
        help="of the drawn picture (default: 512x640)",
    )
    parser.add_argument(
        "--legs",
        choices=("auto", "track", "stand", "sit"),
        default="auto",
        help="legs follow if they are seen (auto), always, stand, or sit (default: auto)",
    )
    parser.add_argument(
        "--view",
        choices=("body", "bust"),
        default="body",
        dest="framing",
        help="whole body, or head and shoulders (default: body)",
    )
    parser.add_argument("--no-mirror", action="store_true", help="left stays left")


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    """Where poses and pictures go."""
    parser.add_argument(
        "--send",
        action="append",
        default=[],
        metavar="URL",
        help="also send poses: osc://HOST:PORT, vmc://HOST:PORT or ws://PORT; may be repeated",
    )
    parser.add_argument(
        "--virtual-camera",
        action="store_true",
        help="also show the picture as a camera of this system, where it has such a device",
    )
    parser.add_argument("--no-draw", action="store_true", help="pose and send only, no page")
    parser.add_argument("--no-browser", action="store_true", help="only print the page's address")


def run(args: argparse.Namespace) -> int:
    """Drive, and say what was recorded."""
    paths = args.avatars or [find_avatar(None, Path.cwd())]
    out: Path = args.output or Path.cwd() / "live-recordings"
    plan_outputs(args, [out / "live.npz"], [*paths, args.source])
    limit_threads(args.threads)

    from pear_avatar.cli.fit import read_camera
    from pear_avatar.commands.live import LiveOptions, drive_live, live_avatars, live_source
    from pear_avatar.live.puppet import DriveSettings
    from pear_avatar.live.senders import open_sender

    source = live_source(args.source, loop=args.loop)
    options = LiveOptions(
        size=args.size,
        draw=not args.no_draw,
        page=not args.no_draw,
        browser=not args.no_browser,
        seconds=args.seconds,
        camera=read_camera(args.calibration) if args.calibration else None,
        virtual_camera=args.virtual_camera,
        settings=DriveSettings(mirror=not args.no_mirror, legs=args.legs),
        framing=args.framing,
    )
    avatars = live_avatars(paths)
    summary = drive_live(
        avatars,
        source,
        out,
        options,
        senders=[open_sender(url) for url in args.send],
        say=lambda line: print(line, file=sys.stderr),
    )
    for path in summary.recordings:
        print(f"recorded: {path} (and {path.stem}.bvh)")
    stats = summary.stats
    print(
        f"{stats.read} frames, {stats.dropped} skipped; {stats.drawn:.0f} pictures/s, "
        f"{stats.detections:.0f} detections/s, lag {stats.lag_ms:.0f} ms"
    )
    return EXIT_OK
