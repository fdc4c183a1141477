"""Options' conversion from text, and progress in log files."""

from __future__ import annotations

import argparse
import os

import pytest

from pear_avatar import _native
from pear_avatar.cli.options import image_size, positive_float, positive_int
from pear_avatar.cli.progress import StageProgress
from pear_avatar.machine import available_cores, limit_threads


def test_sizes_are_width_by_height() -> None:
    assert image_size("720x1280") == (720, 1280)


@pytest.mark.parametrize("text", ["720", "720x", "720x1281", "0x16", "axb", "-16x16", "99999x16"])
def test_bad_sizes_are_named(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=text):
        image_size(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many"])
def test_counts_are_whole_and_positive(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=text):
        positive_int(text)


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "fast"])
def test_rates_are_finite_and_positive(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=text):
        positive_float(text)


def test_a_log_file_gets_one_line_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with StageProgress() as progress:
        for done in range(4):
            progress("tracking", done, 3)
        progress("tracking", 3, 3)
        progress("fit", 1, 10)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("tracking: 3 done in ")


def test_threads_obey_option_then_environment_then_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = _native.num_threads()
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        assert limit_threads() == 3
        assert limit_threads(1) == 1
        assert os.environ["OMP_NUM_THREADS"] == "1"
        assert _native.num_threads() == 1
        monkeypatch.delenv("OMP_NUM_THREADS")
        assert limit_threads() == available_cores()
    finally:
        _native.set_num_threads(before)
