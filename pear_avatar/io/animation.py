"""Animated pictures (GIF, APNG, WebP) as clips: frames with the times at which they are shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np

from pear_avatar.errors import MediaError
from pear_avatar.io.images import picture_errors

__all__ = ["AnimationInfo", "animation_frames", "probe_animation"]

#: A frame that asks for less than this many seconds is shown for the second number, as browsers do.
_SHORTEST, _USUAL = 0.011, 0.1
#: Frames beyond this are not read: an animation is small, or a bomb.
_MOST_FRAMES = 10_000


@dataclass(frozen=True)
class AnimationInfo:
    """Size in pixels, and the seconds from the first frame at which each of N is shown."""

    width: int
    height: int
    times: np.ndarray
    duration: float


def probe_animation(file: Path) -> AnimationInfo:
    """Decode the animation once for its size and times.

    Raises:
        MediaError: it cannot be read.
    """
    times: list[float] = []
    now, shape = 0.0, (0, 0)
    for rgb, seconds in _frames(file):
        times.append(now)
        now += seconds
        shape = (rgb.shape[0], rgb.shape[1])
    if not times:
        raise MediaError(f"{file} holds no frame: export it again")
    return AnimationInfo(shape[1], shape[0], np.array(times), now)


def animation_frames(file: Path) -> Iterator[tuple[int, float, np.ndarray]]:
    """(number, seconds since the first frame, (H, W, 3) uint8) of every frame."""
    now = 0.0
    for number, (rgb, seconds) in enumerate(_frames(file)):
        yield number, now, rgb
        now += seconds


def _frames(file: Path) -> Iterator[tuple[np.ndarray, float]]:
    """Frames, composed and on white, with how long each is shown."""
    with picture_errors(file), iio.imopen(file, "r", plugin="pillow") as opened:
        reader: Any = opened  # whose options are the plug-in's, not the base class's
        for number, rgba in enumerate(reader.iter(mode="RGBA")):
            if number >= _MOST_FRAMES:
                raise MediaError(f"{file} has more than {_MOST_FRAMES} frames: shorten it")
            shown = reader.metadata(index=number, exclude_applied=False).get("duration", 0)
            seconds = float(shown) / 1000.0
            alpha = rgba[..., 3:].astype(np.float32) / 255.0
            rgb = rgba[..., :3] * alpha + 255.0 * (1.0 - alpha)
            yield rgb.round().astype(np.uint8), seconds if seconds >= _SHORTEST else _USUAL
