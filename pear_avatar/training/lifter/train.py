"""Train the lifter: ``python -m pear_avatar.training.lifter.train -o lifter.safetensors``.

Nothing but the body is needed: poses come from a folder of motion capture if there is one
(``--data``), from choreography and rules otherwise; the detector's errors from the noise bank
that ships with the package. An interrupted run goes on from its checkpoint with ``--resume``.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pear_avatar.body.open_body import load_body
from pear_avatar.io.atomic import atomic_path
from pear_avatar.recovery.lifter.features import encode
from pear_avatar.recovery.lifter.lifter_network import LifterNetwork
from pear_avatar.recovery.lifter.weights import save_network
from pear_avatar.synthesis.poses import HELD_OUT, load_pool
from pear_avatar.training.lifter.losses import Objective, total
from pear_avatar.training.lifter.noise import NoiseBank
from pear_avatar.training.lifter.samples import SampleMaker
from pear_avatar.training.lifter.score import Scorer

_log = logging.getLogger(__name__)

#: Variances below which a direction of the inputs is mostly the detector's noise.
_NOISE_FLOOR = {"body": 4e-3, "hand": 4e-3, "face": 1.5e-3}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run besides the data."""

    minutes: float = 80.0
    seed: int = 0
    batch: int = 640
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    warmup_steps: int = 200
    average: float = 0.995
    gradient_norm: float = 1.0
    half_precision: bool = True
    whitening_samples: int = 12000
    score_samples: int = 3000


@dataclass
class _Progress:
    """Where a run stands: steps taken, seconds spent."""

    step: int = 0
    seconds: float = 0.0


