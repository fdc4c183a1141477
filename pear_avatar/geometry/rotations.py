"""Conversions between representations of rotations, for any leading batch shape ``*B``.

Matrices act on column vectors (``y = R @ x``). Every function is differentiable and keeps its
input's dtype and device; values and gradients are finite everywhere, including at the identity
and at half turns. Half turns have two axis-angle vectors, and every rotation two quaternions:
the functions here return one of the two, always the quaternion with ``w >= 0``.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "axis_angle_to_matrix",
    "geodesic_angle",
    "matrix_to_axis_angle",
    "matrix_to_quat_wxyz",
    "matrix_to_rotation_6d",
    "quat_multiply_wxyz",
    "quat_wxyz_to_matrix",
    "rotation_6d_to_matrix",
    "rotation_between",
    "slerp_wxyz",
]


def _check_trailing(x: Tensor, shape: tuple[int, ...], what: str) -> None:
    if tuple(x.shape[-len(shape) :]) != shape:
        wanted = ", ".join(str(n) for n in shape)
        raise ValueError(f"{what} must have shape (*B, {wanted}), got {tuple(x.shape)}")


def _small_square(dtype: torch.dtype) -> float:
    """Squared angle below which a two-term Taylor series is exact to rounding."""
    return 1e-5 if dtype == torch.float64 else 1e-3


def skew(v: Tensor) -> Tensor:
    """Cross-product matrices: ``skew(v) @ x == cross(v, x)``; (*B, 3) -> (*B, 3, 3)."""
    _check_trailing(v, (3,), "v")
    x, y, z = v.unbind(-1)
    o = torch.zeros_like(x)
    return torch.stack([o, -z, y, z, o, -x, -y, x, o], dim=-1).reshape(*v.shape[:-1], 3, 3)


def axis_angle_to_matrix(axis_angle: Tensor) -> Tensor:
    """Rodrigues' formula: (*B, 3) radians -> (*B, 3, 3)."""
    _check_trailing(axis_angle, (3,), "axis_angle")
    square = (axis_angle * axis_angle).sum(-1)
    small = square < _small_square(axis_angle.dtype)
    # The untaken branch of a where() must stay finite, or its gradient poisons the taken one.
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    sinc = torch.where(small, 1 - square / 6 * (1 - square / 20), torch.sin(angle) / angle)
    half = torch.sin(0.5 * angle) / angle  # 2 sin^2(t/2) = 1 - cos(t) without cancellation
    cosc = torch.where(small, 0.5 - square / 24 * (1 - square / 30), 2 * half * half)
    k = skew(axis_angle)
    eye = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    return eye + sinc[..., None, None] * k + cosc[..., None, None] * (k @ k)


def matrix_to_quat_wxyz(matrix: Tensor) -> Tensor:
    """(*B, 3, 3) rotation -> (*B, 4) unit quaternion with ``w >= 0``.

    The 16 sums below are ``4 q q^T``; the row of its largest diagonal element is ``q`` times a
    factor of at least 1, so normalising that row is well conditioned for every rotation
    (Shepperd 1978, without the square roots).
    """
    _check_trailing(matrix, (3, 3), "matrix")
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = matrix.flatten(-2).unbind(-1)
    wx, wy, wz = m21 - m12, m02 - m20, m10 - m01
    xy, xz, yz = m10 + m01, m02 + m20, m21 + m12
    diagonal = [
        1 + m00 + m11 + m22,
        1 + m00 - m11 - m22,
        1 - m00 + m11 - m22,
        1 - m00 - m11 + m22,
    ]
    rows = [
        diagonal[0],
        wx,
        wy,
        wz,
        wx,
        diagonal[1],
        xy,
        xz,
        wy,
        xy,
        diagonal[2],
        yz,
        wz,
        xz,
        yz,
        diagonal[3],
    ]
    outer = torch.stack(rows, dim=-1).unflatten(-1, (4, 4))
    best = torch.stack(diagonal, dim=-1).argmax(-1)
    index = best[..., None, None].expand(*best.shape, 1, 4)
    quat = outer.gather(-2, index).squeeze(-2)
    quat = quat / quat.norm(dim=-1, keepdim=True)
    return torch.where(quat[..., :1] < 0, -quat, quat)


def quat_wxyz_to_matrix(quats_wxyz: Tensor) -> Tensor:
    """(*B, 4) quaternion of any non-zero length -> (*B, 3, 3)."""
    _check_trailing(quats_wxyz, (4,), "quats_wxyz")
    scale = 2 / (quats_wxyz * quats_wxyz).sum(-1).clamp_min(1e-24)
    w, x, y, z = quats_wxyz.unbind(-1)
    entries = [
        1 - scale * (y * y + z * z),
        scale * (x * y - w * z),
        scale * (x * z + w * y),
        scale * (x * y + w * z),
        1 - scale * (x * x + z * z),
        scale * (y * z - w * x),
        scale * (x * z - w * y),
        scale * (y * z + w * x),
        1 - scale * (x * x + y * y),
    ]
    return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))


