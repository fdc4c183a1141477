"""``pear-avatar assets``: which licensed model files are there, and where to get the others."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pear_avatar.cli.options import Subparsers, add_command
from pear_avatar.errors import EXIT_OK, EXIT_USER_ERROR
from pear_avatar.machine import limit_threads

if TYPE_CHECKING:
    from pear_avatar.commands.assets import Asset

_EXAMPLES = """\
  pear-avatar assets                           the folder in PEAR_AVATAR_BODY_MODELS
  pear-avatar assets --body-models ~/models
  pear-avatar assets --json > assets.json
"""
_STYLES = {"ok": "green", "missing": "dim", "problem": "bold red"}


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options."""
    parser = add_command(
        commands,
        "assets",
        "Look for SMPL-X, FLAME and MANO files of your own, and check them.",
        _EXAMPLES,
    )
    parser.add_argument(
        "--body-models",
        type=Path,
        metavar="DIR",
        help="folder of model files, sub-folders included "
        "(default: the environment variable PEAR_AVATAR_BODY_MODELS)",
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List the files; exit code 2 where one of them cannot be used."""
    limit_threads()

    from pear_avatar.body.licensed.find import named_folder
    from pear_avatar.commands.assets import check_assets, missing_assets

    folder = named_folder(args.body_models)
    assets = check_assets(folder) if folder else missing_assets()
    if args.json:
        where = None if folder is None else str(folder)
        print(json.dumps({"folder": where, "assets": [a.as_dict() for a in assets]}, indent=2))
    else:
        _print_table(folder, assets)
    return EXIT_USER_ERROR if any(a.status == "problem" for a in assets) else EXIT_OK


def _print_table(folder: Path | None, assets: list[Asset]) -> None:
    from rich.table import Table
    from rich.text import Text

    from pear_avatar.cli.terminal import ResultConsole

    title = f"licensed model files in {folder}" if folder else "licensed model files: none named"
    table = Table(title=title, title_justify="left")
    for heading in ("", "what", "found, or where its owner distributes it"):
        table.add_column(heading, overflow="fold")
    for asset in assets:
        name = Text(asset.name, style="bold" if asset.needed else "")
        name.append(f"\n{asset.purpose}", style="dim")
        missing = asset.status == "missing"
        file = asset.file if missing else Path(asset.path).name
        found = Text(f"{file}\n{asset.owner if missing else asset.detail}")
        table.add_row(Text(asset.status, style=_STYLES[asset.status]), name, found)
    console = ResultConsole()
    console.print(table)
    console.print(_verdict(folder, assets), soft_wrap=True, highlight=False)


def _verdict(folder: Path | None, assets: list[Asset]) -> str:
    if folder is None:
        return (
            "None of these is needed: the open body ships with pear-avatar. To use your own, "
            "name their folder: --body-models DIR, or PEAR_AVATAR_BODY_MODELS."
        )
    body = any(a.name.startswith("SMPL-X") and a.status == "ok" for a in assets)
    lacking = [a.name for a in assets if a.needed and a.status != "ok"]
    if not body:
        return "No usable SMPL-X file: --body smplx cannot be used. The open body needs no file."
    if lacking:
        return f"Ready for --body smplx; {', '.join(lacking)} would complete it."
    return "Ready for --body smplx with a FLAME head."
