"""What every posed body offers, however its rest pose is made: joints, mesh, landmarks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from pear_avatar.body.blending import BlendBasis
from pear_avatar.body.landmarks import LandmarkPlan
from pear_avatar.body.skinning import SkinTable, linear_blend_skinning

__all__ = ["PosedSkin"]


@dataclass(frozen=True)
class PosedSkin(ABC):
    """A body in a pose; the mesh is made only when asked for.

    rotations:        (*B, J, 3, 3) local rotations.
    joint_transforms: (*B, J, 3, 4), the upper rows of :attr:`T_world_joint`.
    """

    rotations: Tensor
    joint_transforms: Tensor

    @property
    def joints(self) -> Tensor:
        """(*B, J, 3) posed joints in metres."""
        return self.joint_transforms[..., 3]

    @cached_property
    def T_world_joint(self) -> Tensor:  # noqa: N802 - the name says which frames it joins
        """(*B, J, 4, 4) rigid transforms from each joint's frame to the world."""
        T = self.joint_transforms
        bottom = torch.eye(4, dtype=T.dtype, device=T.device)[3].expand(*T.shape[:-2], 1, 4)
        return torch.cat([T, bottom], dim=-2)

    @property
    @abstractmethod
    def rest_to_posed(self) -> Tensor:
        """(*B, J, 3, 4) transforms that skinning blends; translation included."""

    @abstractmethod
    def rest_vertices(self) -> Tensor:
        """(*B, V, 3) rest-pose vertices with this pose's correctives: what skinning moves."""

    @property
    @abstractmethod
    def skin(self) -> tuple[Tensor, SkinTable]:
        """(J, V) skinning weights of the whole mesh, and the same as the C++ core reads them."""

    @abstractmethod
    def landmark_rows(self, *names: str) -> tuple[LandmarkPlan, Tensor | None]:
        """The plan of landmark sets and (*B, M, 3) the rest vertices that it needs, if any."""

    def vertices(self) -> Tensor:
        """(*B, V, 3) posed vertices in metres, by linear blend skinning."""
        return linear_blend_skinning(self.rest_vertices(), self.rest_to_posed, *self.skin)

    def landmarks(self, name: str) -> Tensor:
        """(*B, L, 3) metres: one landmark set, from the few vertices it needs."""
        return self.landmarks_many(name)[0]

    def landmarks_many(self, *names: str) -> tuple[Tensor, ...]:
        """Several landmark sets at once, each (*B, L, 3), sharing the vertices they need."""
        plan, rest = self.landmark_rows(*names)
        points = self.joints
        if rest is not None:
            posed = linear_blend_skinning(rest, self.rest_to_posed, plan.weights_t, plan.table)
            points = torch.cat([points.expand(*posed.shape[:-2], -1, 3), posed], dim=-2)
        return (plan.mix @ points).split(plan.splits, dim=-2)

    def add_correctives(
        self, rest: Tensor, basis: BlendBasis | None, bending: Tensor | None = None
    ) -> Tensor:
        """Rest vertices (*B, M, 3) with this pose's correctives.

        Args:
            rest: at rest. basis: the correctives of these vertices; None for a body without any.
            bending: (J - 1,) factors of the joints' correctives; None for ones.
        """
        if basis is None:
            return rest
        bent = self.rotations[..., 1:, :, :]
        bent = bent - torch.eye(3, dtype=bent.dtype, device=bent.device)
        if bending is not None:
            bent = bent * bending[:, None, None]
        return rest + basis.blend("pose", bent.flatten(-3))
