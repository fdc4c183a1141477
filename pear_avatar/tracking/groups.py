"""Groups of points that share most of their unknowns, and their dense local Jacobians."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.body.joints import PARENTS
from pear_avatar.geometry.rotations import skew
from pear_avatar.tracking.rig import PointRig, PosedRig, ShapeBasis, ancestors, shape_basis
from pear_avatar.tracking.track_state import ANGLES, ROOT, TRANSL, Layout


@dataclass(frozen=True)
class Group:
    """Points ``start:stop`` of a rig and the C frame unknowns that move them.

    columns:     (C,) int64 into a frame's unknowns.
    arm_*:       an arm is a (point, joint) pair with the joint above the point: its summed mass
                 (A,), joint (A,), and the (arm, pair) incidence that sums its rig pairs.
    entry_*:     (K,) non-zero rotation entries: arm, joint, axis, local point, local column.
    """

    start: int
    stop: int
    columns: Tensor
    arm_mass: Tensor
    arm_joint: Tensor
    arm_of: Tensor
    pair_of: Tensor
    entry_arm: Tensor
    entry_joint: Tensor
    entry_axis: Tensor
    entry_point: Tensor
    entry_column: Tensor
    num_expression: int
    shape: ShapeBasis

    @property
    def points(self) -> slice:
        """The group's points in the rig."""
        return slice(self.start, self.stop)


def make_group(rig: PointRig, layout: Layout, start: int, stop: int) -> Group:
    """Find the unknowns that move points ``start:stop``."""
    dofs = layout.dofs
    column_of = {(0, a): ROOT + a for a in range(3)}
    for i, (j, a) in enumerate(zip(dofs.joint.tolist(), dofs.axis.tolist(), strict=True)):
        column_of[j, a] = ANGLES + i
    arms: dict[tuple[int, int], int] = {}
    incidence: list[tuple[int, int]] = []
    pair_point, pair_bone = rig.pair_point.tolist(), rig.pair_bone.tolist()
    for q, (point, bone) in enumerate(zip(pair_point, pair_bone, strict=True)):
        if start <= point < stop:
            for joint in ancestors(bone):
                incidence.append((arms.setdefault((point, joint), len(arms)), q))
    entries = [
        (arm, joint, axis, point - start, column_of[joint, axis])
        for (point, joint), arm in arms.items()
        for axis in range(3)
        if (joint, axis) in column_of
    ]
    used = sorted({e[4] for e in entries} | set(range(TRANSL, ANGLES)))
    chosen = (rig.pair_point >= start) & (rig.pair_point < stop)
    moves = bool((rig.pair_expression[chosen] != 0).any())
    E = layout.num_expression if moves else 0
    local = {c: i for i, c in enumerate(used)}
    used += range(layout.expression_start, layout.expression_start + E)
    table = torch.tensor([(*e[:4], local[e[4]]) for e in entries])
    arm_of, pair_of = torch.tensor(incidence).unbind(1)
    mass = torch.zeros(len(arms), dtype=rig.pair_mass.dtype)
    mass.index_add_(0, arm_of, rig.pair_mass[pair_of])
    entry_arm, entry_joint, entry_axis, entry_point, entry_column = table.unbind(1)
    return Group(
        start=start,
        stop=stop,
        columns=torch.tensor(used),
        arm_mass=mass,
        arm_joint=torch.tensor([joint for _, joint in arms]),
        arm_of=arm_of,
        pair_of=pair_of,
        entry_arm=entry_arm,
        entry_joint=entry_joint,
        entry_axis=entry_axis,
        entry_point=entry_point,
        entry_column=entry_column,
        num_expression=E,
        shape=shape_basis(rig, start, stop, layout.num_betas),
    )


def rotation_axes(posed: PosedRig, theta: Tensor) -> Tensor:
    """(N, 55, 3, 3): column ``a`` of joint ``j`` is the world turn per unit of its angle ``a``.

    The root's angles are a turn about the world's own axes; the other joints are axis-angle
    vectors, whose left Jacobian turns their change into an angular velocity.
    """
    parents = torch.tensor(PARENTS[1:])
    axes = torch.empty_like(posed.G)
    axes[:, 0] = torch.eye(3, dtype=axes.dtype)
    axes[:, 1:] = posed.G[:, parents] @ left_jacobian(theta[:, 1:])
    return axes


def left_jacobian(axis_angle: Tensor) -> Tensor:
    """(*B, 3) -> (*B, 3, 3) with ``exp(a + da) = exp(J da) exp(a)`` to first order."""
    square = (axis_angle**2).sum(-1)[..., None, None]
    small = square < 1e-4
    angle = torch.where(small, torch.ones_like(square), square).sqrt()
    first = torch.where(small, 0.5 - square / 24, (1 - angle.cos()) / angle**2)
    second = torch.where(small, 1 / 6 - square / 120, (angle - angle.sin()) / angle**3)
    k = skew(axis_angle)
    return torch.eye(3, dtype=axis_angle.dtype) + first * k + second * (k @ k)


def point_jacobian(rig: PointRig, posed: PosedRig, axes: Tensor, group: Group) -> Tensor:
    """Derivative of the group's points by its columns: (N, M, 3, C)."""
    N, M, C = posed.points.shape[0], group.stop - group.start, len(group.columns)
    arm = posed.pair_world.new_zeros(N, len(group.arm_joint), 3)
    arm.index_add_(1, group.arm_of, posed.pair_world[:, group.pair_of])
    arm -= group.arm_mass[:, None] * posed.p[:, group.arm_joint]
    turn = axes[:, group.entry_joint, :, group.entry_axis]  # (K, N, 3)
    moved = torch.linalg.cross(turn, arm[:, group.entry_arm].transpose(0, 1), dim=-1)
    J = moved.new_zeros(M, C, N, 3)
    J[group.entry_point, group.entry_column] = moved
    J = J.permute(2, 0, 3, 1).contiguous()
    first = int((group.columns == TRANSL).nonzero()[0, 0])
    for a in range(3):
        J[:, :, a, first + a] = 1.0
    if group.num_expression:
        J[..., C - group.num_expression :] = _expression_jacobian(rig, posed, group)
    return J


def _expression_jacobian(rig: PointRig, posed: PosedRig, group: Group) -> Tensor:
    chosen = ((rig.pair_point >= group.start) & (rig.pair_point < group.stop)).nonzero()[:, 0]
    basis = rig.pair_expression[chosen, :, : group.num_expression]
    pairs = posed.G[:, rig.pair_bone[chosen]] @ basis
    out = pairs.new_zeros(pairs.shape[0], group.stop - group.start, *pairs.shape[2:])
    return out.index_add_(1, rig.pair_point[chosen] - group.start, pairs)
