"""``pear-avatar bench``: what it says without data, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pear_avatar.cli.bench import _write_json
from pear_avatar.cli.main import build_parser, main
from pear_avatar.evaluation.recovery_benchmark import Figure, HmrReport


def test_a_data_set_needs_its_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "hmr", "--dataset", "3dpw"]) == 2
    error = capsys.readouterr().err
    assert error == ("pear-avatar: error: --dataset 3dpw needs --root, the folder that holds it\n")


def test_unknown_data_sets_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser().parse_args(["bench", "hmr", "--dataset", "imagenet"])
    assert caught.value.code == 2
    assert "'imagenet'" in capsys.readouterr().err


def test_figures_as_json_carry_their_protocol(tmp_path: Path) -> None:
    report = HmrReport(5, 4, 1, (Figure("MPJPE, 22 joints, pelvis aligned", 71.5, "mm", 4),))
    _write_json(tmp_path / "figures.json", "3dpw", report)
    content = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    assert content["dataset"] == "3dpw"
    assert "14 joints" in content["protocol"]
    assert content["figures"][0]["value"] == 71.5
    assert (content["people"], content["found"], content["skipped"]) == (5, 4, 1)
