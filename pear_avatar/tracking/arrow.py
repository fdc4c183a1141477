"""Direct solver of the tracker's normal equations.

Frames couple to their two neighbours on each side through diagonal blocks, and every frame to a
few shared unknowns. Grouping frames in pairs makes the matrix block-tridiagonal with a border
(an arrow), which one block Cholesky sweep and a Schur complement solve exactly in time linear in
the number of frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ArrowSystem:
    """``H x = rhs`` of N frames with P unknowns each and S shared unknowns.

    frames:      (N, P, P) diagonal blocks; first (N-1, P) and second (N-2, P) hold the diagonals
                 of the blocks that couple frame i to i+1 and i+2.
    border:      (N, P, S); shared (S, S).
    rhs_frames:  (N, P); rhs_shared (S,).
    """

    frames: Tensor
    first: Tensor
    second: Tensor
    border: Tensor
    shared: Tensor
    rhs_frames: Tensor
    rhs_shared: Tensor


@dataclass(frozen=True)
class _Pairs:
    """The system with frames taken two by two: n blocks of 2 P unknowns.

    blocks: (n, 2P, 2P); sides (n, 2P, S + 1), border and right-hand side together.
    first, second: (n - 1, 2, P) and (n - 1, 2, P) diagonals that couple a pair to the next one.
    """

    blocks: Tensor
    sides: Tensor
    first: Tensor
    second: Tensor

    def couple(self, k: int, x: Tensor) -> Tensor:
        """``E_k @ x``: what the next pair's values (2P, C) do to pair ``k``."""
        near, far = x.chunk(2)
        b1, b2 = self.first[k], self.second[k]
        return torch.cat([b2[0, :, None] * near, b1[:, None] * near + b2[1, :, None] * far])

    def couple_back(self, k: int, x: Tensor) -> Tensor:
        """``E_k.T @ x``: what pair ``k``'s values (2P, C) do to the next pair."""
        near, far = x.chunk(2)
        b1, b2 = self.first[k], self.second[k]
        return torch.cat([b2[0, :, None] * near + b1[:, None] * far, b2[1, :, None] * far])


def _pair_up(system: ArrowSystem, damping: float) -> _Pairs:
    N, P, S = system.border.shape
    n = (N + 1) // 2
    new = system.frames.new_zeros
    H = new(2 * n, P, P)
    H[:N] = system.frames
    H[N:] = torch.eye(P, dtype=H.dtype)
    diagonal = torch.diagonal(H, dim1=1, dim2=2)
    diagonal *= 1 + damping
    first, second = new(2 * n - 1, P), new(2 * n - 2, P)
    first[: N - 1] = system.first
    second[: max(N - 2, 0)] = system.second
    blocks = new(n, 2 * P, 2 * P)
    blocks[:, :P, :P], blocks[:, P:, P:] = H[0::2], H[1::2]
    blocks[:, P:, :P] = torch.diag_embed(first[0::2])
    blocks[:, :P, P:] = blocks[:, P:, :P]
    sides = new(2 * n, P, S + 1)
    sides[:N, :, :S] = system.border
    sides[:N, :, S] = system.rhs_frames
    return _Pairs(blocks, sides.reshape(n, 2 * P, S + 1), first[1::2], second.reshape(n - 1, 2, P))


def solve_arrow(system: ArrowSystem, damping: float = 0.0) -> tuple[Tensor, Tensor]:
    """Solve for the frames (N, P) and the shared unknowns (S,).

    ``damping`` scales every diagonal entry by ``1 + damping`` (Levenberg-Marquardt). Raises
    ``torch.linalg.LinAlgError`` where the damped matrix is not positive definite.

    Block elimination with explicit inverses: the couplings are diagonal, so passing a pair's
    Schur complement on costs nothing once its inverse is known, and inverting a positive
    definite block is cheaper than the triangular solve and product it replaces.
    """
    N, P, S = system.border.shape
    pairs = _pair_up(system, damping)
    n = len(pairs.blocks)
    inverses, sides = [], []
    reduced = system.border.new_zeros(S, S + 1)
    block, side = pairs.blocks[0], pairs.sides[0]
    for k in range(n):
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(block))
        solved = inverse @ side
        reduced += side[:, :S].T @ solved
        inverses.append(inverse)
        sides.append(solved)
        if k < n - 1:
            passed = pairs.couple_back(k, pairs.couple_back(k, inverse).T)
            block = pairs.blocks[k + 1] - passed
            side = pairs.sides[k + 1] - pairs.couple_back(k, solved)
    x_shared = _solve_shared(system, damping, reduced)
    out = pairs.blocks.new_empty(n, 2 * P)
    for k in reversed(range(n)):
        out[k] = sides[k][:, S] - sides[k][:, :S] @ x_shared
        if k < n - 1:
            out[k] -= inverses[k] @ pairs.couple(k, out[k + 1, :, None])[:, 0]
    return out.reshape(2 * n, P)[:N], x_shared


def _solve_shared(system: ArrowSystem, damping: float, reduced: Tensor) -> Tensor:
    """The border's Schur complement; ``reduced`` (S, S + 1) is what the frames take away."""
    S = len(system.rhs_shared)
    if not S:
        return system.rhs_shared
    damped = system.shared + torch.diag(torch.diagonal(system.shared) * damping)
    L = torch.linalg.cholesky(damped - reduced[:, :S])
    return torch.cholesky_solve((system.rhs_shared - reduced[:, S])[:, None], L)[:, 0]
