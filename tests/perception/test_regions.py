"""Turned squares of a picture: crops, the way back, and what a mask of them becomes."""

from __future__ import annotations

import numpy as np
import pytest

from pear_avatar.perception.networks.regions import (
    Region,
    region_around,
    region_between,
    turn_between,
)


def _spots(places: list[tuple[float, float]], width: int = 160, height: int = 120) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    result = np.zeros((height, width, 3), np.uint8)
    for place in places:
        bright = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / 8.0)
        result = np.maximum(result, (255 * bright[..., None]).astype(np.uint8))
    return result


@pytest.mark.parametrize("turn", [0.0, 0.7, -2.5])
def test_what_a_crop_shows_is_found_again_in_the_picture(turn: float) -> None:
    spot = np.array([90.0, 50.0])
    region = Region(np.array([80.0, 60.0]), 64.0, turn)
    crop = region.crop(_spots([(90.0, 50.0)]), 128)
    row, column = np.unravel_index(crop[..., 0].argmax(), (128, 128))
    back = region.to_picture(np.array([column, row]) / 128.0)
    assert np.linalg.norm(back - spot) < 0.6


def test_a_mask_of_a_region_comes_back_to_its_place() -> None:
    picture = _spots([(90.0, 50.0), (70.0, 66.0)])
    region = Region(np.array([80.0, 60.0]), 90.0, 0.4)
    crop = region.crop(picture, 180)[..., 0]
    back = region.paste(crop.astype(np.float32), 160, 120)
    assert np.abs(back - picture[..., 0]).max() < 25
    assert back[0, 0] == 0


def test_a_turn_brings_a_direction_upright() -> None:
    wrist, fingers = np.array([10.0, 10.0]), np.array([20.0, 10.0])
    region = region_between(wrist, fingers, 90.0)
    up = region.axes @ np.array([0.0, -1.0])
    np.testing.assert_allclose(up, [1.0, 0.0], atol=1e-6)
    assert region.side == pytest.approx(20.0)
    assert turn_between(wrist, fingers, 0.0) == pytest.approx(0.0)


def test_a_region_grows_along_its_own_axes() -> None:
    region = Region(np.zeros(2), 10.0, np.pi / 2).grown(2.0, down=-0.1)
    np.testing.assert_allclose(region.centre, [1.0, 0.0], atol=1e-6)
    assert region.side == pytest.approx(20.0)


def test_the_region_around_points_can_be_measured_along_its_own_axes() -> None:
    diagonal = np.array([[0.0, 0.0], [10.0, 10.0]])
    assert region_around(diagonal, np.pi / 4).side == pytest.approx(10.0)
    own = region_around(diagonal, np.pi / 4, upright_box=False)
    assert own.side == pytest.approx(np.hypot(10, 10))
    np.testing.assert_allclose(own.centre, [5.0, 5.0], atol=1e-6)
