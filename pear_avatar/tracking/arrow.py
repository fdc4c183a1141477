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


def _pair_up(system: ArrowSystem, damping: float) -> tuple[Tensor, Tensor, Tensor]:
    """Diagonal blocks (n, 2P, 2P), couplings (n-1, 2P, 2P), right sides (n, 2P, S + 1)."""
    N, P, S = system.border.shape
    n = (N + 1) // 2
    new = system.frames.new_zeros
    padded = 2 * n
    H = new(padded, P, P)
    H[:N] = system.frames
    H[N:] = torch.eye(P, dtype=H.dtype)
    diagonal = torch.diagonal(H, dim1=1, dim2=2)
    diagonal *= 1 + damping
    first, second = new(padded - 1, P), new(max(padded - 2, 0), P)
    first[: N - 1] = system.first
    second[: max(N - 2, 0)] = system.second
    blocks = new(n, 2 * P, 2 * P)
    blocks[:, :P, :P], blocks[:, P:, P:] = H[0::2], H[1::2]
    blocks[:, P:, :P] = torch.diag_embed(first[0::2])
    blocks[:, :P, P:] = blocks[:, P:, :P]
    coupling = new(n - 1, 2 * P, 2 * P)
    coupling[:, :P, :P] = torch.diag_embed(second[0::2])
    coupling[:, P:, :P] = torch.diag_embed(first[1::2])
    coupling[:, P:, P:] = torch.diag_embed(second[1::2])
    rhs = new(padded, P, S + 1)
    rhs[:N, :, :S] = system.border
    rhs[:N, :, S] = system.rhs_frames
    return blocks, coupling, rhs.reshape(n, 2 * P, S + 1)


def solve_arrow(system: ArrowSystem, damping: float = 0.0) -> tuple[Tensor, Tensor]:
    """Solve for the frames (N, P) and the shared unknowns (S,).

    ``damping`` scales every diagonal entry by ``1 + damping`` (Levenberg-Marquardt). Raises
    ``torch.linalg.LinAlgError`` where the damped matrix is not positive definite.
    """
    N, P, S = system.border.shape
    blocks, coupling, rhs = _pair_up(system, damping)
    n = blocks.shape[0]
    shared = system.shared + torch.diag(torch.diagonal(system.shared) * damping)
    factors, links, sides = [], [], []
    block, side = blocks[0], rhs[0]
    for k in range(n):
        L = torch.linalg.cholesky(block)
        wanted = torch.cat([side, coupling[k]], dim=1) if k < n - 1 else side
        solved = torch.linalg.solve_triangular(L, wanted, upper=False)
        Y, W = solved[:, : S + 1], solved[:, S + 1 :]
        factors.append(L)
        sides.append(Y)
        links.append(W)
        if k < n - 1:
            block = blocks[k + 1] - W.T @ W
            side = rhs[k + 1] - W.T @ Y
    stacked = torch.cat(sides)
    reduced = stacked[:, :S].T @ stacked
    x_shared = shared.new_zeros(S)
    if S:
        L = torch.linalg.cholesky(shared - reduced[:, :S])
        right = (system.rhs_shared - reduced[:, S])[:, None]
        x_shared = torch.cholesky_solve(right, L)[:, 0]
    out = blocks.new_empty(n, 2 * P)
    for k in reversed(range(n)):
        right = sides[k][:, S] - sides[k][:, :S] @ x_shared
        if k < n - 1:
            right = right - links[k] @ out[k + 1]
        solved = torch.linalg.solve_triangular(factors[k].T, right[:, None], upper=True)
        out[k] = solved[:, 0]
    return out.reshape(2 * n, P)[:N], x_shared
