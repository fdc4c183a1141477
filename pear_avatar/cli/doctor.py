"""``pear-avatar doctor``: what works on this machine, and what to do about what does not."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from pear_avatar.cli.options import Subparsers, add_command
from pear_avatar.errors import EXIT_OK, EXIT_USER_ERROR
from pear_avatar.machine import limit_threads

if TYPE_CHECKING:
    from pear_avatar.commands.doctor import Check

_EXAMPLES = """\
  pear-avatar doctor
  pear-avatar doctor --json > machine.json
"""
_STYLES = {"ok": "green", "optional": "yellow", "problem": "bold red"}


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options."""
    parser = add_command(
        commands,
        "doctor",
        "Check this machine and say what to do about what is missing.",
        _EXAMPLES,
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the checks; exit code 2 where something needed is missing."""
    limit_threads()

    from pear_avatar.commands.doctor import run_checks

    checks = run_checks()
    if args.json:
        print(json.dumps([check.as_dict() for check in checks], indent=2))
    else:
        _print_table(checks)
    return EXIT_USER_ERROR if any(check.status == "problem" for check in checks) else EXIT_OK


def _print_table(checks: list[Check]) -> None:
    from rich.table import Table
    from rich.text import Text

    from pear_avatar.cli.terminal import ResultConsole

    table = Table(title="pear-avatar on this machine", title_justify="left")
    for heading in ("", "what", "found"):
        table.add_column(heading)
    for check in checks:
        detail = Text(check.detail)
        if check.remedy:
            detail.append(f"\n{check.remedy}", style="italic")
        table.add_row(Text(check.status, style=_STYLES[check.status]), Text(check.name), detail)
    console = ResultConsole()
    console.print(table)
    problems = sum(check.status == "problem" for check in checks)
    if problems:
        console.print(f"{problems} to put right before a fit can run.")
    else:
        console.print("Ready: try `pear-avatar demo`.")