def quat_multiply_wxyz(a_wxyz: Tensor, b_wxyz: Tensor) -> Tensor:
    """Hamilton product: the rotation ``b`` followed by ``a``; broadcasts (*B, 4) x (*B, 4)."""
    _check_trailing(a_wxyz, (4,), "a_wxyz")
    _check_trailing(b_wxyz, (4,), "b_wxyz")
    aw, ax, ay, az = a_wxyz.unbind(-1)
    bw, bx, by, bz = b_wxyz.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        dim=-1,
    )


def matrix_to_axis_angle(matrix: Tensor) -> Tensor:
    """(*B, 3, 3) rotation -> (*B, 3) axis-angle of length at most pi."""
    quat = matrix_to_quat_wxyz(matrix)
    w, xyz = quat[..., 0], quat[..., 1:]
    square = (xyz * xyz).sum(-1)
    small = square < _small_square(matrix.dtype) / 4
    sine = torch.where(small, torch.ones_like(square), square).sqrt()
    # 2 atan(s / w) / s by its series; w is near 1 wherever it is taken.
    ratio = square / (w * w).clamp_min(0.5)
    series = 2 / w.clamp_min(0.5) * (1 - ratio / 3 + ratio * ratio / 5)
    factor = torch.where(small, series, 2 * torch.atan2(sine, w) / sine)
    return factor[..., None] * xyz


def rotation_6d_to_matrix(rotation_6d: Tensor) -> Tensor:
    """(*B, 6), two 3-vectors -> (*B, 3, 3) whose first two columns they become.

    Gram-Schmidt, after Zhou et al., "On the Continuity of Rotation Representations in Neural
    Networks", 2019. Undefined only where the two vectors are parallel or zero.
    """
    _check_trailing(rotation_6d, (6,), "rotation_6d")
    a, b = rotation_6d[..., :3], rotation_6d[..., 3:]
    first = torch.nn.functional.normalize(a, dim=-1)
    b = b - (first * b).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(b, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1)


def matrix_to_rotation_6d(matrix: Tensor) -> Tensor:
    """(*B, 3, 3) -> (*B, 6): its first column, then its second."""
    _check_trailing(matrix, (3, 3), "matrix")
    return torch.cat([matrix[..., :, 0], matrix[..., :, 1]], dim=-1)


def geodesic_angle(a: Tensor, b: Tensor) -> Tensor:
    """Angle in [0, pi] of the rotation between (*B, 3, 3) and (*B, 3, 3) -> (*B,) radians."""
    relative = a.transpose(-1, -2) @ b
    quat = matrix_to_quat_wxyz(relative)
    return 2 * torch.atan2(quat[..., 1:].norm(dim=-1), quat[..., 0])


def rotation_between(source: Tensor, target: Tensor) -> Tensor:
    """The smallest rotation that turns directions (*B, 3) onto directions (*B, 3) -> (*B, 3, 3).

    For opposite directions, where it is not unique, a half turn about some perpendicular axis.
    """
    _check_trailing(source, (3,), "source")
    _check_trailing(target, (3,), "target")
    s, t = torch.broadcast_tensors(
        torch.nn.functional.normalize(source, dim=-1),
        torch.nn.functional.normalize(target, dim=-1),
    )
    # The quaternion (1 + s.t, s x t), with a perpendicular axis where both parts vanish.
    w = 1 + (s * t).sum(-1, keepdim=True)
    quat = torch.cat([w, torch.linalg.cross(s, t)], dim=-1)
    axis = torch.zeros_like(s).scatter(-1, s.abs().argmin(-1, keepdim=True), 1.0)
    fallback = torch.cat([torch.zeros_like(w), torch.linalg.cross(s, axis)], dim=-1)
    tiny = 1e-12 if s.dtype == torch.float64 else 1e-6
    return quat_wxyz_to_matrix(torch.where(w < tiny, fallback, quat))


def slerp_wxyz(a_wxyz: Tensor, b_wxyz: Tensor, fraction: Tensor) -> Tensor:
    """Shortest-arc interpolation between unit quaternions (*B, 4); ``fraction`` (*B,) in [0, 1]."""
    _check_trailing(a_wxyz, (4,), "a_wxyz")
    _check_trailing(b_wxyz, (4,), "b_wxyz")
    dot = (a_wxyz * b_wxyz).sum(-1, keepdim=True)
    b_wxyz = torch.where(dot < 0, -b_wxyz, b_wxyz)
    # Angle from the chord: exact for small arcs, where acos(dot) loses half the digits.
    angle = 2 * torch.asin((0.5 * (b_wxyz - a_wxyz).norm(dim=-1, keepdim=True)).clamp(max=1.0))
    t = fraction[..., None]
    close = angle < 1e-4
    sine = torch.where(close, torch.ones_like(angle), torch.sin(angle))
    weight_a = torch.where(close, 1 - t, torch.sin((1 - t) * angle) / sine)
    weight_b = torch.where(close, t, torch.sin(t * angle) / sine)
    return torch.nn.functional.normalize(weight_a * a_wxyz + weight_b * b_wxyz, dim=-1)
