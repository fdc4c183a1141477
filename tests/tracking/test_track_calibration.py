"""Calibration files: layouts, up axes and mistakes."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from pear_avatar.geometry.cameras import camera_center, look_at
from pear_avatar.tracking import load_camera

K = [[1000.0, 0, 320], [0, 1000, 240], [0, 0, 1]]


def _entry(**changes: Any) -> dict[str, Any]:
    """A camera in a z-up world: 3 m in front of the origin, 1.5 m above the floor."""
    T = look_at(torch.tensor([0.0, -3.0, 1.5]), torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]))
    entry = {
        "K": K,
        "R_w2c": T[:3, :3].tolist(),
        "t_w2c_m": T[:3, 3].tolist(),
        "image_wh": [640, 480],
    }
    return {**entry, **changes}


def _write(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps(content))
    return path


def test_a_z_up_world_is_turned_so_that_y_is_up(tmp_path: Path) -> None:
    path = _write(tmp_path, {"a": _entry(), "b": _entry(image_wh=[10, 10])})
    camera = load_camera(path, "a")
    assert (camera.width, camera.height) == (640, 480)
    centre = camera_center(camera)
    assert float(centre[1]) == pytest.approx(1.5, abs=1e-5)
    assert float(centre.norm()) == pytest.approx((3**2 + 1.5**2) ** 0.5, abs=1e-5)
    torch.testing.assert_close(camera.K, torch.tensor(K))
    assert torch.linalg.det(camera.T_camera_world[:3, :3]) == pytest.approx(1, abs=1e-5)


def test_a_y_up_world_is_kept(tmp_path: Path) -> None:
    T = look_at(torch.tensor([0.0, 1.5, 3.0]), torch.zeros(3))
    entry = {"K": K, "R": T[:3, :3].tolist(), "t": T[:3, 3].tolist(), "width": 640, "height": 480}
    camera = load_camera(_write(tmp_path, entry))
    torch.testing.assert_close(camera.T_camera_world, T)
    flipped = load_camera(_write(tmp_path, entry), up="-y")
    assert float(camera_center(flipped)[1]) == pytest.approx(-1.5, abs=1e-5)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_no_mistake(tmp_path: Path, encoding: str) -> None:
    path = _write(tmp_path, {"a": _entry()})
    marked = tmp_path / "marked.json"
    marked.write_bytes(path.read_text("utf-8").encode(encoding))
    assert torch.equal(load_camera(marked).K, load_camera(path).K)


def test_distortion_that_matters_is_warned_about(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        load_camera(_write(tmp_path, _entry(dist=[1e-4, 0, 0, 0])))
        assert not caplog.records
        load_camera(_write(tmp_path, _entry(dist_k1k2p1p2=[-0.3, 0.1, 0, 0])))
    assert "distortion" in caplog.text


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ({"a": _entry(), "b": _entry()}, None, "a, b"),
        ({"a": _entry()}, "c", "'c'"),
        ({"note": 1}, None, "no camera"),
        (_entry(K=[[1, 2], [3, 4]]), None, "shape"),
        (_entry(R_w2c=[[1, 0, 0], [0, 2, 0], [0, 0, 1]]), None, "not a rotation"),
        ({k: v for k, v in _entry().items() if k != "image_wh"}, None, "image_wh"),
        ({k: v for k, v in _entry().items() if k != "t_w2c_m"}, None, "lacks 't_w2c_m'"),
        (_entry(up="w"), None, "up must be"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, content: Any, name: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_camera(_write(tmp_path, content), name)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such calibration"):
        load_camera(tmp_path / "nothing.json")
    path = tmp_path / "broken.json"
    path.write_text("{")
    with pytest.raises(ValueError, match="not JSON"):
        load_camera(path)
