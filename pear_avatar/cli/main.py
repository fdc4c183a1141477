"""The ``pear-avatar`` command: parses arguments, runs one command, explains what went wrong."""

from __future__ import annotations

import argparse
import contextvars
import io
import logging
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

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
from pear_avatar.errors import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_USER_ERROR,
    MissingFileError,
    explain,
    one_line,
)

PROGRAM = "pear-avatar"
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
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
        message = one_line(ValueError(message))
        self.exit(EXIT_USER_ERROR, f"{PROGRAM}: error: {message} (see {self.prog} --help)\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in the base class, which takes ``--option=--`` for an empty list.

        An empty path would stand for the current folder.
        """
        words = sys.argv[1:] if args is None else args
        for word in words:
            if not word or (word.startswith("--") and word.endswith(("=--", "="))):
                self.error(f"{word or 'an argument'} is empty")
        return super().parse_args(args, namespace)

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
    _open_missing_streams()
    parser = build_parser()
    args = parser.parse_args(argv)
    _quieten_libraries()
    logging.basicConfig(
        level=logging.INFO if getattr(args, "verbose", False) else logging.WARNING,
        format=f"{PROGRAM}: %(levelname)s: %(message)s",
    )
    try:
        with _termination_as_interrupt():
            _check_current_folder()
            code: int = contextvars.copy_context().run(args.run, args)
            sys.stdout.flush()
            return code
    except KeyboardInterrupt:
        print(f"\n{PROGRAM}: interrupted. {_what_is_kept(args)}", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (such as `head`) has gone, and with it the place for a message.
        _drop_output()
        return EXIT_OK
    except Exception as error:
        if os.environ.get("PEAR_AVATAR_DEBUG"):
            traceback.print_exc()
        failure = explain(error)
        message = failure.message + foreign_options(failure.message, args.command, parser)
        print(f"{PROGRAM}: error: {message}", file=sys.stderr)
        _flush_or_drop_output()
        return failure.exit_code


def foreign_options(message: str, command: str, parser: argparse.ArgumentParser) -> str:
    """What to add to a message that names options of other commands than the one that ran."""
    named = dict.fromkeys(_OPTION.findall(message))
    options = {name: set(sub._option_string_actions) for name, sub in subparsers(parser).items()}
    lines = []
    for option in named:
        owners = [name for name, known in options.items() if option in known]
        if owners and command not in owners:
            lines.append(f"{option} is an option of {PROGRAM} {' and '.join(owners)}")
    return f" ({'; '.join(lines)})" if lines else ""


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command by its name."""
    action = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def _open_missing_streams() -> None:
    """Put the null device in the place of closed standard streams.

    A file that is opened later would get the number of a closed stream, and be written into by
    whoever prints.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _check_current_folder() -> None:
    """Refuse to work in a folder that is gone: no relative name would lead anywhere."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise MissingFileError(
            "the current folder was deleted: change to another one and run the command again"
        ) from None


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM and a closed terminal clean up as Ctrl-C does."""
    names = [n for n in ("SIGTERM", "SIGHUP") if hasattr(signal, n)]
    if threading.current_thread() is not threading.main_thread():
        names = []
    before = {n: signal.signal(getattr(signal, n), signal.default_int_handler) for n in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _flush_or_drop_output() -> None:
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _drop_output()


def _drop_output() -> None:
    """Let what is still to be printed go nowhere, so that leaving does not fail in its turn."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _what_is_kept(args: argparse.Namespace) -> str:
    kept: str = getattr(args, "kept_on_interrupt", "Files that were finished are kept.")
    return kept


def _quieten_libraries() -> None:
    """Keep the log lines of C++ libraries off the terminal; must come before their import."""
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # OpenCV's and FFmpeg's own lines would stand before ours, which say the same in our words.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


if __name__ == "__main__":
    sys.exit(main())
