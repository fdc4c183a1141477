"""Calibrated cameras from JSON: the numbers survive, the world's up axis becomes +y."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pear_avatar.geometry.cameras import project
from pear_avatar.pipeline.calibration import load_camera
from pear_avatar.pipeline.errors import UserError

#: OpenCV camera at (0, -4, 1.5) of a z-up world, looking along +y.
R_Z_UP = [[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "K": [[1000.0, 0.0, 320.0], [0.0, 1000.0, 240.0], [0.0, 0.0, 1.0]],
        "R_w2c": R_Z_UP,
        "t_w2c_m": [0.0, 1.5, 4.0],
        "image_wh": [640, 480],
    } | changes


def written(tmp_path: Path, cameras: object) -> Path:
    path = tmp_path / "cameras.json"
    path.write_text(json.dumps(cameras))
    return path


def test_a_z_up_world_becomes_y_up(tmp_path: Path) -> None:
    camera = load_camera(f"{written(tmp_path, {'cam': entry()})}:cam")
    assert (camera.width, camera.height) == (640, 480)
    # The world's +y, 1 m above the origin, is where the calibration has (0, 0, 1).
    px, z = project(camera, torch.tensor([[0.0, 1.0, 0.0]]))
    expected = np.array(R_Z_UP) @ [0.0, 0.0, 1.0] + [0.0, 1.5, 4.0]
    np.testing.assert_allclose(z[0].item(), expected[2], atol=1e-6)
    np.testing.assert_allclose(px[0, 1].item(), 240 + 1000 * expected[1] / expected[2], atol=1e-3)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_any_up_axis_gives_a_proper_rotation(tmp_path: Path, axis: int, sign: float) -> None:
    up = np.zeros(3)
    up[axis] = sign
    x = np.roll(up, 1)
    R = np.stack([x, -up, np.cross(x, -up)])
    camera = load_camera(f"{written(tmp_path, {'c': entry(R_w2c=R.tolist())})}:c")
    T = camera.T_camera_world.double().numpy()
    np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-6)
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1.0)
    np.testing.assert_allclose(T[:3, 1], [0.0, -1.0, 0.0], atol=1e-6)


def test_a_single_camera_needs_no_name(tmp_path: Path) -> None:
    assert load_camera(str(written(tmp_path, {"only": entry()}))).width == 640


@pytest.mark.parametrize(
    ("cameras", "told"),
    [
        ({"a": entry(), "b": entry()}, "a, b"),
        ({"cam": entry(R_w2c=[[2.0, 0, 0], [0, 1, 0], [0, 0, 1]])}, "not a rotation"),
        ({"cam": entry(t_w2c_m=[1.0, 2.0])}, "t_w2c_m"),
        ({"cam": entry(K="wide")}, "K"),
        ({"cam": {"K": entry()["K"]}}, "R_w2c is missing"),
        ([1, 2], "no cameras"),
    ],
)
def test_a_bad_file_is_told(tmp_path: Path, cameras: object, told: str) -> None:
    with pytest.raises(UserError, match=told):
        load_camera(f"{written(tmp_path, cameras)}:cam")


def test_no_such_file_is_told() -> None:
    with pytest.raises(UserError, match=r"no such camera file: nowhere\.json"):
        load_camera("nowhere.json:cam")


def test_a_strong_lens_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path, {"cam": entry(dist_k1k2p1p2=[-0.3, 0.0, 0.0, 0.0])})
    with caplog.at_level(logging.WARNING):
        load_camera(f"{path}:cam")
    assert "undistort" in caplog.text
