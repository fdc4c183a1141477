"""Whether a part is looked for where it was in the last frame, or where it is expected now."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pear_avatar.perception.networks.regions import Region

__all__ = ["Tolerance", "followed_region"]


@dataclass(frozen=True)
class Tolerance:
    """How far the last frame's region may lie from the expected one.

    degrees: of turn. shift, scale: shares of the expected side. margin: share by which the
    expected region is grown (shrunk if negative) that must hold all of the last landmarks.
    """

    degrees: float
    shift: float
    scale: float
    margin: float


def followed_region(
    last: Region | None, landmarks: np.ndarray | None, expected: Region, tolerance: Tolerance
) -> Region:
    """The last frame's region if it still fits, which is steadier, else the expected one.

    Args:
        last: region of the last frame's landmarks. landmarks: (L, 2) px of the last frame.
    """
    if last is None or landmarks is None:
        return expected
    turn = (last.turn - expected.turn + np.pi) % (2.0 * np.pi) - np.pi
    shift = np.abs((last.centre - expected.centre) @ expected.axes)
    own = np.abs((landmarks - expected.centre) @ expected.axes)
    fits = (
        abs(np.rad2deg(turn)) <= tolerance.degrees
        and bool((shift <= tolerance.shift * expected.side).all())
        and abs(last.side - expected.side) <= tolerance.scale * expected.side
        and bool((own < 0.5 * (1.0 + tolerance.margin) * expected.side).all())
    )
    return last if fits else expected
