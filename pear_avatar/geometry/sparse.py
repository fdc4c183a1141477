"""A constant sparse matrix acting on per-vertex values of any batch shape."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["SparseMatrix"]


@dataclass(frozen=True)
class SparseMatrix:
    """An (M, N) matrix that is not differentiated, with its transpose for gradients.

    matrix, transpose: sparse CSR, (M, N) and (N, M).
    """

    matrix: Tensor
    transpose: Tensor

    @classmethod
    def from_entries(
        cls, row: Tensor, col: Tensor, values: Tensor, size: tuple[int, int]
    ) -> SparseMatrix:
        """From (K,) rows, columns and values; entries that name one place twice are summed."""

        def csr(row: Tensor, col: Tensor, size: tuple[int, int]) -> Tensor:
            index = torch.stack([row, col])
            coo = torch.sparse_coo_tensor(index, values, size, check_invariants=True)
            return coo.coalesce().to_sparse_csr()

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            return cls(csr(row, col, size), csr(col, row, size[::-1]))

    @property
    def shape(self) -> tuple[int, int]:
        """(M, N)."""
        return self.matrix.shape[0], self.matrix.shape[1]

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> SparseMatrix:
        """The same matrix elsewhere or in another dtype."""
        return SparseMatrix(
            self.matrix.to(device=device, dtype=dtype),
            self.transpose.to(device=device, dtype=dtype),
        )

    def __matmul__(self, values: Tensor) -> Tensor:
        """(M, N) @ (*B, N, C) -> (*B, M, C), differentiable in the values."""
        m, n = self.shape
        if values.dim() < 2 or values.shape[-2] != n:
            raise ValueError(f"values must have shape (*B, {n}, C), got {tuple(values.shape)}")
        batch, c = values.shape[:-2], values.shape[-1]
        flat = values.reshape(-1, n, c)
        columns = flat.permute(1, 0, 2).reshape(n, -1)  # a sparse product takes one dense matrix
        out: Tensor = _Product.apply(self.matrix, self.transpose, columns)
        return out.reshape(m, flat.shape[0], c).permute(1, 0, 2).reshape(*batch, m, c)


class _Product(torch.autograd.Function):
    """``matrix @ x``; torch's own gradient would transpose the matrix anew at every step."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transpose: Tensor, x: Tensor) -> Tensor:
        ctx.transpose = transpose
        return matrix @ x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, Tensor]:
        return None, None, ctx.transpose @ grad
