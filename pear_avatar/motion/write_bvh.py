"""Writing BVH: the body's 55 joints, with the offsets of its shape, in motion."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Literal, get_args

import numpy as np
import torch

from pear_avatar.body.joints import JOINT_NAMES, PARENTS
from pear_avatar.body.model import BodyModel
from pear_avatar.errors import PearError
from pear_avatar.io.atomic import atomic_path
from pear_avatar.types import Motion

__all__ = ["BvhUnit", "EulerOrder", "euler_angles", "save_bvh"]

EulerOrder = Literal["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"]
BvhUnit = Literal["cm", "m"]

#: Below this cosine of the middle angle the two outer ones turn about one axis.
_LOCKED = 1e-7

#: End sites of bones without a joint at their end, as a share of the bone before them.
_TIP = 0.7

_ROWS_AT_ONCE = 4096


def save_bvh(
    path: str | Path,
    motion: Motion,
    body: BodyModel,
    *,
    order: EulerOrder = "ZXY",
    unit: BvhUnit = "cm",
) -> None:
    """Write a motion as BVH: y up, rest pose the T-pose facing +z, joints by SMPL-X's names.

    Rotations are exact to the last of nine decimals; angles run on past half a turn where the
    motion does, so that programs that interpolate them do not spin.

    Args:
        path: the file; it appears whole or not at all.
        motion: the motion; its betas shape the skeleton.
        body: whose skeleton it moves.
        order: in which Euler angles are multiplied, leftmost first, as in BVH's channel lists.
        unit: of offsets and positions; most programs take BVH for centimetres.

    Raises PearError for another order or unit, or a body without the 55 joints.
    """
    if order not in get_args(EulerOrder):
        raise PearError(f"order must be one of {', '.join(get_args(EulerOrder))}; got {order!r}")
    if unit not in get_args(BvhUnit):
        raise PearError(f"unit must be cm or m, got {unit!r}")
    if body.parents != PARENTS:
        raise PearError(
            f"BVH is written for the 55 joints of SMPL-X, this body has {body.num_joints}"
        )
    scale = 100.0 if unit == "cm" else 1.0
    with torch.no_grad():
        rest = body.shape(motion.params.betas.to(body.v_template)).joints.double().cpu().numpy()
    transl = motion.params.transl.detach().double().cpu().numpy()
    rotations = motion.params.rotations.detach().double().cpu().numpy()
    nodes = _depth_first()
    with atomic_path(path) as temporary, temporary.open("w", encoding="ascii") as f:
        _write_hierarchy(f, rest * scale, order)
        f.write(f"MOTION\nFrames: {len(transl)}\nFrame Time: {1.0 / motion.fps:.9g}\n")
        values = np.concatenate(
            [
                (transl + rest[0]) * scale,
                np.rad2deg(euler_angles(rotations[:, nodes], order)).reshape(len(transl), -1),
            ],
            axis=1,
        )
        for start in range(0, len(values), _ROWS_AT_ONCE):
            np.savetxt(f, values[start : start + _ROWS_AT_ONCE], fmt="%.9g")


def euler_angles(rotations: np.ndarray, order: EulerOrder) -> np.ndarray:
    """(N, J, 3, 3) rotations -> (N, J, 3) angles in radians with R = R1(a) @ R2(b) @ R3(c).

    Each rotation has two such triples, and each angle any number of whole turns; those nearest
    to the frame before are taken. Where the middle angle is a right angle the last one keeps its
    value, for only the sum of the outer ones is then determined.
    """
    i, j, k = ("XYZ".index(letter) for letter in order)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    R = np.asarray(rotations, np.float64)
    cosine = np.hypot(R[..., i, i], R[..., i, j])
    b = np.arctan2(sign * R[..., i, k], cosine)
    a = np.arctan2(-sign * R[..., j, k], R[..., k, k])
    c = np.arctan2(-sign * R[..., i, j], R[..., i, i])
    locked = cosine < _LOCKED
    out = np.stack([a, b, c], axis=-1)
    for n in range(len(out)):
        before = out[n - 1] if n else np.zeros_like(out[0])
        if locked[n].any():
            _unlock(out[n], before, locked[n], R[n], (j, k), sign=sign)
        out[n] = _nearest(out[n], before)
    return out


def _unlock(
    angles: np.ndarray,
    before: np.ndarray,
    locked: np.ndarray,
    R: np.ndarray,
    axes: tuple[int, int],
    *,
    sign: float,
) -> None:
    """Where the outer axes coincide, keep the last angle and put the rest into the first."""
    j, k = axes
    together = np.arctan2(sign * R[locked, k, j], R[locked, j, j])
    angles[locked, 2] = before[locked, 2]
    # With the middle angle at +90 degrees the outer ones add up, at -90 they subtract.
    angles[locked, 0] = together - np.sign(angles[locked, 1]) * before[locked, 2]


def _nearest(angles: np.ndarray, before: np.ndarray) -> np.ndarray:
    """(J, 3): of all triples that mean the same rotation, the one nearest to another."""
    other = np.stack([angles[:, 0] + np.pi, np.pi - angles[:, 1], angles[:, 2] + np.pi], axis=-1)
    both = np.stack([angles, other])
    both += 2 * np.pi * np.round((before - both) / (2 * np.pi))
    pick = np.abs(both - before).sum(-1).argmin(0)
    return both[pick, np.arange(len(angles))]


def _children(joint: int) -> list[int]:
    return [j for j, parent in enumerate(PARENTS) if parent == joint]


def _depth_first() -> list[int]:
    """Joints in the order in which a hierarchy of braces lists them."""
    out, stack = [], [0]
    while stack:
        joint = stack.pop()
        out.append(joint)
        stack += _children(joint)[::-1]
    return out


def _write_hierarchy(f: IO[str], rest: np.ndarray, order: str) -> None:
    """The skeleton in file units."""
    f.write("HIERARCHY\n")
    turns = " ".join(f"{axis}rotation" for axis in order)
    open_joints: list[int] = []
    for joint in _depth_first():
        while open_joints and open_joints[-1] != PARENTS[joint]:
            open_joints.pop()
            f.write("  " * len(open_joints) + "}\n")
        indent = "  " * len(open_joints)
        root = PARENTS[joint] < 0
        offset = np.zeros(3) if root else rest[joint] - rest[PARENTS[joint]]
        channels = f"6 Xposition Yposition Zposition {turns}" if root else f"3 {turns}"
        f.write(f"{indent}{'ROOT' if root else 'JOINT'} {JOINT_NAMES[joint]}\n{indent}{{\n")
        f.write(f"{indent}  OFFSET {_vector(offset)}\n{indent}  CHANNELS {channels}\n")
        if not _children(joint):
            f.write(f"{indent}  End Site\n{indent}  {{\n")
            f.write(f"{indent}    OFFSET {_vector(_TIP * offset)}\n{indent}  }}\n")
        open_joints.append(joint)
    while open_joints:
        open_joints.pop()
        f.write("  " * len(open_joints) + "}\n")


def _vector(values: np.ndarray) -> str:
    return " ".join(f"{v:.9g}" for v in values)
