"""Standing: the centre of mass stays over the feet, the feet stay flat and still on one floor.

Image and bone lengths say little about how far a body leans along the line of sight: a lean of
10 degrees shortens it by 1.5 %. What a standing person cannot do does: fall. Everything here is
linear in the pose landmarks once it is known which foot stands when, which is read off the
picture's speeds and the present state's heights before each stage of the solve.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.body.topology import NUM_POSE
from pear_avatar.tracking.observations import Observations

#: Share of the body's mass, and its place between the means of two sets of landmarks (Winter,
#: Biomechanics and Motor Control of Human Movement, 2009, table 4.1; hands with the forearms).
_SEGMENTS: tuple[tuple[float, float, tuple[int, ...], tuple[int, ...]], ...] = (
    (0.081, 0.0, (7, 8), (7, 8)),
    (0.497, 0.5, (11, 12), (23, 24)),
    *((0.028, 0.436, (11 + s,), (13 + s,)) for s in (0, 1)),
    *((0.022, 0.682, (13 + s,), (15 + s,)) for s in (0, 1)),
    *((0.100, 0.433, (23 + s,), (25 + s,)) for s in (0, 1)),
    *((0.0465, 0.433, (25 + s,), (27 + s,)) for s in (0, 1)),
    *((0.0145, 0.5, (27 + s,), (31 + s,)) for s in (0, 1)),
)
#: heel and toe of the left and of the right foot
SOLES = ((29, 31), (30, 32))
#: no person's footing is judged without trunk, ankles and feet in sight
_NEEDED = (11, 12, 23, 24, 27, 28, 29, 30, 31, 32)
_LEAST_WEIGHT = 0.25
#: metres: how far a resting person's centre of mass lies off the middle of the support; from
#: how many of these on this is no resting person
BALANCE_SIGMA, BALANCE_KERNEL = 0.05, 3.5
#: metres: soles about the floor, standing feet about their place
FLOOR_SIGMA, FLOOR_KERNEL = 0.03, 3.0
_PLACE_SIGMA = 0.03
#: s^2: height of the centre of mass over gravity. A body that moves is carried by a point this
#: much times its acceleration behind its mass (Hof, J. Biomechanics 38, 2005); accelerations are
#: known to about half of themselves.
_PENDULUM, _ACCELERATION_ERROR = 0.1, 0.5
#: A foot stands below this speed in the picture (m / s) and height over the lower foot (m).
_STILL, _LIFTED = 0.25, 0.06
#: The person stands with the hips above this share of a leg's length, on a leg that is stretched
#: to this share of it: people on chairs carry their weight elsewhere, whichever way is up.
_UPRIGHT_LEG, _STRETCHED = 0.6, 0.88
#: seconds: speeds and accelerations are those of places averaged over so much
_STEADY, _CALM = 0.08, 0.12


@dataclass(frozen=True)
class LinearTerm:
    """Residuals that are linear in the 33 pose landmarks, in sigmas.

    rows:   (N, G, K, 33, 3) derivative by the landmarks; target (N, G, K) is taken away.
    weight: (N, G); the K residuals of a group share one robust kernel of ``kernel`` sigmas.
    """

    rows: Tensor
    target: Tensor
    weight: Tensor
    kernel: float

    def residual(self, points: Tensor) -> Tensor:
        """(N, G, K) of landmarks (N, 33, 3)."""
        return torch.einsum("ngkmc,nmc->ngk", self.rows, points) - self.target


@dataclass(frozen=True)
class Footing:
    """Who stands where in N frames.

    upright: (N,) 1 where the person stands on their feet in full sight.
    stands:  (N, 2) 1 where the left, the right foot carries.
    rest:    (2, 2) heights of heel and toe over the sole of a body at rest.
    behind:  (N, 3) metres from the point that carries the body to its centre of mass, as it
             speeds up; spread (N,) metres, how surely.
    """

    upright: Tensor
    stands: Tensor
    rest: Tensor
    behind: Tensor
    spread: Tensor


def mass_weights(like: Tensor) -> Tensor:
    """(33,): the centre of mass as a mean of the pose landmarks."""
    c = like.new_zeros(NUM_POSE)
    for mass, at, first, second in _SEGMENTS:
        for i in first:
            c[i] += mass * (1 - at) / len(first)
        for i in second:
            c[i] += mass * at / len(second)
    return c


def foot_speeds(o: Observations, pixels_per_metre: Tensor) -> Tensor:
    """(N, 2) m / s of the left and the right foot across the picture."""
    steady = _steadied(o.pose_px / pixels_per_metre[:, None, None], o.time, _STEADY)
    speeds = [_rate(steady[:, list(sole)].mean(1), o.time).norm(dim=-1) for sole in SOLES]
    return torch.stack(speeds, dim=1)


def _steadied(values: Tensor, time: Tensor, width: float) -> Tensor:
    """(N, ...) averaged over neighbours in time, ``width`` seconds to either side."""
    weight = torch.exp(-0.5 * ((time[:, None] - time[None]) / width) ** 2)
    weight = weight / weight.sum(1, keepdim=True)
    return torch.einsum("nm,m...->n...", weight, values)


def _rate(values: Tensor, time: Tensor) -> Tensor:
    if len(time) < 2:
        return torch.zeros_like(values)
    rate: Tensor = torch.gradient(values, spacing=(time,), dim=0)[0]
    return rate


def find_footing(
    o: Observations, speeds: Tensor, points: Tensor, up: Tensor, rest: Tensor
) -> Footing:
    """Which feet stand, from their speeds in the picture and a state's landmarks (N, 33, 3).

    speeds: (N, 2), see :func:`foot_speeds`. up: (3,) against gravity. rest: see
    :class:`Footing`.
    """
    height = points @ up
    low = _soles(height, rest).amin(2)
    stands = (speeds < _STILL) & (low - low.amin(1, keepdim=True) < _LIFTED)
    seen = (o.pose_weight[:, list(_NEEDED)] > _LEAST_WEIGHT).all(1)
    hip, knee, ankle = points[:, 23:25], points[:, 25:27], points[:, 27:29]
    leg = (hip - knee).norm(dim=-1) + (knee - ankle).norm(dim=-1)
    stretched = ((hip - ankle).norm(dim=-1) > _STRETCHED * leg) & stands
    tall = height[:, 23:25].mean(1) - low.amin(1) > _UPRIGHT_LEG * leg.mean(1)
    upright = seen & tall & stretched.any(1)
    behind = _PENDULUM * _acceleration(points, o.time)
    spread = (BALANCE_SIGMA**2 + (_ACCELERATION_ERROR * behind.norm(dim=-1)) ** 2).sqrt()
    return Footing(upright.to(points), stands.to(points), rest, behind, spread)


def _acceleration(points: Tensor, time: Tensor) -> Tensor:
    """(N, 3) m / s^2 of the centre of mass."""
    middle = torch.einsum("m,nmk->nk", mass_weights(points), points)
    return _rate(_rate(_steadied(middle, time, _CALM), time), time)


def _soles(height: Tensor, rest: Tensor) -> Tensor:
    """(N, 2, 2): heights of both feet's heel and toe, less what a foot at rest has."""
    return torch.stack([height[:, list(sole)] - rest[i] for i, sole in enumerate(SOLES)], dim=1)


