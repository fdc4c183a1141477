"""Standing feet stay; walking and jumping go on."""

from __future__ import annotations

from itertools import pairwise

import torch

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.live.foot_lock import FootLock

_LEFT = JOINT_INDEX["left_ankle"]
_LEG = [JOINT_INDEX[f"left_{n}"] for n in ("ankle", "foot")]
_OTHER = [JOINT_INDEX[f"right_{n}"] for n in ("ankle", "foot")]
FPS = 50.0


def standing() -> torch.Tensor:
    return load_body().joint_template.clone()


def test_a_wavering_root_does_not_move_a_standing_foot() -> None:
    """Three centimetres of wavering, as one camera gives it; at most 10 mm/s may remain."""
    lock, generator = FootLock(), torch.Generator().manual_seed(0)
    places, drift = [], torch.zeros(3)
    for k in range(200):
        drift = 0.98 * drift + 0.004 * torch.randn(3, generator=generator)
        drift[1] = 0.0
        joints = standing() + drift
        moved = joints[_LEFT] + lock.shift(joints, k / FPS)
        places.append(moved[[0, 2]])
    slide = (torch.stack(places[50:]) - torch.stack(places[49:-1])).norm(dim=-1) * FPS
    assert float(slide.median()) <= 0.010
    assert float(torch.stack(places[50:]).std(0).max()) < 0.02


def test_a_walk_still_goes_somewhere() -> None:
    """Steps of 40 cm: the stance foot stands while the body passes over it."""
    lock, paths, stance = FootLock(), [], []
    step, seconds = 0.4, 0.5
    for k in range(300):
        time = k / FPS
        number, share = divmod(time / seconds, 1.0)
        joints = standing()
        body = step * time / seconds / 2
        joints[:, 2] += body
        swing, still = (_LEG, _OTHER) if int(number) % 2 else (_OTHER, _LEG)
        joints[still, 2] += (0.5 - share) * step / 2
        joints[swing, 2] += (share - 0.5) * step / 2
        joints[swing, 1] += 0.25 * float(torch.sin(torch.tensor(share * 3.14159)))
        shift = lock.shift(joints, time)
        paths.append(joints[0, 2] + shift[2])
        stance.append((joints[still[0]] + shift)[2] if 0.3 < share < 0.7 else None)
    assert float(paths[-1] - paths[0]) > 0.6 * step * (300 / FPS) / seconds / 2
    pairs = [(a, b) for a, b in pairwise(stance) if a is not None and b is not None]
    slides = torch.tensor([abs(float(b - a)) * FPS for a, b in pairs])
    assert float(slides.median()) <= 0.010


def test_in_the_air_the_shift_dies_away() -> None:
    lock = FootLock()
    for k in range(50):
        lock.shift(standing() + torch.tensor([0.001 * k, 0.0, 0.0]), k / FPS)
    before = lock.shift(standing() + torch.tensor([0.05, 0.0, 0.0]), 1.0)
    for k in range(1, 150):
        fast = standing() + torch.tensor([0.05 + 0.06 * k, 0.0, 0.0])
        after = lock.shift(fast, 1.0 + k / FPS)
    assert before.norm() > 0.01
    assert after.norm() < 0.2 * before.norm()


def test_the_shift_is_horizontal() -> None:
    lock = FootLock()
    for k in range(20):
        shift = lock.shift(standing() + torch.tensor([0.0, 0.01 * (k % 3), 0.002 * k]), k / FPS)
        assert shift[1] == 0.0
