"""Curves for TensorBoard, read back with its own reader."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import pytest

from pear_avatar.errors import MissingPackageError
from pear_avatar.report.tensorboard import CurveWriter


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="no tensorboard installed"
    )
    events = accumulator.EventAccumulator(str(folder)).Reload()
    return {
        tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }


def write(folder: Path, points: list[tuple[str, int, float]]) -> None:
    writer = CurveWriter(folder)
    for point in points:
        writer(*point)
    writer.figures({"heldout": {"psnr_masked": 31.5, "perceptual_metric": "lpips"}, "unseen": None})
    writer.close()


def test_curves_are_grouped_by_stage_and_a_second_run_replaces_the_first(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="no tensorboard installed")
    points = [("joint: keypoints", 50, 0.5), ("joint: keypoints", 100, 0.25)]
    write(tmp_path, points)
    write(tmp_path, [*points, ("joint: sum", 100, 2.0)])
    assert read(tmp_path) == {
        "joint/keypoints": [(50, 0.5), (100, 0.25)],
        "joint/sum": [(100, 2.0)],
        "heldout/psnr_masked": [(0, 31.5)],
    }


def test_a_missing_package_names_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "torch.utils.tensorboard":
            raise ModuleNotFoundError("No module named 'tensorboard'", name="tensorboard")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingPackageError, match=r"pip install 'pear-avatar\[tensorboard\]'"):
        CurveWriter(tmp_path)
