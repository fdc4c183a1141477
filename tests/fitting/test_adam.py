import numpy as np
import pytest
import torch

from pear_avatar.fitting.adam import DenseAdam, RowAdam, SmoothAdam, SmoothSolver

EDGES = np.array([[i, i + 1] for i in range(29)])


def test_row_adam_equals_torch_adam_on_one_row():
    g = torch.Generator().manual_seed(0)
    table = RowAdam.zeros(3, 5)
    reference = torch.zeros(5, requires_grad=True)
    optimiser = torch.optim.Adam([reference], lr=0.01, betas=(table.beta1, table.beta2))
    for _ in range(20):
        grad = torch.randn(5, generator=g)
        table.step(1, grad, 0.01)
        reference.grad = grad.clone()
        optimiser.step()
    torch.testing.assert_close(table.values[1], reference.detach())
    assert not table.values[[0, 2]].any()


def test_rows_keep_their_own_clock():
    table = RowAdam.zeros(2, 1)
    for _ in range(50):
        table.step(0, torch.ones(1), 0.1)
    table.step(1, torch.ones(1), 0.1)
    # Bias correction makes a first step as long as the rate, however often others stepped.
    torch.testing.assert_close(table.values[1], torch.tensor([-0.1]), atol=1e-6, rtol=0)


def test_smooth_solver_solves_its_system():
    solver = SmoothSolver(EDGES, 30, 7.0)
    b = torch.randn(30, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = solver(b)
    degree = np.bincount(EDGES.ravel(), minlength=30)
    L = np.diag(degree).astype(float)
    L[EDGES[:, 0], EDGES[:, 1]] = L[EDGES[:, 1], EDGES[:, 0]] = -1
    expected = np.linalg.solve(np.eye(30) + 7.0 * L, b.numpy())
    np.testing.assert_allclose(x.numpy(), expected, atol=1e-12)


def test_a_single_pull_moves_its_surroundings():
    adam = SmoothAdam.zeros(30, SmoothSolver(EDGES, 30, 20.0))
    grad = torch.zeros(30, 3)
    grad[15, 0] = 1.0
    adam.step(grad, 0.01)
    moved = -adam.values[:, 0]
    assert moved.argmax() == 15
    assert moved[15] <= 0.01 + 1e-6
    assert moved[12] > 0.5 * moved[15]
    assert (moved[:15].diff() > 0).all()


@pytest.mark.parametrize("shape", [(37,), (37, 3), (37, 4), (5, 7)])
@pytest.mark.parametrize("shared", [False, True])
def test_the_core_steps_as_torch_does(shape, shared):
    g = torch.Generator().manual_seed(2)
    start = torch.randn(shape, generator=g)
    share = torch.rand(shape[0], generator=g) if shared else None
    ends = []
    grads = [torch.randn(shape, generator=g) for _ in range(5)]
    for backend in ("cpu", "torch"):
        value, moments = start.clone(), (torch.zeros(shape), torch.zeros(shape))
        for count, grad in enumerate(grads, 1):
            DenseAdam().step(value, moments, grad, 0.01, count=count, share=share, backend=backend)
        ends.append((value, *moments))
    for ours, twin in zip(*ends, strict=True):
        torch.testing.assert_close(ours, twin, rtol=1e-5, atol=1e-6)


def test_a_rate_for_each_number_takes_the_twin():
    value, moments = torch.zeros(3), (torch.zeros(3), torch.zeros(3))
    DenseAdam().step(value, moments, torch.ones(3), torch.tensor([0.1, 0.2, 0.0]), count=1)
    torch.testing.assert_close(value, torch.tensor([-0.1, -0.2, 0.0]))


def test_moments_of_what_is_never_seen_become_zero():
    value, moments = torch.zeros(20), (torch.full((20,), 1e-38), torch.zeros(20))
    DenseAdam().step(value, moments, torch.zeros(20), 0.0, count=5, backend="cpu")
    assert not moments[0].any()


@pytest.mark.parametrize("times", [1, 2])
def test_the_core_solves_as_scipy_does(times):
    solver = SmoothSolver(EDGES, 30, 20.0)
    b = torch.randn(30, 3, generator=torch.Generator().manual_seed(3))
    before = b.clone()
    ours, twin = (solver(b, times, backend=backend) for backend in ("cpu", "scipy"))
    torch.testing.assert_close(ours, twin, rtol=1e-4, atol=1e-5)
    assert torch.equal(b, before)


@pytest.mark.parametrize("part", [False, True])
def test_the_core_steps_a_row_as_torch_does(part):
    g = torch.Generator().manual_seed(4)
    grads, rates = torch.randn(6, 5, generator=g), torch.rand(5, generator=g)
    ends = []
    for backend in ("cpu", "torch"):
        table = RowAdam.zeros(3, 5)
        for k, grad in enumerate(grads):
            columns = torch.tensor([True, False, True, k > 2, False]) if part else None
            table.step(1, grad, rates, columns, backend=backend)
        ends.append((table.values, table.mean, table.square, table.count))
    for ours, twin in zip(*ends, strict=True):
        torch.testing.assert_close(ours, twin, rtol=1e-5, atol=1e-6)
