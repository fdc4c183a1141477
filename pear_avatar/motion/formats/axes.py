"""Axes and origins of pose files: what turns a file's world into ours."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from pear_avatar.errors import PearError

__all__ = [
    "PELVIS_SMPLH",
    "PELVIS_SMPLX",
    "UpAxis",
    "check_up_axis",
    "seen_up_axis",
    "to_y_up",
]

UpAxis = Literal["y", "z", "-y"]

#: Where the pelvis of the average SMPL-H and SMPL-X body rests in metres, to 2 cm: their
#: ``trans`` moves the model's origin, ours the pelvis.
PELVIS_SMPLH = (-0.002, -0.241, 0.029)
PELVIS_SMPLX = (0.003, -0.351, 0.012)

#: World axes of a file -> ours, by which of its axes points up; "-y" are camera axes.
_TO_Y_UP: dict[str, list[list[float]]] = {
    "y": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "z": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "-y": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
}


def to_y_up(up: UpAxis) -> Tensor:
    """(3, 3) float64 rotation from a world in which this axis points up to ours."""
    return torch.tensor(_TO_Y_UP[check_up_axis(up)], dtype=torch.float64)


def check_up_axis(up: str) -> UpAxis:
    """The same axis, if it is one; ValueError otherwise."""
    for axis in get_args(UpAxis):
        if up == axis:
            known: UpAxis = axis
            return known
    raise PearError(f"up_axis must be one of y, z, -y; got {up!r}")


def seen_up_axis(root: Tensor | np.ndarray) -> UpAxis:
    """The axis along which a body with these root rotations (N, 3, 3) stands on average."""
    up = root[:, :, 1].mean(0)  # where the body's own up points
    strongest = int(abs(up).argmax())
    if strongest == 2 and up[2] > 0.5:
        return "z"
    if strongest == 1 and up[1] < -0.5:
        return "-y"
    return "y"
