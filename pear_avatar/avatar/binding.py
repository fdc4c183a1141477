"""Splats tied to the body's triangles: where each one sits, and how it follows a posed mesh.

:mod:`pear_avatar.splatting.skin_and_bind` describes how a bound splat moves with its triangle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.geometry.symmetry import MeshMirror
from pear_avatar.splatting.skin_and_bind import SkinnedSplats

#: largest spacing over the median one
_MAX_SPACING = 1.5
#: how often points try other places within their triangle, and how many
_SPREAD_ROUNDS, _SPREAD_TRIES = 6, 5


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
    vertices: Tensor,
    faces: Tensor,
    density: Tensor,
    count: int,
    seed: int,
    *,
    max_spacing: Tensor | None = None,
) -> SplatBinding:
    """Spread ``count`` splats over a mesh, denser where ``density`` is higher.

    vertices (V, 3) m; faces (F, 3); density (F,) relative splats per area, >= 0; max_spacing (F,)
    bounds each splat's spacing, over the median one (1.5 everywhere without it): few splats must
    not grow to fill the inside of a mouth, and must cover a back.
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
    uv = _spread_out((a[face_index], b[face_index], c[face_index]), uv, rng)
    barycentric = torch.cat([1 - uv.sum(1, keepdim=True), uv], 1).to(vertices.dtype)
    spacing = (total / count / density[face_index].double().clamp_min(1e-6)).sqrt()
    limit = torch.full_like(density, _MAX_SPACING) if max_spacing is None else max_spacing
    spacing = torch.minimum(spacing, limit[face_index].double() * spacing.median())
    return SplatBinding(face_index, faces[face_index], barycentric, spacing.to(vertices.dtype))


def _spread_out(
    corners: tuple[Tensor, Tensor, Tensor], uv: Tensor, rng: np.random.Generator
) -> Tensor:
    """Move each point within its triangle away from the others.

    Independent points leave gaps as wide as three spacings beside clumps. In each round half of
    the points try a few other places in their triangle and take the one that is farthest from
    all neighbours (best candidate sampling, Mitchell 1991).

    corners: of each point's triangle, (N, 3) each; uv (N, 2) weights of the second and third.
    """
    a, b, c = (x.numpy() for x in corners)
    uv_now = uv.numpy()

    def place(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
        u, v = weights[..., :1], weights[..., 1:]
        shape = (len(rows), *[1] * (weights.ndim - 2), 3)
        x, y, z = (p[rows].reshape(shape) for p in (a, b, c))
        placed: np.ndarray = x + u * (y - x) + v * (z - x)
        return placed

    everyone = np.arange(len(uv_now))
    for _ in range(_SPREAD_ROUNDS):
        tree = cKDTree(place(uv_now, everyone))
        moving = everyone[rng.random(len(uv_now)) < 0.5]
        tries = rng.random((len(moving), _SPREAD_TRIES, 2))
        tries = np.where(tries.sum(-1, keepdims=True) > 1, 1 - tries, tries)
        tries = np.concatenate([uv_now[moving][:, None], tries], 1)
        distance, index = tree.query(place(tries, moving), k=2, workers=-1)
        own = index[..., 0] == moving[:, None]  # the place that the point itself gives up
        clearance = np.where(own, distance[..., 1], distance[..., 0])
        best = clearance.argmax(1)
        uv_now[moving] = tries[np.arange(len(moving)), best]
    return torch.from_numpy(uv_now)


def sample_mirror_pairs(
    vertices: Tensor,
    faces: Tensor,
    density: Tensor,
    count: int,
    seed: int,
    *,
    mirror: MeshMirror,
    max_spacing: Tensor | None = None,
) -> SplatBinding:
    """As :func:`sample_surface`, in exact mirror pairs: splat i + N/2 is the image of splat i.

    Only the half at x > 0 is sampled, with the mean density of both halves; ``count`` is rounded
    down to an even number.
    """
    left = (vertices[faces][..., 0].mean(1) > 0).nonzero()[:, 0]
    both = 0.5 * (density + density[mirror.face])
    limit = None if max_spacing is None else max_spacing[left]
    half = sample_surface(vertices, faces[left], both[left], count // 2, seed, max_spacing=limit)
    face = left[half.face_index]
    other, barycentric = mirror.points(face, half.barycentric)
    return SplatBinding(
        torch.cat([face, other]),
        torch.cat([half.face_vertices, faces[other]]),
        torch.cat([half.barycentric, barycentric]),
        half.spacing.repeat(2),
    )
