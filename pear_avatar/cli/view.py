"""``pear-avatar view``: avatars alive in a browser tab."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pear_avatar.cli.options import Subparsers, add_command
from pear_avatar.commands.find_avatars import find_avatar
from pear_avatar.errors import EXIT_OK, require_file
from pear_avatar.machine import limit_threads

if TYPE_CHECKING:
    from pear_avatar.viewer.library import Library

_EXAMPLES = """\
  pear-avatar view
      the newest avatar under the current folder, in the browser
  pear-avatar view holiday-avatar --motion dance.npz --motion walk.bvh
  pear-avatar view .
      a gallery of all avatars in the current folder
  pear-avatar view holiday-avatar --no-browser --port 8000
      only prints the address, for instance to reach it through an ssh tunnel

The page needs no network. Only this machine can open it, and only with the whole address.
"""


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options."""
    parser = add_command(commands, "view", "Show avatars in the browser.", _EXAMPLES)
    parser.add_argument(
        "avatar",
        nargs="?",
        type=Path,
        metavar="AVATAR|FOLDER",
        help="avatar file, result folder, or a folder of them for a gallery (default: the newest "
        "avatar under the current folder)",
    )
    parser.add_argument(
        "--motion",
        dest="motions",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a motion to play (npz, bvh); may be given many times",
    )
    parser.add_argument(
        "--video",
        type=Path,
        metavar="FILE",
        help="the input video to compare with (default: looked for beside the avatar)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="listen on another address than this machine's own (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--port", type=port_number, default=0, metavar="N", help="default: any free one"
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="print the address but open nothing"
    )
    parser.set_defaults(run=run)


def port_number(text: str) -> int:
    """A TCP port, 0 for any free one."""
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    target: Path = args.avatar if args.avatar is not None else find_avatar(None, Path.cwd())
    motions = [require_file(path, "motion") for path in args.motions]
    video = require_file(args.video, "video") if args.video else None
    limit_threads()

    from pear_avatar.commands.view import view
    from pear_avatar.viewer.open_page import open_page
    from pear_avatar.viewer.server import is_loopback

    if not is_loopback(args.host):
        print(
            f"warning: every machine that can reach {args.host} and knows the address can see "
            "these avatars and their videos; nothing is encrypted. Others put this machine's "
            "name or number into the address below",
            file=sys.stderr,
        )

    def on_ready(url: str, library: Library) -> None:
        _describe(library)
        print(url, flush=True)
        print("Ctrl-C stops it.", file=sys.stderr)
        if not args.no_browser:
            open_page(url)

    view(target, motions=motions, video=video, host=args.host, port=args.port, on_ready=on_ready)
    return EXIT_OK


def _describe(library: Library) -> None:
    """Say what is shown, and what would make it better."""
    if len(library.avatars) > 1:
        print(f"{len(library.avatars)} avatars of {library.title}", file=sys.stderr)
        return
    avatar = library.avatars[0]
    print(f"{avatar.name}: {avatar.details}, {len(avatar.motions)} motions", file=sys.stderr)
    tracked = any(motion.has_camera for motion in avatar.motions)
    if tracked and avatar.video is None:
        print("its input video was not found: name it with --video to compare", file=sys.stderr)
