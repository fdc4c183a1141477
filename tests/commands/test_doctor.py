"""The doctor reports everything, even on a broken machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pear_avatar import machine
from pear_avatar.commands import doctor
from pear_avatar.commands.doctor import Check, run_checks


def test_every_check_has_a_status_and_problems_have_a_remedy(tmp_path: Path) -> None:
    checks = run_checks(tmp_path)
    names = [check.name for check in checks]
    assert {"python", "native core", "rasteriser", "detectors", "body model", "disk"} <= set(names)
    assert len(set(names)) == len(names)
    for check in checks:
        assert check.status in ("ok", "optional", "problem")
        assert check.detail
        assert check.remedy or check.status != "problem"
    json.dumps([check.as_dict() for check in checks])


def test_a_look_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Check:
        raise RuntimeError("torn\nlibrary")

    monkeypatch.setattr(doctor, "_torch", broken)
    found = {check.name: check for check in run_checks()}
    assert found["torch"].status == "problem"
    assert found["torch"].detail == "RuntimeError: torn library"


def test_a_full_disk_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 10 * 2**20

    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: Usage)
    found = {check.name: check for check in run_checks(tmp_path)}["disk"]
    assert found.status == "problem"


@pytest.mark.parametrize(("text", "cores"), [("200000 100000", 2), ("50000 100000", 1)])
def test_a_container_quota_limits_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, cores: int
) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text(text)
    monkeypatch.setattr(machine, "_CGROUP_V2", quota)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert machine.available_cores() == cores


def test_without_a_quota_the_affinity_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("max 100000")
    monkeypatch.setattr(machine, "_CGROUP_V2", quota)
    monkeypatch.setattr(machine, "_CGROUP_V1", tmp_path / "none")
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: {0, 5, 7}, raising=False)
    assert machine.available_cores() == 3
