"""Camera paths: what was asked for is in the picture, and the path starts where it should."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pear_avatar.geometry.cameras import camera_center, project
from pear_avatar.rendering.camera_paths import fixed_path, orbit_path, resized_path, turntable_path
from pear_avatar.types import Camera


def _walk(num_frames: int = 20, seed: int = 0) -> torch.Tensor:
    """A person-sized cloud that walks 3 m along x."""
    rng = torch.Generator().manual_seed(seed)
    cloud = (torch.rand(50, 3, generator=rng) - 0.5) * torch.tensor([0.6, 1.8, 0.4])
    way = torch.linspace(0, 3, num_frames)[:, None, None] * torch.tensor([1.0, 0.0, 0.0])
    return cloud + way


def _inside(camera: Camera, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    pixels, z = project(camera, points)
    size = torch.tensor([camera.width, camera.height])
    return ((pixels > 0) & (pixels < size)).all(-1) & (z > 0), pixels


@settings(max_examples=25, deadline=None)
@given(
    width=st.integers(64, 1000),
    height=st.integers(64, 1000),
    azimuth=st.floats(-7, 7),
    elevation=st.floats(-1.2, 1.2),
    seed=st.integers(0, 100),
)
def test_everything_is_in_view(
    width: int, height: int, azimuth: float, elevation: float, seed: int
) -> None:
    points = _walk(seed=seed)
    size = {"width": width, "height": height, "elevation": elevation}
    inside, pixels = _inside(fixed_path(points, azimuth=azimuth, **size), points)
    assert inside.all()
    # Nor may the person be lost in a corner: the tighter side is filled to at least two thirds.
    span = (pixels.amax((0, 1)) - pixels.amin((0, 1))) / torch.tensor([width, height])
    assert span.max() > 0.6
    inside, _ = _inside(turntable_path(points[0], 12, start_azimuth=azimuth, **size), points[:1])
    assert inside.all()


def test_fixed_camera_stands_still_in_front() -> None:
    camera = fixed_path(_walk(), width=200, height=300)
    centers = camera_center(camera)
    assert torch.equal(centers, centers[:1].expand_as(centers))
    assert centers[0, 2] > 1
    assert centers[0, 0] == pytest.approx(1.5, abs=0.05)


def test_turntable_goes_once_round_and_loops() -> None:
    points = _walk(1)[0] - _walk(1)[0].mean(0)
    camera = turntable_path(points, 8, width=100, height=100, elevation=0.0)
    x, _, z = (camera_center(camera) - (points.amin(0) + points.amax(0)) / 2).unbind(-1)
    expected = torch.arange(8) * 2 * math.pi / 8
    turned = torch.atan2(x, z) - expected
    assert torch.allclose(torch.cos(turned), torch.ones(8), atol=1e-5)


def test_orbit_keeps_a_walking_person_centred_without_zooming() -> None:
    points = _walk(40)
    camera = orbit_path(points, width=300, height=300)
    inside, pixels = _inside(camera, points)
    assert inside.all()
    centre = (pixels.amin(1) + pixels.amax(1)) / 2
    assert (centre - 150).abs().max() < 75
    assert (camera.K[0] == camera.K).all()


def test_clip_cameras_in_another_size_keep_the_whole_picture() -> None:
    camera = fixed_path(_walk(), width=1280, height=720)
    points = _walk()
    _, before = _inside(camera, points)
    for size in ((640, 360), (512, 512), (300, 900)):
        _, after = _inside(resized_path(camera, *size), points)
        scale = min(size[0] / 1280, size[1] / 720)
        middle = torch.tensor(size) / 2
        assert torch.allclose(
            after - middle, (before - torch.tensor([640, 360])) * scale, atol=1e-2
        )


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(N, P, 3\)"):
        fixed_path(torch.zeros(5, 3), width=10, height=10)
    with pytest.raises(ValueError, match="NaN"):
        orbit_path(torch.full((2, 5, 3), torch.nan), width=10, height=10)
    with pytest.raises(ValueError, match="at least 1 frame"):
        turntable_path(torch.zeros(5, 3), 0, width=10, height=10)
    with pytest.raises(ValueError, match="elevation"):
        turntable_path(torch.zeros(5, 3), 3, width=10, height=10, elevation=2.0)
