"""Locating all people of a picture, before their landmarks are detected.

The whole-person network follows one person. To locate all of them, mediapipe's person detector
runs on the picture and on overlapping square tiles of it (its input is 224 pixels wide, so that a
distant person is detected in a tile only); detections of one person in several tiles are merged.
"""

from __future__ import annotations

import cv2
import numpy as np

from pear_avatar.perception.detectors import PersonArea
from pear_avatar.perception.networks.anchors import Detection
from pear_avatar.perception.networks.bodies import PeopleNetwork
from pear_avatar.perception.networks.regions import Region

__all__ = ["PeopleFinder", "distinct_areas", "tiles"]

#: The network's input; tiles much smaller than this hold nothing new.
_NETWORK_SIDE = 224
#: Two detections are one person if their centres lie within this share of the mean radius and their
#: radii differ by less than this factor.
_SAME_CENTRE, _SAME_RADIUS = 0.6, 1.8
#: A small circle inside a large one is that person's arm or leg in a tile, unless it is very sure.
_INSIDE, _SURE = 0.8, 0.9


class PeopleFinder:
    """MediaPipe's person detector over a picture and its tiles."""

    def __init__(self) -> None:
        self._network = PeopleNetwork()

    def find(self, rgb: np.ndarray, levels: int = 2) -> list[PersonArea]:
        """The people in an (H, W, 3) uint8 picture, highest score first.

        Args:
            levels: 0 is the whole picture, 1 adds square tiles of its shorter side, 2 adds tiles
                of half that side (distant people), and so on.
        """
        height, width = rgb.shape[:2]
        found = []
        for x, y, side_x, side_y in tiles(width, height, levels):
            crop = rgb[y : y + side_y, x : x + side_x]
            zoom = min(1.0, 2.0 * _NETWORK_SIDE / max(crop.shape[:2]))
            if zoom < 1.0:
                crop = cv2.resize(crop, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
            size = np.array([side_x, side_y], np.float32)
            whole = Region.of_picture(crop.shape[1], crop.shape[0])
            for item in self._network.find(crop, whole):
                area = _area(item, np.array([x, y]), size / crop.shape[1::-1])
                if area.radius > 8.0:
                    found.append(area)
        return distinct_areas(found)

    def close(self) -> None:
        """The network is freed with the object."""


def _area(item: Detection, origin: np.ndarray, zoom: np.ndarray) -> PersonArea:
    centre, rim = item.points[:2] * zoom
    return PersonArea(centre + origin, float(np.linalg.norm(rim - centre)), item.score)


def tiles(width: int, height: int, levels: int) -> list[tuple[int, int, int, int]]:
    """(x, y, width, height) of the whole picture and of overlapping squares in it.

    Squares of one level overlap by half. Levels whose squares would show the network no more
    detail than the picture itself are left out.
    """
    result = [(0, 0, width, height)]
    side = min(width, height)
    for level in range(levels):
        side_here = side >> level
        if side_here < _NETWORK_SIDE // 2 or (level > 0 and side_here < _NETWORK_SIDE):
            break
        if side_here >= 0.75 * max(width, height):
            continue
        for y in _starts(height, side_here):
            result.extend((x, y, side_here, side_here) for x in _starts(width, side_here))
    return result


def _starts(length: int, side: int) -> list[int]:
    count = max(1, int(np.ceil((length - side) / (side / 2))) + 1)
    return [round(v) for v in np.linspace(0, length - side, count)] if count > 1 else [0]


def distinct_areas(areas: list[PersonArea]) -> list[PersonArea]:
    """Each person once, highest score first."""
    kept: list[PersonArea] = []
    for area in sorted(areas, key=lambda a: -a.score):
        if not any(_same(area, other) for other in kept):
            kept.append(area)
    return [a for a in kept if not any(_is_part(a, whole) for whole in kept)]


def _is_part(a: PersonArea, whole: PersonArea) -> bool:
    gap = float(np.linalg.norm(a.centre - whole.centre))
    smaller = a.radius * _SAME_RADIUS < whole.radius
    return smaller and a.score < _SURE and gap < _INSIDE * whole.radius


def _same(a: PersonArea, b: PersonArea) -> bool:
    ratio = max(a.radius, b.radius) / max(min(a.radius, b.radius), 1e-6)
    gap = float(np.linalg.norm(a.centre - b.centre))
    return ratio < _SAME_RADIUS and gap < _SAME_CENTRE * (a.radius + b.radius) / 2
