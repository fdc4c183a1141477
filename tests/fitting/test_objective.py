"""The objective: what a term is, how terms add up, and terms of the user's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from synthetic_clip import detections_of, make_frames, noisy_track
from torch import Tensor

from pear_avatar.body import load_body
from pear_avatar.errors import PearError
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.objective import TERMS, StepView, Term, checked_terms, objective
from pear_avatar.fitting.run import FitOutcome, run_fit

CONFIG = FittingConfig(
    num_splats=500, silhouette_steps=50, joint_steps=100, refit_steps=1, refit_frames=1
)


@dataclass
class Step:
    """The part of a view that decides whether a term counts."""

    stage: str = "joint"
    step: int = 0
    total: int = 90
    config: FittingConfig = field(default_factory=lambda: CONFIG)


def at(**values: Any) -> StepView:
    return cast(StepView, Step(**values))


def one(view: StepView) -> Tensor:
    return torch.ones(())


def test_a_term_counts_at_its_steps_and_stages() -> None:
    term = Term("x", 2.0, one, every=4, starts=1 / 3)
    due = [step for step in range(90) if term.counts(at(step=step))]
    assert due == list(range(32, 90, 4))
    assert not term.counts(at(step=32, stage="silhouettes"))
    assert not Term("x", 0.0, one).counts(at())
    assert term.weight_in(CONFIG) == 8.0
    assert Term("x", "keypoints", one).weight_in(CONFIG) == CONFIG.loss.keypoints


def test_the_sum_is_the_sum_of_its_parts() -> None:
    terms = [
        Term("a", 3.0, one),
        Term("b", 0.5, one, every=2),
        Term("nothing to compare with", 1.0, lambda view: None),
    ]
    total, parts = objective(terms, at(step=2))
    assert {name: float(part) for name, part in parts.items()} == {"a": 3.0, "b": 1.0}
    assert float(total) == 4.0
    assert set(objective(terms, at(step=3))[1]) == {"a"}


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (Term("keypoints", 1.0, one), "already a term 'keypoints'"),
        (Term("mine", "keypoint", one), "give a number or one of alpha"),
        (Term("mine", 1.0, one, every=0), "every >= 1"),
    ],
)
def test_wrong_terms_are_refused(term: Term, message: str) -> None:
    with pytest.raises(PearError, match=message):
        checked_terms([term])


def run(folder: Path, terms: list[Term]) -> tuple[FitOutcome, list[tuple[str, int, float]]]:
    frames, params = make_frames(6)
    recorded: list[tuple[str, int, float]] = []
    outcome = run_fit(
        load_body(),
        noisy_track(params, frames.camera),
        detections_of(params, frames.camera),
        frames,
        CONFIG,
        checkpoint=folder / "c.safetensors",
        key=str(len(terms)),
        free_focal=False,
        perceptual=None,
        terms=terms,
        record=lambda curve, step, value: recorded.append((curve, step, value)),
    )
    return outcome, recorded


def redness(view: StepView) -> Tensor:
    """Pulls every splat's colour towards pure red."""
    red = torch.tensor([1.0, 0.0, 0.0])
    return (view.leaves.splats["colors"] - red).square().mean()


def test_every_term_has_a_curve_and_a_term_of_ones_own_is_obeyed(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    plain, _ = run(tmp_path / "plain", [])
    outcome, recorded = run(tmp_path, [Term("redness", 50.0, redness)])
    expected = {t.name for t in TERMS if "joint" in t.stages} - {
        "perceptual",
        "detail",
        "face keypoints",
    } | {
        "redness",
        "sum",
    }
    joint = {n.removeprefix("joint: ") for n in outcome.curves if n.startswith("joint")}
    assert joint == expected
    for step in (50, 100):
        at_step = {c: v for c, s, v in recorded if s == step and c.startswith("joint: ")}
        total = at_step.pop("joint: sum")
        assert sum(at_step.values()) == pytest.approx(total, rel=1e-6)
    # Obeyed: what the term asks for is nearer with it (.196 against .240), although colours are
    # held near the pixels that show them.
    red = torch.tensor([1.0, 0.0, 0.0])
    own, usual = ((fit.avatar.splats.colors - red).square().mean(-1) for fit in (outcome, plain))
    assert own.mean() < 0.9 * usual.mean()
