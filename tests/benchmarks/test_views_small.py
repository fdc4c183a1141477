"""Sides that were not filmed must not get worse: a small fit beside its committed figures."""

from pathlib import Path

import pytest

from benchmarks._views_small import TOLERANCE, compare, load_baseline, run_small


def test_a_worse_figure_is_named_and_a_better_one_is_not() -> None:
    baseline = load_baseline()
    assert compare(baseline, baseline) == []
    better = {
        name: value + (-1 if name.endswith("perceptual") else 1) for name, value in baseline.items()
    }
    assert compare(better, baseline) == []
    worse = baseline | {"body 45 perceptual": baseline["body 45 perceptual"] + 0.05}
    assert len(compare(worse, baseline)) == 1
    assert {name.split()[-1] for name in baseline} == set(TOLERANCE)


def test_unseen_sides_are_no_worse_than_the_committed_figures(tmp_path: Path) -> None:
    """A change that makes them better writes new ones: python -m benchmarks views --small."""
    pytest.importorskip("stlpips_pytorch")
    worse = compare(run_small(tmp_path), load_baseline())
    assert not worse, "\n".join(worse)
