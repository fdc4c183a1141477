"""Turned squares of a picture: what a network is shown, and the way back from its output."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

__all__ = ["Region", "region_around", "region_between", "turn_between"]


@dataclass(frozen=True)
class Region:
    """A square of a picture: centre (2,) px, side px, and its turn, radians clockwise."""

    centre: np.ndarray
    side: float
    turn: float = 0.0

    @classmethod
    def of_picture(cls, width: int, height: int) -> Region:
        """The smallest upright square around a whole picture."""
        return cls(np.array([width / 2.0, height / 2.0]), float(max(width, height)))

    def grown(self, factor: float, *, down: float = 0.0) -> Region:
        """The region moved along its own downward axis by a share of its side, then scaled."""
        way = self.axes @ np.array([0.0, down * self.side])
        return Region(self.centre + way, factor * self.side, self.turn)

    @property
    def axes(self) -> np.ndarray:
        """(2, 2) columns: the region's right and downward directions in the picture."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        return np.array([[c, -s], [s, c]])

    def crop(self, rgb: np.ndarray, size: int, *, replicate: bool = True) -> np.ndarray:
        """(size, size, 3) uint8 picture of the region in an (H, W, 3) uint8 picture.

        Args:
            replicate: continue the picture's edge beyond it; otherwise black.
        """
        step = self.axes * (self.side / size)
        corner = self.centre - self.axes @ np.full(2, self.side / 2.0)
        return cv2.warpAffine(
            rgb,
            np.column_stack([step, corner]),
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT,
        )

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """(..., 2) pixels of points in shares of the region's side from its corner."""
        return (points - 0.5) * self.side @ self.axes.T + self.centre

    def paste(self, values: np.ndarray, width: int, height: int) -> np.ndarray:
        """(height, width) picture of an (S, S) map of the region, 0 outside it."""
        size = len(values)
        step = self.axes.T * (size / self.side)
        shift = size / 2.0 - step @ self.centre
        return cv2.warpAffine(
            values,
            np.column_stack([step, shift]),
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
        )


def turn_between(start: np.ndarray, end: np.ndarray, target_degrees: float) -> float:
    """The turn that brings the way from ``start`` to ``end`` to an angle (0 right, 90 up)."""
    turn = np.deg2rad(target_degrees) - np.arctan2(-(end[1] - start[1]), end[0] - start[0])
    return float((turn + np.pi) % (2.0 * np.pi) - np.pi)


def region_between(centre: np.ndarray, rim: np.ndarray, target_degrees: float) -> Region:
    """The region about a point with another on its rim, turned to that point's direction."""
    radius = float(np.linalg.norm(rim - centre))
    return Region(centre, 2.0 * radius, turn_between(centre, rim, target_degrees))


def region_around(points: np.ndarray, turn: float = 0.0, *, upright_box: bool = True) -> Region:
    """The square around (P, 2) points.

    Args:
        turn: of the region. upright_box: measure the points' box along the picture's axes;
            False: along the region's own.
    """
    if upright_box:
        low, high = points.min(0), points.max(0)
        return Region((low + high) / 2.0, float((high - low).max()), turn)
    axes = Region(np.zeros(2), 1.0, turn).axes
    own = points @ axes
    low, high = own.min(0), own.max(0)
    return Region(axes @ ((low + high) / 2.0), float((high - low).max()), turn)
