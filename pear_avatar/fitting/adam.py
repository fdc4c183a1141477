"""Two Adam variants the joint fit needs beside torch's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla
import torch
from torch import Tensor


@dataclass(frozen=True)
class RowAdam:
    """Adam on rows of a table of which one row gets a gradient per step.

    A per-frame pose is touched once in N steps. Ordinary Adam would decay its moments on every
    step and bias-correct by the global count; here each row keeps its own clock.

    values, mean, square, count: (N, D).
    """

    values: Tensor
    mean: Tensor
    square: Tensor
    count: Tensor
    beta1: float = 0.8
    beta2: float = 0.95

    @staticmethod
    def zeros(rows: int, width: int) -> RowAdam:
        """A table of zeros with fresh moments."""
        return RowAdam(
            torch.zeros(rows, width),
            torch.zeros(rows, width),
            torch.zeros(rows, width),
            torch.zeros(rows, width),
        )

    def step(
        self, row: int, grad: Tensor, rate: Tensor | float, columns: Tensor | None = None
    ) -> None:
        """Move one row in place.

        grad (D,); rate a number or one each (D,); columns (D,) bool, those that took part in the
        picture behind the gradient: the others keep their values, moments and clocks.
        """
        keep = slice(None) if columns is None else columns
        g, m, v, n = grad[keep], self.mean[row], self.square[row], self.count[row]
        n[keep] += 1
        m[keep] = self.beta1 * m[keep] + (1 - self.beta1) * g
        v[keep] = self.beta2 * v[keep] + (1 - self.beta2) * g * g
        denominator = (v[keep] / (1 - self.beta2 ** n[keep])).sqrt_().add_(1e-8)
        step = m[keep] / (1 - self.beta1 ** n[keep]) / denominator
        self.values[row][keep] -= step * (rate if isinstance(rate, float) else rate[keep])


class SmoothSolver:
    """Solves (I + weight L) x = b on a mesh, L the uniform graph Laplacian.

    Used as in "Large Steps in Inverse Rendering of Geometry" (Nicolet, Jacobson and Jakob,
    2021): a gradient passed through it moves whole regions instead of single vertices, so
    offsets stay smooth without a tug of war between data and regulariser.
    """

    def __init__(self, edges: np.ndarray, num_vertices: int, weight: float) -> None:
        """Edges (E, 2) undirected; factorises once (tenths of a second for 14k vertices)."""
        i, j = edges.T
        ones = np.ones(len(edges))
        adjacency = sp.coo_matrix((ones, (i, j)), (num_vertices, num_vertices))
        adjacency = adjacency + adjacency.T
        degree = sp.diags(np.asarray(adjacency.sum(1)).ravel())
        matrix = sp.identity(num_vertices) + weight * (degree - adjacency)
        self._lu = spla.splu(matrix.tocsc(), permc_spec="MMD_AT_PLUS_A")

    def __call__(self, b: Tensor) -> Tensor:
        """(V, C) -> (V, C), on the same device."""
        return torch.from_numpy(self._lu.solve(b.double().cpu().numpy())).to(b)


@dataclass(frozen=True)
class SmoothAdam:
    """Adam on vertex offsets in the smoothed space of :class:`SmoothSolver`.

    values, mean: (V, 3); square: one running scale for the whole field, so that the direction
    of the smoothed gradient is kept (per-coordinate scaling would undo the smoothing).
    """

    values: Tensor
    mean: Tensor
    square: Tensor
    count: Tensor
    solver: SmoothSolver
    beta1: float = 0.9
    beta2: float = 0.99

    @staticmethod
    def zeros(num_vertices: int, solver: SmoothSolver) -> SmoothAdam:
        """Zero offsets with fresh moments."""
        return SmoothAdam(
            torch.zeros(num_vertices, 3),
            torch.zeros(num_vertices, 3),
            torch.zeros(1),
            torch.zeros(1),
            solver,
        )

    def step(self, grad: Tensor, rate: Tensor | float) -> None:
        """Move the offsets in place; grad (V, 3) is smoothed twice (there and back)."""
        self.count.add_(1)
        n = float(self.count)
        direction = self.solver(self.solver(grad))
        self.mean.mul_(self.beta1).add_(direction, alpha=1 - self.beta1)
        peak = direction.norm(dim=-1).square().max()
        self.square.mul_(self.beta2).add_(peak, alpha=1 - self.beta2)
        scale = (self.square / (1 - self.beta2**n)).sqrt().clamp_min(1e-12)
        self.values.sub_(self.mean * (rate / (1 - self.beta1**n) / scale))
