"""A sample of the campaign; ``python -m tests.campaign`` tries the whole of it."""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from .base_files import make_base_files
from .case import Case, Outcome
from .cases import all_cases, option_cases
from .judge import faults
from .runner import Runner

#: Of each group, and of those whose cases are processes of their own.
_OF_EACH, _OF_PROCESSES = 3, 1


@pytest.mark.skipif(sys.platform != "linux", reason="folders, signals and limits are Linux's")
def test_a_sample_of_every_group(tmp_path: Path) -> None:
    base = tmp_path / "base"
    make_base_files(base)
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in all_cases(base, flips=2):
        groups[case.group].append(case)
    assert sum(map(len, groups.values())) > 1000
    rng = random.Random(1)
    found = {}
    with Runner(tmp_path / "cases", base) as runner:
        for cases in groups.values():
            count = _OF_PROCESSES if cases[0].shell else _OF_EACH
            for case in rng.sample(cases, min(count, len(cases))):
                if wrong := runner.try_case(case):
                    found[f"{case.group} / {case.name}"] = wrong
    assert not found


def test_every_command_has_its_options_tried() -> None:
    tried = {case.argv[0] for case in option_cases()}
    assert tried >= {"fit", "render", "recover", "live", "view", "export", "convert", "demo"}


@pytest.mark.parametrize(
    ("outcome", "after", "told"),
    [
        (Outcome(None, "", "", 99.0, 0.0), {}, "still running"),
        (Outcome(0, "", "", 1.0, 0.0), {}, "exit code 0"),
        (Outcome(2, "", "Traceback (most recent call last)", 1.0, 0.0), {}, "a traceback"),
        (Outcome(2, "", "pear-avatar: error: " + "x" * 5000, 1.0, 0.0), {}, "1000 characters"),
        (Outcome(2, "", "pear-avatar: error: no", 1.0, 9000.0), {}, "of memory"),
        (Outcome(2, "", "pear-avatar: error: no", 1.0, 0.0), {"x": "1"}, "outside the output"),
        (Outcome(2, "", "pear-avatar: error: no", 1.0, 0.0), {"out/.a.partial.mp4": "1"}, "stray"),
        (Outcome(2, "", "pear-avatar: error: no", 1.0, 0.0), {}, "changed or removed"),
        (Outcome(2, "", "", 1.0, 0.0), {}, "0 lines of error"),
    ],
)
def test_the_judge_sees_every_kind_of_fault(
    outcome: Outcome, after: dict[str, str], told: str
) -> None:
    before = {"mine": "0"} if told == "changed or removed" else {}
    assert told in "; ".join(faults(Case("group", "name"), outcome, before, after))
    fine = Outcome(2, "", "pear-avatar: error: no", 1.0, 100.0)
    assert not faults(Case("group", "name"), fine, {"mine": "0"}, {"mine": "0", "out/a": "1"})
