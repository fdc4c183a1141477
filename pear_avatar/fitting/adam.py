"""The variants of Adam that the joint fit needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla
import torch
from torch import Tensor

from pear_avatar import _native


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
        self,
        row: int,
        grad: Tensor,
        rate: Tensor | float,
        columns: Tensor | None = None,
        *,
        backend: str = "auto",
    ) -> None:
        """Move one row in place.

        Args:
            row: of the table.
            grad: (D,).
            rate: a number, or one each (D,).
            columns: (D,) bool, those that took part in the picture behind the gradient: the
                others keep their values, moments and clocks.
            backend: "cpu" (the C++ core: contiguous float32), "torch", or "auto".
        """
        rates = rate if isinstance(rate, Tensor) else torch.full_like(grad, rate)
        tables = (self.mean, self.square, self.count, self.values)
        if backend == "cpu" or (backend == "auto" and fits_core(grad, *tables, rates)):
            start = 4 * row * self.values.shape[1]
            _native.check(
                _native.fit_library().pear_adam_row(
                    self.values.shape[1],
                    grad.data_ptr(),
                    *(table.data_ptr() + start for table in tables),
                    rates.data_ptr(),
                    None if columns is None else columns.data_ptr(),
                    self.beta1,
                    self.beta2,
                )
            )
            return
        keep = slice(None) if columns is None else columns
        g, m, v, n = grad[keep], self.mean[row], self.square[row], self.count[row]
        n[keep] += 1
        m[keep] = self.beta1 * m[keep] + (1 - self.beta1) * g
        v[keep] = self.beta2 * v[keep] + (1 - self.beta2) * g * g
        denominator = (v[keep] / (1 - self.beta2 ** n[keep])).sqrt_().add_(1e-8)
        step = m[keep] / (1 - self.beta1 ** n[keep]) / denominator
        self.values[row][keep] -= step * (rate if isinstance(rate, float) else rate[keep])


@dataclass(frozen=True)
class DenseAdam:
    """Adam on whole tables that get a gradient at every step.

    beta1, beta2: decay of the two moments; epsilon is 1e-12.
    """

    beta1: float = 0.9
    beta2: float = 0.99

    @torch.no_grad()
    def step(
        self,
        value: Tensor,
        moments: tuple[Tensor, Tensor],
        grad: Tensor,
        rate: Tensor | float,
        *,
        count: int,
        share: Tensor | None = None,
        backend: str = "auto",
    ) -> None:
        """Move ``value`` in place.

        Args:
            value: (N, *) any shape.
            moments: mean and mean square, of the same shape; changed in place.
            grad: of the same shape.
            rate: a number, or one an element.
            count: number of this step, from 1.
            share: (N,) scales the rows' steps.
            backend: "cpu" (the C++ core: contiguous float32, one rate), "torch", or "auto".
        """
        tables = (grad, *moments, value)
        one_rate = not isinstance(rate, Tensor) or rate.dim() == 0
        plain = one_rate and value.dim() > 0 and fits_core(*tables, share)
        if backend == "cpu" or (backend == "auto" and plain):
            rows = len(value)
            _native.check(
                _native.fit_library().pear_adam(
                    rows,
                    value.numel() // max(1, rows),
                    *(t.data_ptr() for t in tables),
                    None if share is None else share.data_ptr(),
                    float(rate),
                    self.beta1,
                    self.beta2,
                    count,
                )
            )
            return
        mean, square = moments
        mean.lerp_(grad, 1 - self.beta1)
        square.mul_(self.beta2).addcmul_(grad, grad, value=1 - self.beta2)
        denominator = square.sqrt().div_((1 - self.beta2**count) ** 0.5).add_(1e-12)
        direction = mean / denominator
        if share is not None:
            direction *= share.view(-1, *([1] * (grad.dim() - 1)))
        value.sub_(direction.mul_(rate / (1 - self.beta1**count)))


def fits_core(*tables: Tensor | None) -> bool:
    """Whether all of the tensors are contiguous float32 on the CPU, and the core is there."""
    return _native.fit_is_available() and all(
        t is None or (t.device.type == "cpu" and t.dtype == torch.float32 and t.is_contiguous())
        for t in tables
    )


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
        # Symmetric and diagonally dominant: without pivoting, U is D L^T.
        self._lu = spla.splu(
            matrix.tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        below = sp.tril(self._lu.L, -1, format="csc")
        self._factor = (
            self._lu.perm_c.astype(np.int32),
            below.indptr.astype(np.int32),
            below.indices.astype(np.int32),
            below.data.astype(np.float32),
            (1.0 / self._lu.U.diagonal()).astype(np.float32),
        )

    def __call__(self, b: Tensor, times: int = 1, *, backend: str = "auto") -> Tensor:
        """Solve ``times`` times over: (V, 3) -> (V, 3), on the same device.

        backend: "cpu" (the C++ core: float32), "scipy" (float64 inside), or "auto" (the core for
        float32 on the CPU).
        """
        if backend == "cpu" or (backend == "auto" and b.shape[1:] == (3,) and fits_core(b)):
            x = b.detach().clone()
            _native.check(
                _native.fit_library().pear_solve_factored(
                    len(x), *(part.ctypes.data for part in self._factor), times, x.data_ptr()
                )
            )
            return x
        found = b.double().cpu().numpy()
        for _ in range(times):
            found = self._lu.solve(found)
        return torch.from_numpy(found).to(b)


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
        direction = self.solver(grad, times=2)
        self.mean.mul_(self.beta1).add_(direction, alpha=1 - self.beta1)
        peak = direction.norm(dim=-1).square().max()
        self.square.mul_(self.beta2).add_(peak, alpha=1 - self.beta2)
        scale = (self.square / (1 - self.beta2**n)).sqrt().clamp_min(1e-12)
        self.values.sub_(self.mean * (rate / (1 - self.beta1**n) / scale))