def footing_terms(
    footing: Footing, points: Tensor, up: Tensor, time: Tensor, balance: float, *, ground: float
) -> tuple[LinearTerm, ...]:
    """Balance, level floor and feet that stay in place, about the state ``points`` (N, 33, 3).

    balance, ground: what each is trusted; 0 leaves it out.
    """
    across = horizontal_axes(up)
    terms = []
    if balance > 0:
        terms.append(_balance_term(footing, points, across, balance))
    if ground > 0:
        terms.append(_floor_term(footing, points, up, ground))
        terms.append(_place_term(footing, points, across, time, ground))
    return tuple(terms)


def horizontal_axes(up: Tensor) -> Tensor:
    """(2, 3) at right angles to ``up`` and each other."""
    axes: Tensor = torch.linalg.svd(up[None], full_matrices=True)[2][1:]
    return axes


def _balance_term(footing: Footing, points: Tensor, across: Tensor, trust: float) -> LinearTerm:
    """The carrying point in the standing foot, or between both."""
    mass = mass_weights(points)
    flat = torch.stack([points[:, list(sole)].mean(1) @ across.T for sole in SOLES], dim=1)
    middle = (torch.einsum("m,nmk->nk", mass, points) - footing.behind) @ across.T
    between = flat[:, 1] - flat[:, 0]
    share = ((middle - flat[:, 0]) * between).sum(1) / between.square().sum(1).clamp_min(1e-6)
    both = footing.stands.sum(1) == 2
    share = torch.where(both, share.clamp(0, 1), footing.stands[:, 1])
    mean = mass.expand(len(points), -1).clone()
    for sole, part in zip(SOLES, (1 - share, share), strict=True):
        for i in sole:
            mean[:, i] -= part / len(sole)
    rows = mean[:, None, :, None] * across[None, :, None, :] / footing.spread[:, None, None, None]
    target = (footing.behind @ across.T / footing.spread[:, None])[:, None]
    return LinearTerm(rows[:, None], target, trust * footing.upright[:, None], BALANCE_KERNEL)


def _floor_term(footing: Footing, points: Tensor, up: Tensor, trust: float) -> LinearTerm:
    """Heels and toes of standing feet at one height."""
    on = (footing.stands * footing.upright[:, None])[..., None].expand(-1, -1, 2)
    soles = _soles(points @ up, footing.rest)
    floor = soles[on > 0].median() if (on > 0).any() else soles.median()
    rows = points.new_zeros(len(points), 4, 1, NUM_POSE, 3)
    for k, i in enumerate((*SOLES[0], *SOLES[1])):
        rows[:, k, 0, i] = up / FLOOR_SIGMA
    target = ((floor + footing.rest.flatten()) / FLOOR_SIGMA)[None, :, None]
    return LinearTerm(rows, target.expand(len(points), -1, -1), trust * on.flatten(1), FLOOR_KERNEL)


def _place_term(
    footing: Footing, points: Tensor, across: Tensor, time: Tensor, trust: float
) -> LinearTerm:
    """A foot that stands stays where it stands: its mean place over that stretch of the clip."""
    N = len(points)
    rows = points.new_zeros(N, 2, 2, NUM_POSE, 3)
    target = points.new_zeros(N, 2, 2)
    on = footing.stands * footing.upright[:, None]
    for side, sole in enumerate(SOLES):
        rows[:, side][:, :, list(sole)] = (across / (len(sole) * _PLACE_SIGMA))[None, :, None]
        flat = points[:, list(sole)].mean(1) @ across.T
        for stretch in _stretches(on[:, side] > 0, time):
            target[stretch, side] = flat[stretch].mean(0) / _PLACE_SIGMA
    return LinearTerm(rows, target, trust * on, FLOOR_KERNEL)


def _stretches(on: Tensor, time: Tensor, longest_gap: float = 0.25) -> list[Tensor]:
    """Row numbers of the runs of ``on`` without a gap of more than so many seconds."""
    rows = on.nonzero()[:, 0]
    if not len(rows):
        return []
    cuts = ((time[rows[1:]] - time[rows[:-1]]) > longest_gap) | (rows.diff() > 2)
    return list(rows.tensor_split((cuts.nonzero()[:, 0] + 1).tolist()))
