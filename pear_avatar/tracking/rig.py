"""The few body points the tracker looks at, as linear forms of the bones, with Jacobians.

Linear blend skinning makes every landmark a sum over a few bones ``b``::

    x = sum_b  G_b (u_b - m_b J_b) + m_b p_b

with the bone's world rotation ``G_b`` and place ``p_b``, its rest place ``J_b``, the summed
skinning weight ``m_b`` and the weighted rest position ``u_b``. Turning joint ``j`` by a small
world rotation ``w`` moves the point by ``w x (sum over the bones below j of (y_b - m_b p_j))``,
``y_b`` being bone ``b``'s term above: exact derivatives without automatic differentiation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from pear_avatar.body import BodyModel
from pear_avatar.body.joints import NUM_JOINTS, PARENTS
from pear_avatar.body.skinning import KinematicTree, forward_kinematics

_TREE = KinematicTree.from_parents(PARENTS)


def _levels() -> tuple[tuple[Tensor, Tensor], ...]:
    depth = [0] * NUM_JOINTS
    for j in range(1, NUM_JOINTS):
        depth[j] = depth[PARENTS[j]] + 1
    levels = []
    for d in range(1, max(depth) + 1):
        joints = [j for j in range(NUM_JOINTS) if depth[j] == d]
        levels.append((torch.tensor(joints), torch.tensor([PARENTS[j] for j in joints])))
    return tuple(levels)


def ancestors(joint: int) -> list[int]:
    """``joint`` and every joint above it, the root last."""
    chain = []
    while joint >= 0:
        chain.append(joint)
        joint = PARENTS[joint]
    return chain


@dataclass(frozen=True)
class PointRig:
    """M points over Q (point, bone) pairs; S shape and E expression coefficients.

    pair_point, pair_bone: (Q,) int64.
    pair_mass:             (Q,) summed weight ``m``.
    pair_rest:             (Q, 3) metres; pair_shape (Q, 3, S); pair_expression (Q, 3, E).
    joint_rest:            (55, 3); joint_shape (55, 3, S).
    height_rest:           () standing height of the mean shape; height_shape (S,) its change.
    sigma:                 (M,) expected distance in metres between landmark and body point.
    main_pair:             (M,) int64, the pair that carries most of each point.
    """

    pair_point: Tensor
    pair_bone: Tensor
    pair_mass: Tensor
    pair_rest: Tensor
    pair_shape: Tensor
    pair_expression: Tensor
    joint_rest: Tensor
    joint_shape: Tensor
    height_rest: Tensor
    height_shape: Tensor
    sigma: Tensor
    main_pair: Tensor

    @property
    def main_bone(self) -> Tensor:
        """(M,) int64, the bone that carries most of each point."""
        return self.pair_bone[self.main_pair]

    @property
    def num_points(self) -> int:
        """Number of points M."""
        return int(self.sigma.shape[0])

    def to(self, dtype: torch.dtype) -> PointRig:
        """The same rig with its floating-point tensors in another dtype."""
        changes: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            changes[f.name] = value.to(dtype) if value.is_floating_point() else value
        return replace(self, **changes)


@dataclass(frozen=True)
class PosedRig:
    """A rig posed over N frames.

    G:          (N, 55, 3, 3) world rotation of each bone; p (N, 55, 3) its place.
    pair_world: (N, Q, 3) each pair's term ``y``.
    points:     (N, M, 3) metres.
    """

    G: Tensor
    p: Tensor
    pair_world: Tensor
    points: Tensor


def build_rig(
    body: BodyModel,
    landmarks: Sequence[tuple[str, Sequence[int]]],
    num_betas: int,
    num_expression: int,
) -> PointRig:
    """Compile landmarks (set name, indices in that set), in the order given."""
    pairs: dict[tuple[int, int], int] = {}
    pair_terms: list[tuple[int, int, float]] = []  # (pair, source index, weight)
    sigmas: list[float] = []
    point = 0
    for name, indices in landmarks:
        chosen = body.landmark_set(name)
        for i in indices:
            sigmas.append(float(chosen.sigma[i]))
            for source, weight in zip(
                chosen.index[i].tolist(), chosen.weight[i].tolist(), strict=True
            ):
                for bone, share in _bones_of(body, source):
                    if weight * share == 0:
                        continue
                    pair = pairs.setdefault((point, bone), len(pairs))
                    pair_terms.append((pair, source, weight * share))
            point += 1
    return _assemble(body, pairs, pair_terms, sigmas, num_betas, num_expression=num_expression)


def _bones_of(body: BodyModel, source: int) -> list[tuple[int, float]]:
    """Bones and weights of entry ``source`` of concat(55 joints, V vertices)."""
    if source < NUM_JOINTS:
        return [(source, 1.0)]
    vertex = source - NUM_JOINTS
    joints, weights = body.skin_joints[vertex].tolist(), body.skin_weights[vertex].tolist()
    return [(j, w) for j, w in zip(joints, weights, strict=True) if w > 0]


def _assemble(
    body: BodyModel,
    pairs: dict[tuple[int, int], int],
    terms: list[tuple[int, int, float]],
    sigmas: list[float],
    num_betas: int,
    *,
    num_expression: int,
) -> PointRig:
    S = min(num_betas, body.shape_dirs.shape[-1])
    E = min(num_expression, body.expression_dirs.shape[-1])
    dtype = torch.float64
    joint_rest = body.joint_template.to(dtype)
    joint_shape = body.joint_shape_dirs[..., :S].to(dtype)
    count = len(pairs)
    mass = torch.zeros(count, dtype=dtype)
    rest = torch.zeros(count, 3, dtype=dtype)
    shape = torch.zeros(count, 3, S, dtype=dtype)
    expression = torch.zeros(count, 3, E, dtype=dtype)
    for pair, source, weight in terms:
        mass[pair] += weight
        if source < NUM_JOINTS:
            rest[pair] += weight * joint_rest[source]
            shape[pair] += weight * joint_shape[source]
        else:
            v = source - NUM_JOINTS
            rest[pair] += weight * body.v_template[v].to(dtype)
            shape[pair] += weight * body.shape_dirs[v, :, :S].to(dtype)
            expression[pair] += weight * body.expression_dirs[v, :, :E].to(dtype)
    pair_point = torch.tensor([point for point, _ in pairs])
    pair_bone = torch.tensor([bone for _, bone in pairs])
    top = int(body.v_template[:, 1].argmax())
    sole = int(body.v_template[:, 1].argmin())
    extent = body.v_template[top, 1] - body.v_template[sole, 1]
    extent_shape = body.shape_dirs[top, 1, :S] - body.shape_dirs[sole, 1, :S]
    main = torch.zeros(len(sigmas), dtype=torch.int64)
    for m in range(len(sigmas)):
        of_point = (pair_point == m).nonzero()[:, 0]
        main[m] = of_point[mass[of_point].argmax()]
    return PointRig(
        pair_point=pair_point,
        pair_bone=pair_bone,
        pair_mass=mass,
        pair_rest=rest,
        pair_shape=shape,
        pair_expression=expression,
        joint_rest=joint_rest,
        joint_shape=joint_shape,
        height_rest=extent.to(dtype),
        height_shape=extent_shape.to(dtype),
        sigma=torch.tensor(sigmas, dtype=dtype),
        main_pair=main,
    )


def pose_rig(
    rig: PointRig, rotations: Tensor, transl: Tensor, betas: Tensor, expression: Tensor
) -> PosedRig:
    """Forward kinematics: rotations (N, 55, 3, 3), transl (N, 3), betas (S,), expression (N, E)."""
    joints = rig.joint_rest + rig.joint_shape @ betas
    T = forward_kinematics(rotations, joints, _TREE)
    G_all, p_all = T[..., :3], T[..., 3].clone()
    p_all += transl[:, None]
    rest = rig.pair_rest + rig.pair_shape @ betas
    local = rest - rig.pair_mass[:, None] * joints[rig.pair_bone]
    moved = local + (rig.pair_expression @ expression.T).permute(2, 0, 1)  # (N, Q, 3)
    pair_world = (G_all[:, rig.pair_bone] @ moved[..., None])[..., 0]
    pair_world = pair_world + rig.pair_mass[:, None] * p_all[:, rig.pair_bone]
    points = _sum_pairs(pair_world, rig.pair_point, rig.num_points)
    return PosedRig(G_all, p_all, pair_world, points)


def shift_points(rig: PointRig, posed: PosedRig, points: Tensor, offsets: Tensor) -> PosedRig:
    """Move ``points`` (O,) by ``offsets`` (O, 3), metres in the axes of each one's main bone."""
    moved = (posed.G[:, rig.main_bone[points]] @ offsets[..., None])[..., 0]
    return replace(
        posed,
        pair_world=posed.pair_world.index_add(1, rig.main_pair[points], moved),
        points=posed.points.index_add(1, points, moved),
    )


