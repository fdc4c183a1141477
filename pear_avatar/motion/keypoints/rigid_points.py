"""Points of the body as they ride on its joints: positions and derivatives by every rotation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pear_avatar.body.joints import NUM_JOINTS, PARENTS
from pear_avatar.body.model import BodyModel
from pear_avatar.body.skinning import KinematicTree, forward_kinematics

__all__ = ["RigidPoints", "attach_points"]

_TREE = KinematicTree.from_parents(PARENTS)
#: Share of a point below which a joint's part in it is left out.
_LEAST_SHARE = 0.04
#: Metres: what programs mean by a name differs by so much, and by more where marked.
_SIGMA, _SIGMA_VAGUE = 0.012, 0.06


@dataclass(frozen=True)
class RigidPoints:
    """K points of a body, each the weighted mean of a few points that ride on one joint (float64).

    joints:  (55, 3) rest joints; joint_dirs (55, 3, S).
    rides:   (M,) the joint that each rider hangs on.
    offsets: (M, 3) from that joint at rest; offset_dirs (M, 3, S).
    mix:     (K, M) the points from the riders.
    above:   (M, 55) 1 where a joint's rotation moves a rider.
    sigma:   (K,) metres.
    """

    joints: Tensor
    joint_dirs: Tensor
    rides: Tensor
    offsets: Tensor
    offset_dirs: Tensor
    mix: Tensor
    above: Tensor
    sigma: Tensor

    def shaped(self, betas: Tensor) -> RigidPoints:
        """The same with these betas (up to S,) in the rest pose."""
        S = betas.shape[-1]
        return replace(
            self,
            joints=self.joints + self.joint_dirs[..., :S] @ betas,
            offsets=self.offsets + self.offset_dirs[..., :S] @ betas,
        )

    def posed(self, rotations: Tensor, transl: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, M, 3) riders; rotations (N, 55, 3, 3) and positions (N, 55, 3) of the joints."""
        T = forward_kinematics(rotations, self.joints, _TREE)
        R, p = T[..., :3], T[..., 3] + transl[:, None]
        riders = p[:, self.rides] + (R[:, self.rides] @ self.offsets[..., None])[..., 0]
        return riders, R, p

    def points(self, rotations: Tensor, transl: Tensor) -> Tensor:
        """(N, K, 3) metres."""
        return self.mix @ self.posed(rotations, transl)[0]

    def jacobian(self, rotations: Tensor, transl: Tensor, turned: Tensor) -> tuple[Tensor, Tensor]:
        """Points (N, K, 3) and their derivatives (N, K, 3, 3 J + 3).

        The first columns are small turns of the joints ``turned`` (J,) about their own axes
        (R -> R exp(w)), three each; the last the translation.
        """
        riders, R, p = self.posed(rotations, transl)
        lever = riders[:, :, None] - p[:, None, turned]  # (N, M, J, 3)
        lever = lever * self.above[:, turned][None, ..., None]
        axes = R[:, None, turned].transpose(-1, -2)  # rows are the joint's axes in the world
        moved = torch.linalg.cross(axes.expand(-1, lever.shape[1], -1, -1, -1), lever[..., None, :])
        moved = moved.flatten(2, 3).transpose(-1, -2)  # (N, M, 3, 3 J)
        J = torch.einsum("km,nmcd->nkcd", self.mix, moved)
        shift = torch.eye(3, dtype=J.dtype).expand(*J.shape[:2], 3, 3)
        return self.mix @ riders, torch.cat([J, shift], dim=-1)


def attach_points(body: BodyModel, specs: tuple[str, ...]) -> RigidPoints:
    """The points that texts of :mod:`.point_layouts` name, none of them empty."""
    index, share, sigma = [], [], []
    for spec in specs:
        places = [_place(body, part) for part in spec.lstrip("~").split("+")]
        index.append(torch.cat([i for i, _ in places]))
        share.append(torch.cat([w for _, w in places]) / len(places))
        sigma.append(_SIGMA_VAGUE if spec.startswith("~") else _SIGMA)
    rows = [_riders(body, i, w) for i, w in zip(index, share, strict=True)]
    rides = torch.cat([joint for joint, *_ in rows])
    mix = torch.zeros(len(rows), len(rides), dtype=torch.float64)
    start = 0
    for k, (joint, weight, _, _) in enumerate(rows):
        mix[k, start : start + len(joint)] = weight
        start += len(joint)
    above = torch.zeros(NUM_JOINTS, NUM_JOINTS, dtype=torch.float64)
    for j in range(NUM_JOINTS):
        at = j
        while at >= 0:
            above[j, at] = 1
            at = PARENTS[at]
    return RigidPoints(
        joints=body.joint_template.double(),
        joint_dirs=body.joint_shape_dirs.double(),
        rides=rides,
        offsets=torch.cat([row[2] for row in rows]),
        offset_dirs=torch.cat([row[3] for row in rows]),
        mix=mix,
        above=above[rides],
        sigma=torch.tensor(sigma, dtype=torch.float64),
    )


def _place(body: BodyModel, text: str) -> tuple[Tensor, Tensor]:
    """Indices into joints followed by vertices, and their weights."""
    kind, _, which = text.partition(":")
    if kind == "joint":
        from pear_avatar.body.joints import JOINT_INDEX

        return torch.tensor([JOINT_INDEX[which]]), torch.ones(1, dtype=torch.float64)
    marks = body.landmark_set(kind)
    used = marks.weight[int(which)] > 0
    return marks.index[int(which)][used], marks.weight[int(which)][used].double()


def _riders(
    body: BodyModel, index: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Joints, shares, offsets and their directions of the riders that make up one point."""
    on_mesh = index >= NUM_JOINTS
    skin = torch.zeros(NUM_JOINTS, len(index), dtype=torch.float64)
    skin[index[~on_mesh], torch.nonzero(~on_mesh).squeeze(-1)] = 1
    vertices = index[on_mesh] - NUM_JOINTS
    skin[:, on_mesh] = body.skin_weights_t[:, vertices].double()
    points = torch.zeros(len(index), 3, 1 + body.num_betas, dtype=torch.float64)
    joints = torch.cat([body.joint_template[..., None], body.joint_shape_dirs], -1).double()
    points[~on_mesh] = joints[index[~on_mesh]]
    points[on_mesh] = torch.cat(
        [body.v_template[vertices][..., None], body.shape_dirs[vertices]], -1
    ).double()
    parts = skin * weight
    mass = parts.sum(1)
    chosen = torch.nonzero(mass > _LEAST_SHARE).squeeze(-1)
    places = torch.einsum("ji,icd->jcd", parts[chosen] / mass[chosen, None], points)
    offset = places - joints[chosen]
    return chosen, mass[chosen] / mass[chosen].sum(), offset[..., 0], offset[..., 1:]
