"""What the command line does around its commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pear_avatar.cli.main import build_parser, foreign_options, main, subparsers


@pytest.mark.parametrize(
    "argv",
    [
        ("render", "--pose", "p.npz", "-o", ""),
        ("render", "--pose", "p.npz", "--output="),
        ("live", "--camera=--"),
        ("convert", "", "b.npz"),
    ],
)
def test_empty_arguments_are_refused(
    argv: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(list(argv))
    assert left.value.code == 2
    assert "is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "message", "added"),
    [
        ("convert", "give its frame rate with --source-fps", ""),
        ("render", "give its frame rate with --source-fps",
         " (--source-fps is an option of pear-avatar convert)"),
        ("render", "no-such and --no-such-option", ""),
    ],
)  # fmt: skip
def test_hints_say_whose_options_they_name(command: str, message: str, added: str) -> None:
    assert foreign_options(message, command, build_parser()) == added


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("recover", "a.png", "--person", "\u00b2"), "is not a number"),
        (("recover", "a.png", "--box", "0,0,inf,9"), "pixels of a picture"),
        (("recover", "a.png", "--box", "0,0,nan,9"), "pixels of a picture"),
        (("synth", "--count", "1", "-o", "o", "--seed", "-1"), "from 0 to"),
        (("synthetic", "-o", "o", "--seed=1.5"), "from 0 to"),
        (("synthetic", "-o", "o", "--frames", "9" * 30), "at least 1"),
        (("synthetic", "-o", "o", "--size", "\u00b2x\u00b2"), "is not a size"),
    ],
)
def test_numbers_that_are_none(
    argv: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(list(argv))
    assert told in capsys.readouterr().err


def test_clips_that_would_fill_the_memory(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    for more in (("--frames", "1000000000"), ("--size", "8192x8192")):
        assert main(["synthetic", "-o", str(tmp_path), *more]) == 2
    assert capsys.readouterr().err.count("error") == 2
    assert not list(tmp_path.iterdir())


def test_the_current_folder_is_gone(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["convert", "a.npz", "b.npz"]) == 2
    assert "was deleted" in capsys.readouterr().err


def test_every_command_is_found() -> None:
    assert {"fit", "render", "convert"} <= set(subparsers(build_parser()))


def test_a_table_whose_reader_has_gone_is_no_failure(tmp_path: Path) -> None:
    """rich would end the program with exit code 1, a defect's."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "pear_avatar", "assets"]
    try:
        done = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path, timeout=120, text=True
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
