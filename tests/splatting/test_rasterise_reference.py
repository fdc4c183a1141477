"""The torch twin against loops that anyone can check, and against numeric derivatives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from splat_scenes import draw, random_scene

from pear_avatar.splatting import rasterise
from pear_avatar.types import Camera


def _brute_force(scene, eps2d=0.3):
    """Every pixel by itself, straight from the formulas, in float64 NumPy."""
    f64 = {
        k: getattr(scene, k).double().numpy()
        for k in scene.__dataclass_fields__
        if k[0] != "h" and k != "width"
    }
    K, pose = f64["K"], f64["T_camera_world"]
    width, height = scene.width, scene.height
    tan_x, tan_y = 0.5 * width / K[0, 0], 0.5 * height / K[1, 1]
    splats = []
    for i in range(len(f64["means"])):
        x, y, z = pose[:3, :3] @ f64["means"][i] + pose[:3, 3]
        w, a, b, c = f64["quats_wxyz"][i] / np.linalg.norm(f64["quats_wxyz"][i])
        v = np.array([a, b, c])
        cross = np.array([[0, -c, b], [c, 0, -a], [-b, a, 0]])
        R = np.eye(3) + 2 * w * cross + 2 * (np.outer(v, v) - np.eye(3) * (v @ v))
        covariance = R @ np.diag(f64["scales"][i] ** 2) @ R.T
        sx = np.clip(
            x / z, -(K[0, 2] / K[0, 0] + 0.3 * tan_x), (width - K[0, 2]) / K[0, 0] + 0.3 * tan_x
        )
        sy = np.clip(
            y / z, -(K[1, 2] / K[1, 1] + 0.3 * tan_y), (height - K[1, 2]) / K[1, 1] + 0.3 * tan_y
        )
        J = np.array([[K[0, 0] / z, 0, -K[0, 0] * sx / z], [0, K[1, 1] / z, -K[1, 1] * sy / z]])
        JW = J @ pose[:3, :3]
        screen = JW @ covariance @ JW.T + eps2d * np.eye(2)
        center = np.array([K[0, 0] * x / z + K[0, 2], K[1, 1] * y / z + K[1, 2]])
        splats.append((z, center, np.linalg.inv(screen), f64["opacities"][i], f64["colors"][i]))
    splats.sort(key=lambda s: s[0])
    color = np.zeros((height, width, len(f64["background"])))
    alpha, depth = np.zeros((height, width, 1)), np.zeros((height, width, 1))
    for row in range(height):
        for column in range(width):
            T = 1.0
            for z, center, inverse, opacity, rgb in splats:
                d = np.array([column + 0.5, row + 0.5]) - center
                a = min(opacity * math.exp(-0.5 * d @ inverse @ d), 0.999)
                if a < 1 / 255:
                    continue
                if T * (1 - a) <= 1e-4:
                    break
                color[row, column] += a * T * rgb
                depth[row, column] += a * T * z
                T *= 1 - a
            color[row, column] += T * f64["background"]
            alpha[row, column] = 1 - T
    return color, alpha, depth


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_matches_brute_force(channels):
    scene = random_scene(count=60, width=19, height=13, channels=channels)
    output = draw(scene, scene.tensors(torch.float64), "torch")
    for found, truth in zip(
        (output.color, output.alpha, output.depth), _brute_force(scene), strict=True
    ):
        # float64 throughout: only the order of additions differs.
        np.testing.assert_allclose(found.detach().numpy(), truth, rtol=0, atol=1e-12)


def test_stops_at_the_transmittance_limit():
    """Opaque layers: the third would take the pixel below 1e-4 and must not be drawn."""
    camera = Camera(
        torch.eye(3) * 4 + torch.tensor([[0, 0, 1.0], [0, 0, 1.0], [0, 0, -3.0]]),
        torch.eye(4),
        2,
        2,
    )
    layers = 4
    means = torch.tensor([[0.0, 0.0, 1.0 + i] for i in range(layers)])
    quats = torch.tensor([[1.0, 0, 0, 0]] * layers)
    output = rasterise(
        means,
        quats,
        torch.full((layers, 3), 50.0),
        torch.full((layers,), 0.98),
        torch.eye(layers),
        camera=camera,
        backend="torch",
    )
    # 1 -> 0.02 -> 4e-4 -> (8e-6: stop)
    torch.testing.assert_close(
        output.color[0, 0], torch.tensor([0.98, 0.0196, 0.0, 0.0]), rtol=1e-3, atol=1e-6
    )


def test_gradcheck():
    scene = random_scene(count=12, width=9, height=7, seed=3)
    tensors = scene.tensors(torch.float64)

    def images(*leaves):
        output = draw(scene, list(leaves), "torch")
        return output.color, output.alpha, output.depth

    # The step is far below the distance of any alpha here to its threshold.
    assert torch.autograd.gradcheck(images, tensors, eps=1e-7, atol=1e-5, rtol=1e-4)


def test_bands_of_rows_do_not_change_the_picture(monkeypatch):
    scene = random_scene(count=40, width=17, height=11)
    whole = draw(scene, scene.tensors(torch.float64), "torch")
    monkeypatch.setattr("pear_avatar.splatting.reference._MAX_PAIRS", 40 * 17 * 3)
    banded = draw(scene, scene.tensors(torch.float64), "torch")
    torch.testing.assert_close(banded.color, whole.color, rtol=0, atol=1e-14)
    torch.testing.assert_close(banded.depth, whole.depth, rtol=0, atol=1e-14)
