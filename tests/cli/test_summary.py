"""What a fit prints at its end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pear_avatar.cli.summary import print_fit_summary
from pear_avatar.report.fit_report import METRIC_ROWS, SET_NAMES


def test_names_are_the_reports_and_the_next_command_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    folder = tmp_path / "my avatar"
    folder.mkdir()
    figures = {key: 0.5 for key, _, _ in METRIC_ROWS} | {"perceptual_metric": "st-lpips"}
    report = {
        **dict.fromkeys(SET_NAMES, figures),
        "track": {"landmark_error_rel": 0.01, "frames": 9, "frames_trusted": 8},
        "seconds": {"fit": 1.0}, "splats": 5, "device": "cpu", "warnings": [],
    }  # fmt: skip
    (folder / "report.json").write_text(json.dumps(report))
    print_fit_summary(folder)
    shown = capsys.readouterr().out
    assert all(name in shown for name in SET_NAMES.values())
    labels = {key: label for key, label, _ in METRIC_ROWS}
    assert labels["psnr_masked"] in shown
    assert labels["silhouette_iou"] in shown
    assert shown.rstrip().endswith(f"next: pear-avatar view '{folder}'")