def _sum_pairs(values: Tensor, index: Tensor, count: int) -> Tensor:
    """Sum (N, Q, ...) over the pairs of each target: (N, count, ...)."""
    out = values.new_zeros(values.shape[0], count, *values.shape[2:])
    return out.index_add_(1, index, values)


@dataclass(frozen=True)
class ShapeBasis:
    """How M of a rig's points depend on the betas, gathered by the B bones that carry them.

    bones (B,) int64; local (3 B, M S): shape change in each bone's frame; mass (M, B).
    """

    bones: Tensor
    local: Tensor
    mass: Tensor


def shape_basis(rig: PointRig, start: int, stop: int, num_betas: int) -> ShapeBasis:
    """Gather the shape directions of points ``start:stop``, the first ``num_betas`` of them."""
    chosen = ((rig.pair_point >= start) & (rig.pair_point < stop)).nonzero()[:, 0]
    bones, place = torch.unique(rig.pair_bone[chosen], return_inverse=True)
    point, mass = rig.pair_point[chosen] - start, rig.pair_mass[chosen]
    moved = rig.pair_shape[chosen] - mass[:, None, None] * rig.joint_shape[rig.pair_bone[chosen]]
    local = mass.new_zeros(len(bones), 3, stop - start, num_betas)
    local[place, :, point] = moved[..., :num_betas]
    table = mass.new_zeros(stop - start, len(bones))
    table[point, place] = mass
    return ShapeBasis(bones, local.flatten(2).flatten(0, 1), table)


def joint_shape_jacobian(rig: PointRig, posed: PosedRig, num_betas: int) -> Tensor:
    """Derivative of the joints' places by the betas: (N, 55, 3, S)."""
    G = posed.G
    dp = G.new_zeros(G.shape[0], NUM_JOINTS, 3, num_betas)
    dp[:, 0] = rig.joint_shape[0, :, :num_betas]
    for joints, parents in _LEVELS:
        bone = rig.joint_shape[joints, :, :num_betas] - rig.joint_shape[parents, :, :num_betas]
        dp[:, joints] = dp[:, parents] + G[:, parents] @ bone
    return dp


def shape_jacobian(posed: PosedRig, basis: ShapeBasis, joints: Tensor) -> Tensor:
    """Derivative of a basis' points by the betas, (N, M, 3, S); ``joints`` as above."""
    N, (M, B), S = len(posed.G), basis.mass.shape, joints.shape[-1]
    G = posed.G[:, basis.bones].transpose(1, 2).reshape(3 * N, 3 * B)
    turned = (G @ basis.local).reshape(N, 3, M, S).transpose(1, 2)
    carried = basis.mass @ joints[:, basis.bones].flatten(2)
    return turned + carried.reshape(N, M, 3, S)


_LEVELS = _levels()