class Trainer:
    """One training run, resumable.

    Args:
        recipe: settings. data: folder of motion capture or None. noise: None for the package's.
    """

    def __init__(self, recipe: Recipe, data: Path | None, noise: Path | None = None) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        body = load_body()
        bank = NoiseBank.load(noise)
        pool = load_pool(body, data, held_out=False)
        self.source = pool.source if pool is not None else "made up by rule"
        _log.info("poses: %s", self.source)
        self._samples = SampleMaker(body, pool, bank, recipe.seed + 1)
        held_out = load_pool(body, data, held_out=True)
        self._scorer = Scorer(body, held_out, bank, recipe.score_samples)
        self._objective = Objective.of(body)
        self.network = LifterNetwork()
        self._whiten()
        self.averaged = LifterNetwork()
        self.averaged.load_state_dict(self.network.state_dict())
        self._optimiser = torch.optim.AdamW(
            self.network.parameters(),
            recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.progress = _Progress()

    @torch.no_grad()
    def _whiten(self) -> None:
        """Fit the inputs' whitening to samples."""
        seen, box, _ = self._samples.draw(self.recipe.whitening_samples)
        inputs = encode(seen, box)
        hands = torch.cat([inputs.left_hand, inputs.right_hand])
        found = hands[:, -2] > 0
        face = inputs.face[inputs.face[:, -2] > 0]
        network = self.network
        body = torch.cat([inputs.pose, inputs.context], 1)
        network.body_whitening.fit(body, _NOISE_FLOOR["body"])
        network.hand_whitening.fit(hands[found], _NOISE_FLOOR["hand"])
        network.face_whitening.fit(face, _NOISE_FLOOR["face"])

    def step(self) -> dict[str, Tensor]:
        """One batch; returns its losses."""
        recipe, progress = self.recipe, self.progress
        share = min(progress.seconds / (60 * recipe.minutes), 1.0)
        warm = min(1.0, (progress.step + 1) / recipe.warmup_steps)
        for group in self._optimiser.param_groups:
            cosine = 0.5 + 0.5 * math.cos(math.pi * share)
            group["lr"] = recipe.learning_rate * warm * cosine + 1e-6
        with torch.no_grad():
            seen, box, target = self._samples.draw(recipe.batch)
            inputs = encode(seen, box)
            whitened = self.network.whiten(*inputs)
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe.half_precision):
            out = self.network.core(*whitened)
        losses = self._objective(out, box, target)
        self._optimiser.zero_grad(set_to_none=True)
        total(losses).backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), recipe.gradient_norm)
        self._optimiser.step()
        progress.step += 1
        self._average(min(recipe.average, 1 - 3 / (progress.step + 3)))
        return {name: value.detach() for name, value in losses.items()}

    @torch.no_grad()
    def _average(self, keep: float) -> None:
        torch._foreach_lerp_(
            list(self.averaged.parameters()), list(self.network.parameters()), 1 - keep
        )

    def run(self, output: Path, checkpoint: Path, report_minutes: float = 2.0) -> dict[str, float]:
        """Train until the minutes are used up; writes ``output`` and ``checkpoint`` as it goes."""
        limit, next_report = 60 * self.recipe.minutes, self.progress.seconds + 30
        last = time.perf_counter()
        losses: dict[str, Tensor] = {}
        while self.progress.seconds < limit:
            losses = self.step()
            now = time.perf_counter()
            self.progress.seconds += now - last
            last = now
            if self.progress.seconds >= next_report:
                next_report = self.progress.seconds + 60 * report_minutes
                self._report(losses)
                self.save(output, checkpoint)
                last = time.perf_counter()
        scores = self._report(losses)
        self.save(output, checkpoint)
        return scores

    def _report(self, losses: dict[str, Tensor]) -> dict[str, float]:
        scores = self._scorer(self.averaged)
        p = self.progress
        samples = p.step * self.recipe.batch
        _log.info(
            "%.1f min, %.2f M samples, %.0f/s | %s | %s",
            p.seconds / 60,
            samples / 1e6,
            samples / max(p.seconds, 1e-9),
            " ".join(f"{n} {float(v):.3f}" for n, v in losses.items()),
            " ".join(f"{n} {v:.1f}" for n, v in scores.items()),
        )
        return scores

    def save(self, output: Path, checkpoint: Path) -> None:
        """Write the averaged weights, and all that is needed to go on."""
        recipe = asdict(self.recipe) | {
            "poses": self.source,
            "held_out": list(HELD_OUT),
            "steps": self.progress.step,
            "samples": self.progress.step * self.recipe.batch,
            "trained_minutes": round(self.progress.seconds / 60, 2),
        }
        save_network(output, self.averaged, recipe)
        state = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "progress": asdict(self.progress),
        }
        with atomic_path(checkpoint) as temporary:
            torch.save(state, temporary)

    def resume(self, checkpoint: Path, *, optimiser: bool = True) -> None:
        """Go on from a checkpoint (with fresh random samples)."""
        state: dict[str, Any] = torch.load(checkpoint, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.averaged.load_state_dict(state["averaged"])
        if optimiser:
            self._optimiser.load_state_dict(state["optimiser"])
        self.progress = _Progress(**state["progress"])
        self._samples.reseed(self.recipe.seed + 1 + self.progress.step)


def main(arguments: list[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m pear_avatar.training.lifter.train", description="Train the landmark lifter."
    )
    parser.add_argument("--data", type=Path, help="folder of motion capture (.bvh, .npz)")
    parser.add_argument("--noise", type=Path, help="noise bank; the package's own by default")
    parser.add_argument("--minutes", type=float, default=Recipe.minutes)
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("-o", "--output", type=Path, required=True, help="weights to write")
    parser.add_argument("--resume", type=Path, help="checkpoint to go on from")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    recipe = replace(Recipe(), minutes=given.minutes, seed=given.seed)
    trainer = Trainer(recipe, given.data, given.noise)
    if given.resume is not None:
        trainer.resume(given.resume)
    trainer.run(given.output, given.output.with_suffix(".checkpoint.pt"))


if __name__ == "__main__":
    main()
