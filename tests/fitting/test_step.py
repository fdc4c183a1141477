import pytest
import torch

from pear_avatar.fitting.objective import PoseNeighbours
from pear_avatar.fitting.step import background_of_step, frame_of_step, rate_factor


def test_every_epoch_visits_every_frame_once():
    frames = [3, 5, 8, 13]
    for epoch in range(3):
        visited = [frame_of_step(4 * epoch + k, frames, seed=1) for k in range(4)]
        assert sorted(visited) == frames


def test_steps_are_functions_of_their_number():
    frames = list(range(10))
    assert [frame_of_step(k, frames, 2) for k in range(40)] == [
        frame_of_step(k, frames, 2) for k in range(40)
    ]
    assert torch.equal(background_of_step(7, 3), background_of_step(7, 3))
    assert not torch.equal(background_of_step(7, 3), background_of_step(8, 3))


def test_rates_warm_up_and_decay():
    factors = [rate_factor(k, 1000) for k in range(1, 1001)]
    assert factors[0] < 0.05
    assert factors[300] == 1.0
    assert factors[-1] == pytest.approx(0.05)
    assert factors[600:] == sorted(factors[600:], reverse=True)


def test_neighbours_are_the_fitted_ones():
    assert PoseNeighbours.of([0, 1, 4, 6]).pairs == {0: None, 1: (0, 4), 4: (1, 6), 6: None}
