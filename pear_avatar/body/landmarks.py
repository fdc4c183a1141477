"""Landmarks: named points that are fixed weighted means of joints and vertices.

A detector's landmark is seldom a joint. Each landmark set therefore lists, per landmark, a few
indices into the joints followed by the vertices, their weights, and how far the point may be
from what the detector means. A :class:`LandmarkPlan` gathers the rows of the body model that
one or several sets need, so that landmarks are found without skinning the whole mesh.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.body.blending import BlendBasis
from pear_avatar.body.skinning import SkinTable
from pear_avatar.geometry.sparse import SparseMatrix

__all__ = ["LandmarkPlan", "LandmarkSet"]


@dataclass(frozen=True)
class LandmarkSet:
    """One detector's landmarks on the body.

    index:  (L, K) int64 into the J joints followed by the V vertices.
    weight: (L, K) >= 0, rows summing to 1; zero where a landmark needs fewer than K points.
    sigma:  (L,) metres, expected distance from the detector's own idea of the point.
    """

    index: Tensor
    weight: Tensor
    sigma: Tensor

    @property
    def count(self) -> int:
        """Number of landmarks L."""
        return int(self.index.shape[0])

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> LandmarkSet:
        """The same set elsewhere or in another dtype."""
        return LandmarkSet(
            self.index.to(device),
            self.weight.to(device=device, dtype=dtype),
            self.sigma.to(device=device, dtype=dtype),
        )

    def gather(self, joints: Tensor, vertices: Tensor) -> Tensor:
        """Landmarks (*B, L, 3) from all joints (*B, J, 3) and all vertices (*B, V, 3)."""
        points = torch.cat([joints, vertices], dim=-2)
        chosen = points.index_select(-2, self.index.reshape(-1))
        chosen = chosen.unflatten(-2, tuple(self.index.shape))
        return (chosen * self.weight[..., None]).sum(-2)


@dataclass(frozen=True)
class LandmarkPlan:
    """What one or several landmark sets need of a body model, and nothing else.

    vertex_index:    (M,) the vertices they touch, sorted.
    template:        (M, 3) metres.
    shape_dirs:      (M * 3, S).
    expression_dirs: (M * 3, E).
    pose_basis:      directions (M * 3, 9 (J - 1)) or None.
    weights_t:       (J, M) skinning weights.
    table:           the same, as the C++ core reads them.
    mix:             (L, J + M): landmarks from the joints followed by those vertices.
    splits:          how many landmarks each set has.
    """

    vertex_index: Tensor
    template: Tensor
    shape_dirs: Tensor
    expression_dirs: Tensor
    pose_basis: BlendBasis | None
    weights_t: Tensor
    table: SkinTable
    mix: SparseMatrix
    splits: tuple[int, ...]


def combine_sets(sets: tuple[LandmarkSet, ...], num_joints: int) -> tuple[Tensor, SparseMatrix]:
    """The vertices (M,) that the sets touch, and the (L, J + M) matrix that makes landmarks."""
    rows, columns, weights, start = [], [], [], 0
    for s in sets:
        row = torch.arange(start, start + s.count, device=s.index.device)
        used = s.weight != 0
        rows.append(row[:, None].expand_as(s.index)[used])
        columns.append(s.index[used])
        weights.append(s.weight[used])
        start += s.count
    column = torch.cat(columns)
    on_mesh = column >= num_joints
    vertices, compact = torch.unique(column[on_mesh] - num_joints, return_inverse=True)
    column = column.clone()
    column[on_mesh] = compact + num_joints
    size = (start, num_joints + len(vertices))
    return vertices, SparseMatrix.from_entries(torch.cat(rows), column, torch.cat(weights), size)
