"""The ``pear-avatar`` command: parses arguments, runs one command, explains what went wrong."""

from __future__ import annotations

import argparse
import contextvars
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import pear_avatar
from pear_avatar.cli import (
    assets,
    bench,
    convert,
    demo,
    doctor,
    export,
    fit,
    live,
    recover,
    render,
    synth,
    synthetic,
    view,
)
from pear_avatar.cli.options import MOTION_FORMATS
from pear_avatar.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_USER_ERROR, explain

PROGRAM = "pear-avatar"
_COMMANDS = (
    fit,
    render,
    recover,
    live,
    view,
    export,
    convert,
    demo,
    doctor,
    assets,
    bench,
    synth,
    synthetic,
)

_EPILOG = """\
examples:
  pear-avatar fit holiday.mp4                  an avatar in ./holiday-avatar
  pear-avatar render --pose dance.npz -o dance.mp4
  pear-avatar view                             it lives in a browser tab
  pear-avatar live                             a camera drives it
  pear-avatar doctor                           what works on this machine
  pear-avatar fit --help                       all options of one command

exit codes: 0 done, 2 something to put right (one line says what), 3 done but some inputs were
skipped (one line each says why), 130 interrupted, 1 a fault of the program
(PEAR_AVATAR_DEBUG=1 shows the traceback)
"""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print one line and leave with the exit code of a user's mistake."""
        self.exit(EXIT_USER_ERROR, f"{PROGRAM}: error: {message} (see {self.prog} --help)\n")

    def format_help(self) -> str:
        """The help text, with the list of motion formats where it belongs."""
        text = super().format_help()
        if MOTION_FORMATS not in text:
            return text
        from pear_avatar.motion.formats.registry import help_lines

        return text.replace(MOTION_FORMATS, "\n".join(f"  {line}" for line in help_lines()))


def build_parser() -> Parser:
    """The parser of all commands; imports nothing heavy."""
    parser = Parser(
        prog=PROGRAM,
        description="A living 3D double of a person from an ordinary video.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"{PROGRAM} {pear_avatar.__version__}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors become one line on stderr."""
    args = build_parser().parse_args(argv)
    _quieten_libraries()
    logging.basicConfig(
        level=logging.INFO if getattr(args, "verbose", False) else logging.WARNING,
        format=f"{PROGRAM}: %(levelname)s: %(message)s",
    )
    try:
        code: int = contextvars.copy_context().run(args.run, args)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print(f"\n{PROGRAM}: interrupted. {_what_is_kept(args)}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (such as `head`) has gone, and with it the place for a message.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except Exception as error:
        if os.environ.get("PEAR_AVATAR_DEBUG"):
            traceback.print_exc()
        failure = explain(error)
        print(f"{PROGRAM}: error: {failure.message}", file=sys.stderr)
        return failure.exit_code


def _what_is_kept(args: argparse.Namespace) -> str:
    kept: str = getattr(args, "kept_on_interrupt", "Files that were finished are kept.")
    return kept


def _quieten_libraries() -> None:
    """Keep C++ libraries' log lines off the terminal; must come before their import."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


if __name__ == "__main__":
    sys.exit(main())
