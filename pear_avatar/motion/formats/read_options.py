"""Options of reading a pose file: facts that the file does not hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pear_avatar.body.licensed.hands import HandPca
from pear_avatar.errors import PearError
from pear_avatar.motion.formats.axes import UpAxis, check_up_axis

__all__ = ["ReadOptions"]


@dataclass(frozen=True)
class ReadOptions:
    """What a file does not say about itself.

    up_axis:           which axis of the file points up; by default z for AMASS, for SMPL-X names
                       and trackers whichever the body's own up follows ("-y" are camera axes),
                       for captures whichever the skeleton stands along.
    rest_joints:       (55, 3) rest joints in metres that captures are fitted to; the open
                       body's by default.
    sole_height:       height of the soles in that rest pose.
    keep_coefficients: betas and expression mean something only on the body they were made for.
                       Those of another body become zeros, unless this is true.
    frame_rate:        frames a second, for files that do not say.
    hands:             "left" and "right", for hands given as principal components or relative to
                       the mean hand.
    skeleton:          the .asf file of an .amc; by default the one beside it.
    camera_space:      of GVHMR's two motions take the one seen from the camera.
    """

    up_axis: UpAxis | None = None
    rest_joints: np.ndarray | None = None
    sole_height: float | None = None
    keep_coefficients: bool = False
    frame_rate: float | None = None
    hands: Mapping[str, HandPca] | None = None
    skeleton: Path | None = None
    camera_space: bool = False

    def __post_init__(self) -> None:
        if self.up_axis is not None:
            check_up_axis(self.up_axis)
        if self.frame_rate is not None and not 0.1 <= self.frame_rate <= 10_000:
            raise PearError(f"frame_rate must lie in [0.1, 10000], got {self.frame_rate}")
