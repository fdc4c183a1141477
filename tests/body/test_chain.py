"""The kinematic chain of the C++ core beside its twin, values and gradients."""

from __future__ import annotations

import pytest
import torch

from pear_avatar.body.chain import corrected_chain, corrected_chain_reference
from pear_avatar.body.skinning import KinematicTree
from pear_avatar.geometry.rotations import axis_angle_to_matrix

PARENTS = (-1, 0, 1, 1, 0, 4, 3)


def _inputs(size, dtype=torch.float32):
    g = torch.Generator().manual_seed(0)
    count = len(PARENTS)
    base = axis_angle_to_matrix(torch.randn(count, 3, generator=g, dtype=torch.float64))
    correction = size * torch.randn(count, 3, generator=g, dtype=torch.float64)
    joints, transl = (torch.randn(*s, generator=g, dtype=torch.float64) for s in ((count, 3), (3,)))
    return [t.to(dtype) for t in (base, correction, joints, transl)]


@pytest.mark.parametrize("size", [0.0, 1e-4, 0.005, 0.3, 2.0])
def test_the_core_equals_its_twin(size):
    tree = KinematicTree.from_parents(PARENTS)
    g = torch.Generator().manual_seed(1)
    weights = [torch.randn(7, 3, n, generator=g, dtype=torch.float64) for n in (3, 4)]
    results = []
    for backend, dtype in (("cpu", torch.float32), ("torch", torch.float64)):
        base, *leaves = _inputs(size, dtype)
        leaves = [x.requires_grad_() for x in leaves]
        outputs = corrected_chain(base, *leaves, tree, backend=backend)
        sum((o * w.to(dtype)).sum() for o, w in zip(outputs, weights, strict=True)).backward()
        results.append((*outputs, *(x.grad for x in leaves)))
    for ours, twin in zip(*results, strict=True):
        torch.testing.assert_close(ours.double(), twin, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [0.0, 0.3])
def test_gradients_of_the_twin_by_differences(size):
    tree = KinematicTree.from_parents(PARENTS)
    base, *leaves = _inputs(size, torch.float64)
    leaves = [x.requires_grad_() for x in leaves]
    assert torch.autograd.gradcheck(
        lambda *x: corrected_chain_reference(base, *x, tree), leaves, atol=1e-6
    )


def test_only_the_rotations_are_looked_at():
    """A body without correctives gives the chain no gradient of them."""
    tree = KinematicTree.from_parents(PARENTS)
    base, *leaves = _inputs(0.3)
    leaves = [x.requires_grad_() for x in leaves]
    turns, _ = corrected_chain(base, *leaves, tree, backend="cpu")
    turns.sum().backward()
    assert leaves[0].grad.abs().max() > 0
    assert not leaves[1].grad.any()
