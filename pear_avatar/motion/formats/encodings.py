"""Rotations as files write them: axis-angle, matrices, quaternions, two columns or rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pear_avatar.geometry.rotations import axis_angle_to_matrix, quat_wxyz_to_matrix
from pear_avatar.motion.formats.arrays import PoseArrays

__all__ = ["matrices_of_six", "read_rotations"]

#: Axis-angle vectors longer than this are taken for degrees.
_MAX_ANGLE = 8 * np.pi
#: How far rows of a matrix may be from orthonormal, by rounding to half precision or so.
_ORTHONORMAL = 0.05

Encoding = Literal["axis-angle", "matrix", "quaternion"]


def read_rotations(
    arrays: PoseArrays, key: str, joints: int | tuple[int, ...], count: int | None = None
) -> Tensor:
    """(N, J, 3, 3) float64 rotations of J joints, however the file writes them.

    Args:
        arrays: the file's.
        key: of axis-angle vectors (N, J * 3) or (N, J, 3), matrices (N, J, 3, 3) or (N, J * 9),
            or quaternions (N, J, 4), whose order is seen: w is the largest on average. One
            frame may lack the first axis.
        joints: J, or the values that it may have.
        count: N, where other arrays say it.

    Raises:
        MotionFileError: another shape, not finite, no rotations, degrees.
    """
    known = joints if isinstance(joints, tuple) else (joints,)
    array = arrays.numbers(key)
    for J in known:
        for encoding, tail in _tails(J):
            lead = array.ndim - len(tail)
            if array.shape[lead:] != tail or not 0 <= lead <= 2:
                continue
            if lead == 2 and 1 not in array.shape[:2]:
                continue
            if encoding == "matrix" and tail == (3, 3) and not _orthonormal(array):
                continue
            values = array.reshape(-1, J, _WIDTH[encoding])
            arrays.check_count(key, len(values), count)
            return _matrices(arrays, key, values, encoding)
    wanted = " or ".join(f"(N, {3 * J})" + (f" or (N, {J}, 3)" if J > 1 else "") for J in known)
    raise arrays.error(f"{key} must have shape {wanted}, got {array.shape}")


_WIDTH: dict[Encoding, int] = {"axis-angle": 3, "matrix": 9, "quaternion": 4}


def _tails(J: int) -> Iterator[tuple[Encoding, tuple[int, ...]]]:
    """Shapes of one frame's rotations, those that nothing else can mean first."""
    yield "matrix", (J, 3, 3)
    if J == 1:
        yield "matrix", (3, 3)
    yield "axis-angle", (J, 3)
    yield "quaternion", (J, 4)
    yield "matrix", (J, 9)
    yield "axis-angle", (J * 3,)
    yield "matrix", (J * 9,)
    yield "quaternion", (J * 4,)


def _orthonormal(array: np.ndarray) -> bool:
    """Whether (3, 3) blocks are rotations; three axis-angle vectors look alike."""
    product = array @ np.swapaxes(array, -1, -2)
    return bool(np.abs(product - np.eye(3)).max() < _ORTHONORMAL)


def _matrices(arrays: PoseArrays, key: str, values: np.ndarray, encoding: Encoding) -> Tensor:
    if encoding == "axis-angle":
        largest = float(np.abs(values).max())
        if largest > _MAX_ANGLE:
            raise arrays.error(
                f"{key} holds axis-angle values up to {largest:.1f}, far beyond a turn; "
                "they must be radians (are these degrees?)"
            )
        return axis_angle_to_matrix(torch.from_numpy(values))
    if encoding == "quaternion":
        return _of_quaternions(arrays, key, values)
    matrices = values.reshape(*values.shape[:2], 3, 3)
    if not _orthonormal(matrices) or np.linalg.det(matrices).min() < 0:
        raise arrays.error(f"{key} must hold rotation matrices, whose rows are at right angles")
    U, _, Vh = np.linalg.svd(matrices)
    return torch.from_numpy(U @ Vh)


def _of_quaternions(arrays: PoseArrays, key: str, values: np.ndarray) -> Tensor:
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    if np.abs(length - 1).max() > 0.1:
        raise arrays.error(f"{key} must hold unit quaternions, got lengths from {length.min():.3g}")
    values = values / length
    first, last = np.abs(values[..., 0]).mean(), np.abs(values[..., 3]).mean()
    if last > first:
        values = values[..., [3, 0, 1, 2]]
    return quat_wxyz_to_matrix(torch.from_numpy(np.ascontiguousarray(values)))


def matrices_of_six(six: np.ndarray, *, rows: bool) -> Tensor:
    """(..., 3, 3) from two rows or two columns (..., 6) of a rotation (Zhou et al. 2019).

    rows: the six numbers are the first two rows, as PyTorch3D writes them; else columns.
    """
    a, b = (torch.from_numpy(np.ascontiguousarray(part)) for part in (six[..., :3], six[..., 3:]))
    x = torch.nn.functional.normalize(a, dim=-1)
    y = torch.nn.functional.normalize(b - (x * b).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-2 if rows else -1)
