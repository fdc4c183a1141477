"""The tracker's linear algebra against slow, obvious twins."""

from __future__ import annotations

import pytest
import torch

from pear_avatar.tracking.arrow import ArrowSystem, solve_arrow
from pear_avatar.tracking.temporal import Smoothness, gaps


def _system(N: int, P: int, S: int) -> tuple[ArrowSystem, torch.Tensor, torch.Tensor]:
    """A random arrow system and its dense matrix and right-hand side."""
    g = torch.Generator().manual_seed(N * 100 + P * 10 + S)

    def rand(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64)

    J = rand(N, P + 4, P)
    frames = J.transpose(1, 2) @ J + 6 * torch.eye(P, dtype=torch.float64)
    first, second = rand(max(N - 1, 0), P), rand(max(N - 2, 0), P)
    border, shared = 0.3 * rand(N, P, S), rand(S, S)
    shared = shared @ shared.T + 20 * N * torch.eye(S, dtype=torch.float64)
    H = torch.zeros(N * P + S, N * P + S, dtype=torch.float64)
    for i in range(N):
        H[i * P : (i + 1) * P, i * P : (i + 1) * P] = frames[i]
        for step, bands in ((1, first), (2, second)):
            if i + step < N:
                a, b = slice(i * P, (i + 1) * P), slice((i + step) * P, (i + step + 1) * P)
                H[a, b] = H[b, a] = torch.diag(bands[i])
        H[i * P : (i + 1) * P, N * P :] = border[i]
        H[N * P :, i * P : (i + 1) * P] = border[i].T
    H[N * P :, N * P :] = shared
    rhs = rand(N * P + S)
    system = ArrowSystem(
        frames=frames,
        first=first,
        second=second,
        border=border,
        shared=shared,
        rhs_frames=rhs[: N * P].reshape(N, P),
        rhs_shared=rhs[N * P :],
    )
    return system, H, rhs


@pytest.mark.parametrize("N", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("S", [0, 3])
def test_arrow_solver_equals_dense_solve(N: int, S: int) -> None:
    P = 5
    system, H, rhs = _system(N, P, S)
    damping = 0.1
    expected = torch.linalg.solve(H + damping * torch.diag(torch.diagonal(H)), rhs)
    frames, shared = solve_arrow(system, damping)
    torch.testing.assert_close(torch.cat([frames.flatten(), shared]), expected)


def test_arrow_solver_says_when_a_matrix_is_not_positive() -> None:
    system, _, _ = _system(3, 4, 0)
    system.frames[1] -= 1000 * torch.eye(4, dtype=torch.float64)
    with pytest.raises(torch.linalg.LinAlgError):
        solve_arrow(system)


@pytest.mark.parametrize("N", [2, 3, 8])
def test_smoothness_gradient_and_bands_are_derivatives_of_its_energy(N: int) -> None:
    g = torch.Generator().manual_seed(N)
    x = torch.randn(N, 2, generator=g, dtype=torch.float64, requires_grad=True)
    dt = 0.02 + 0.05 * torch.rand(N - 1, generator=g, dtype=torch.float64)
    weights = torch.tensor([0.3, 2.0], dtype=torch.float64)
    smooth = Smoothness(dt, weights, 0.1 * weights)

    def energy(x: torch.Tensor) -> torch.Tensor:
        return smooth.energy(x.diff(dim=0))

    expected = torch.autograd.grad(energy(x), x)[0]
    torch.testing.assert_close(smooth.gradient(x.detach().diff(dim=0)), expected)
    H = torch.autograd.functional.hessian(energy, x.detach())
    bands = smooth.bands()
    for d in range(2):
        block = H[:, d, :, d]
        for offset, band in enumerate((bands.main, bands.first, bands.second)):
            torch.testing.assert_close(torch.diagonal(block, offset), band[:, d])
    assert H[:, 0, :, 1].abs().max() == 0


def test_smoothness_lets_steady_motion_pass_and_does_not_depend_on_the_frame_rate() -> None:
    weights = torch.tensor([1.0], dtype=torch.float64)

    def energy(time: torch.Tensor, x: torch.Tensor) -> float:
        return float(Smoothness(gaps(time), weights, 0 * weights).energy(x[:, None].diff(dim=0)))

    uneven = torch.tensor([0.0, 0.03, 0.1, 0.14, 0.2], dtype=torch.float64)
    assert energy(uneven, 3 * uneven) == pytest.approx(0, abs=1e-18)
    values = []
    for count in (60, 120):
        time = torch.linspace(0, 2, count, dtype=torch.float64)
        values.append(energy(time, torch.sin(3 * time)))
    assert values[0] == pytest.approx(values[1], rel=0.05)
