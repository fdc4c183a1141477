"""Triangle meshes: normals, areas, edges and the uniform graph Laplacian.

``faces`` are (F, 3) int64 vertex indices, counter-clockwise seen from outside.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "Laplacian",
    "face_areas",
    "face_cross",
    "face_normals",
    "mesh_edges",
    "uniform_laplacian",
    "vertex_normals",
]


def _check(vertices: Tensor, faces: Tensor) -> None:
    if vertices.dim() < 2 or vertices.shape[-1] != 3:
        raise ValueError(f"vertices must have shape (*B, V, 3), got {tuple(vertices.shape)}")
    if faces.dim() != 2 or faces.shape[-1] != 3:
        raise ValueError(f"faces must have shape (F, 3), got {tuple(faces.shape)}")


def face_cross(vertices: Tensor, faces: Tensor) -> Tensor:
    """Edge cross products (*B, F, 3): outward normals whose length is twice the area."""
    _check(vertices, faces)
    # One gather of (*B, 3F, 3) is faster, backward above all, than three of (*B, F, 3).
    corners = vertices.index_select(-2, faces.reshape(-1)).unflatten(-2, (faces.shape[0], 3))
    a, b, c = corners.unbind(-2)
    return torch.linalg.cross(b - a, c - a)


def face_areas(vertices: Tensor, faces: Tensor) -> Tensor:
    """Areas (*B, F) in square metres."""
    return 0.5 * face_cross(vertices, faces).norm(dim=-1)


def face_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Unit outward normals (*B, F, 3); zero for degenerate faces."""
    return torch.nn.functional.normalize(face_cross(vertices, faces), dim=-1, eps=1e-20)


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Area-weighted unit normals (*B, V, 3); zero at vertices without a proper face."""
    cross = face_cross(vertices, faces)
    summed = torch.zeros_like(vertices).index_add(
        -2, faces.reshape(-1), cross.repeat_interleave(3, dim=-2)
    )
    return torch.nn.functional.normalize(summed, dim=-1, eps=1e-20)


def mesh_edges(faces: Tensor) -> Tensor:
    """Unique undirected edges (E, 2), each with its smaller index first, sorted."""
    if faces.dim() != 2 or faces.shape[-1] != 3:
        raise ValueError(f"faces must have shape (F, 3), got {tuple(faces.shape)}")
    pairs = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return torch.unique(pairs.sort(dim=-1).values, dim=0)


@dataclass(frozen=True)
class Laplacian:
    """A constant sparse operator on per-vertex values, with its transpose for the gradient.

    matrix, transpose: (V, V) sparse CSR.
    """

    matrix: Tensor
    transpose: Tensor

    def to(self, *args: Any, **kwargs: Any) -> Laplacian:
        """The same operator on another device or in another dtype."""
        return Laplacian(self.matrix.to(*args, **kwargs), self.transpose.to(*args, **kwargs))

    def __matmul__(self, values: Tensor) -> Tensor:
        """Differential coordinates of (*B, V, C) per-vertex values, same shape."""
        v, c = values.shape[-2:]
        if v != self.matrix.shape[0]:
            raise ValueError(
                f"values must have {self.matrix.shape[0]} vertices, got {tuple(values.shape)}"
            )
        flat = values.reshape(-1, v, c)
        columns = flat.permute(1, 0, 2).reshape(v, -1)  # a sparse product takes one dense matrix
        out: Tensor = _SparseProduct.apply(self.matrix, self.transpose, columns)
        return out.reshape(v, flat.shape[0], c).permute(1, 0, 2).reshape(values.shape)


class _SparseProduct(torch.autograd.Function):
    """``matrix @ x``; torch's own gradient would transpose the matrix anew at every step."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transpose: Tensor, x: Tensor) -> Tensor:
        ctx.transpose = transpose
        return matrix @ x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, Tensor]:
        return None, None, ctx.transpose @ grad


def uniform_laplacian(
    faces: Tensor, num_vertices: int, dtype: torch.dtype = torch.float32
) -> Laplacian:
    """Each vertex minus the mean of its neighbours; vertices without faces give zero."""
    edges = mesh_edges(faces)
    if edges.numel() and int(edges.max()) >= num_vertices:
        raise ValueError(f"faces name vertex {int(edges.max())} of only {num_vertices} vertices")
    row, col = torch.cat([edges, edges.flip(-1)]).unbind(-1)
    degree = torch.bincount(row, minlength=num_vertices)
    linked = torch.nonzero(degree).squeeze(-1)
    index = torch.stack([torch.cat([row, linked]), torch.cat([col, linked])])
    off_diagonal = -1.0 / degree[row].to(dtype)
    values = torch.cat([off_diagonal, torch.ones_like(linked, dtype=dtype)])
    size = (num_vertices, num_vertices)

    def csr(index: Tensor) -> Tensor:
        coo = torch.sparse_coo_tensor(index, values, size, check_invariants=False)
        return coo.coalesce().to_sparse_csr()

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return Laplacian(csr(index), csr(index.flip(0)))
