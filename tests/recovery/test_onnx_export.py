"""Exported networks compute the same in onnxruntime, for any batch."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from pear_weights import tiny_weights

from pear_avatar.errors import PearError
from pear_avatar.recovery import onnx_export
from pear_avatar.recovery.lifter import layout
from pear_avatar.recovery.lifter.lifter_network import LifterNetwork
from pear_avatar.recovery.onnx_export import (
    TOLERANCE,
    export_lifter,
    export_network,
    export_pear,
)
from pear_avatar.recovery.pear.checkpoint import load_checkpoint
from pear_avatar.recovery.pear.output import PearOutput

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def test_pear_in_onnxruntime_equals_torch(tmp_path: Path) -> None:
    torch.save(tiny_weights(), tmp_path / "tiny.pt")
    network = load_checkpoint(tmp_path / "tiny.pt")
    report = export_pear(tmp_path / "pear.onnx", network)
    assert report.inputs == ("crops",)
    assert report.outputs == tuple(f.name for f in fields(PearOutput))
    assert report.difference < TOLERANCE
    session = onnxruntime.InferenceSession(str(report.path), providers=["CPUExecutionProvider"])
    crops = torch.rand(5, 3, 256, 256, generator=torch.Generator().manual_seed(9))
    found = dict(zip(report.outputs, session.run(None, {"crops": crops.numpy()}), strict=True))
    with torch.no_grad():
        expected = network(crops)
    for name, value in found.items():
        reference = getattr(expected, name).numpy()
        scale = np.maximum(1, np.abs(reference))
        assert (np.abs(value - reference) / scale).max() < TOLERANCE, name
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pear.onnx", "tiny.pt"]


def test_lifter_in_onnxruntime_equals_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = LifterNetwork().eval()
    report = export_lifter(tmp_path / "sub" / "lifter.onnx", network)
    assert report.inputs == layout.INPUT_NAMES
    assert report.outputs == layout.OUTPUT_NAMES
    assert report.difference < TOLERANCE


def test_weights_too_large_for_one_file_lie_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "_MAX_INLINE_BYTES", 1000)
    report = export_network(tmp_path / "big.onnx", Halved(), (torch.randn(2, 300),), ("x",), ("y",))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["big.onnx", "big.onnx.data"]
    session = onnxruntime.InferenceSession(str(report.path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.ones((4, 300), np.float32)})
    np.testing.assert_allclose(found, 0.5 * np.ones((4, 300)), atol=1e-5)


class Halved(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(0.5 * torch.eye(300))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (x @ self.weight,)


class Unfaithful(torch.nn.Module):
    """Computes something else each time it is asked."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (x + (0.0 if torch.compiler.is_compiling() else 1.0),)


def test_a_file_that_computes_something_else_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(PearError, match=r"wrong\.onnx differs from torch by 1"):
        export_network(tmp_path / "wrong.onnx", Unfaithful(), (torch.zeros(2, 3),), ("x",), ("y",))
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_name_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ImportError, match=r"onnxscript is needed .*pear-avatar\[onnx\]"):
        export_network(tmp_path / "x.onnx", Unfaithful(), (torch.zeros(2, 3),), ("x",), ("y",))
