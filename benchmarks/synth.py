"""Labelled pictures a second on one process, beside the classic generator in the same run.

The classic generator is what the landmark lifter's detector noise is measured on: one kind of
clothes on a painted set, drawn by NumPy, without maps or occlusion. Both draw 256 x 256 pictures
of new people in random poses, in turns, so that a busy machine slows both alike; dressing people
counts. The figure for ours includes labels, maps and encoding.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.framework import Options, Result
from pear_avatar import _native
from pear_avatar.body import BodyModel, load_body
from pear_avatar.synthesis.poses import PoseSampler
from pear_avatar.synthesis.scenes import draw_poses
from pear_avatar.synthesis.shards import SynthOptions, encode, make_pictures
from pear_avatar.synthesis.stage import film, make_stage, person_distance
from pear_avatar.synthesis.synthetic_person import make_person

_SIZE = (256, 256)
#: Pictures for which the classic generator keeps a person, as where it is used.
_CLASSIC_PER_PERSON = 40
_PER_PERSON = 64


def run(options: Options) -> list[Result]:
    """Pictures a second of both."""
    torch.set_num_threads(1)
    _native.set_num_threads(1)
    body = load_body()
    rounds, per_round = (1, 64) if options.quick else (4, 64)
    ours, classic = _Clock(), _Clock()
    for k in range(rounds):
        ours.time(lambda: _ours(k, per_round), per_round)  # noqa: B023 - called at once
        classic.time(lambda: _classic(body, k), _CLASSIC_PER_PERSON)  # noqa: B023
    return [
        Result.versus(
            "labelled pictures, one process",
            ours.rate,
            "1/s",
            "higher",
            "classic",
            peer_value=classic.rate,
        ),
        Result.versus(
            "the same, of processor time",
            ours.cpu_rate,
            "1/s",
            "higher",
            "classic",
            peer_value=classic.cpu_rate,
        ),
    ]


class _Clock:
    """Adds up wall and processor time over pictures."""

    def __init__(self) -> None:
        self._wall = self._cpu = 0.0
        self._count = 0

    def time(self, work: Callable[[], None], count: int) -> None:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        self._wall += time.perf_counter() - wall
        self._cpu += time.process_time() - cpu
        self._count += count

    @property
    def rate(self) -> float:
        return self._count / self._wall

    @property
    def cpu_rate(self) -> float:
        return self._count / self._cpu


def _ours(seed: int, count: int) -> None:
    options = SynthOptions(
        count=count, seed=seed, size=_SIZE, per_shard=count, per_person=_PER_PERSON
    )
    for picture in make_pictures(options, 0):
        encode(picture, maps=True)


def _classic(body: BodyModel, seed: int) -> None:
    person = make_person(body, 1000 + seed)
    generator = torch.Generator().manual_seed(seed)
    poses = draw_poses(body, PoseSampler(None, generator), _CLASSIC_PER_PERSON)
    stage = make_stage(*_SIZE, 1.7, seed)
    shaped = body.shape(torch.from_numpy(person.betas))
    place = torch.tensor([0.0, 0.0, -person_distance(stage, 1.7)])
    for k in range(_CLASSIC_PER_PERSON):
        with torch.no_grad():
            transforms = shaped.pose(poses.rotations[k], place).rest_to_posed.numpy()
        vertices = person.pose(transforms, poses.expression[k].numpy())
        film(stage, person, vertices, np.random.default_rng([seed, k]))
