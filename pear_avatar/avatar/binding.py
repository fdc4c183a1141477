"""Splats tied to the body's triangles: where each one sits, and how it follows a posed mesh.

A splat lives in the frame of one triangle: ``e`` along the first edge, ``n`` the normal,
``t = n x e``; its centre is a barycentric point plus a small offset in that frame and its
rotation is relative to it (the binding of GaussianAvatars, Qian et al., CVPR 2024, without
their isotropic triangle scale: one person's triangles barely change size with pose).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pear_avatar.geometry.rotations import matrix_to_quat_wxyz, quat_multiply_wxyz


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
    return SplatBinding(face_index, faces[face_index], barycentric, spacing.to(vertices.dtype))


def triangle_frames(vertices: Tensor, face_vertices: Tensor) -> Tensor:
    """(N, 3, 3) rotation whose columns are e, t, n of each triangle; vertices (V, 3)."""
    a, b, c = (vertices[face_vertices[:, k]] for k in range(3))
    e = torch.nn.functional.normalize(b - a, dim=-1)
    n = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
    return torch.stack([e, torch.linalg.cross(n, e), n], -1)


def bind_splats(
    vertices: Tensor, binding: SplatBinding, offsets: Tensor, local_quats_wxyz: Tensor
) -> tuple[Tensor, Tensor]:
    """World centres (N, 3) and rotations (N, 4) wxyz of the splats on posed vertices (V, 3).

    Gradients reach the vertices through the barycentric point alone; the frame counts as a
    constant, which leaves out only the tiny turn of the (millimetre) offset.
    """
    frames = triangle_frames(vertices.detach(), binding.face_vertices)
    corners = vertices[binding.face_vertices]
    centers = (corners * binding.barycentric[..., None]).sum(1)
    centers = centers + (frames @ offsets[..., None])[..., 0]
    return centers, quat_multiply_wxyz(matrix_to_quat_wxyz(frames), local_quats_wxyz)
