"""Splats tied to the body's triangles: where each one sits, and how it follows a posed mesh.

:mod:`pear_avatar.splatting.skin_and_bind` describes how a bound splat moves with its triangle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.geometry.symmetry import MeshMirror
from pear_avatar.splatting.skin_and_bind import SkinnedSplats

#: largest spacing over the median one
_MAX_SPACING = 1.5


@dataclass(frozen=True)
class SplatBinding:
    """Where N splats sit on a mesh.

    face_index:    (N,) int64 triangle of each splat.
    face_vertices: (N, 3) int64 vertex ids of that triangle.
    barycentric:   (N, 3) rows sum to 1.
    spacing:       (N,) metres, the mean distance to the neighbouring splats at rest.
    """

    face_index: Tensor
    face_vertices: Tensor
    barycentric: Tensor
    spacing: Tensor

    @property
    def count(self) -> int:
        """Number of splats N."""
        return int(self.face_index.shape[0])

    def skinned(self, body: BodyModel) -> SkinnedSplats:
        """The tables that carry these splats along with a body."""
        return SkinnedSplats.build(
            body.skin_joints,
            body.skin_weights,
            self.face_vertices,
            self.barycentric,
            body.num_joints,
        )

    def rest_points(self, vertices: Tensor) -> Tensor:
        """(N, 3) the splats' points on vertices (V, 3), offsets left out."""
        return (vertices[self.face_vertices] * self.barycentric[..., None]).sum(1)


def sample_surface(
    vertices: Tensor, faces: Tensor, density: Tensor, count: int, seed: int
) -> SplatBinding:
    """Spread ``count`` splats over a mesh, denser where ``density`` is higher.

    vertices (V, 3) m; faces (F, 3); density (F,) relative splats per area, >= 0.
    Systematic sampling over the faces' cumulative weight: no clumps between faces, the same
    result for the same seed.
    """
    a, b, c = (vertices[faces[:, k]].double() for k in range(3))
    area = torch.linalg.cross(b - a, c - a).norm(dim=-1) / 2
    weight = (area * density.double()).clamp_min(0)
    total = weight.sum()
    if not bool(total > 0):
        raise ValueError("cannot place splats: every face has zero area or zero density")
    rng = np.random.default_rng(seed)
    ticks = (torch.arange(count, dtype=torch.float64) + float(rng.random())) / count * total
    face_index = torch.searchsorted(weight.cumsum(0), ticks).clamp_max(len(faces) - 1)
    uv = torch.from_numpy(rng.random((count, 2)))
    folded = uv.sum(1) > 1
    uv[folded] = 1 - uv[folded]
    barycentric = torch.cat([1 - uv.sum(1, keepdim=True), uv], 1).to(vertices.dtype)
    spacing = (total / count / density[face_index].double().clamp_min(1e-6)).sqrt()
    # Where few splats are wanted (inside the mouth) they must not grow to fill the gap.
    spacing = spacing.clamp_max(_MAX_SPACING * float(spacing.median()))
    return SplatBinding(face_index, faces[face_index], barycentric, spacing.to(vertices.dtype))


def sample_mirror_pairs(
    vertices: Tensor, faces: Tensor, density: Tensor, count: int, seed: int, mirror: MeshMirror
) -> SplatBinding:
    """As :func:`sample_surface`, in exact mirror pairs: splat i + N/2 is the image of splat i.

    Only the half at x > 0 is sampled, with the mean density of both halves; ``count`` is rounded
    down to an even number.
    """
    left = (vertices[faces][..., 0].mean(1) > 0).nonzero()[:, 0]
    both = 0.5 * (density + density[mirror.face])
    half = sample_surface(vertices, faces[left], both[left], count // 2, seed)
    face = left[half.face_index]
    other, barycentric = mirror.points(face, half.barycentric)
    return SplatBinding(
        torch.cat([face, other]),
        torch.cat([half.face_vertices, faces[other]]),
        torch.cat([half.barycentric, barycentric]),
        half.spacing.repeat(2),
    )
