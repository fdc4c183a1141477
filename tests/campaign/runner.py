"""Tries cases: in a process that is reused, or each in processes of its own."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from .case import Case, Outcome
from .judge import MOST_SECONDS, faults, snapshot

ROOT = Path(__file__).parents[2]
_FIRST_SECONDS = 60.0


def patience() -> float:
    """How much longer than on a quiet machine everything may take: by what waits for a core."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)) * 2.0


class Runner:
    """Tries cases below a folder; use in a ``with`` block."""

    def __init__(self, folder: Path, base: Path) -> None:
        self._folder, self._base = folder, base
        self._worker: subprocess.Popen[bytes] | None = None
        self._answers = -1
        self._count = 0

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_worker()

    def try_case(self, case: Case) -> list[str]:
        """Prepare, run and judge one case; what is wrong with how it ended."""
        self._count += 1
        around = self._folder / f"{self._count:04d}"
        folder = around / "work"
        folder.mkdir(parents=True)
        for name in case.inputs:
            shutil.copyfile(self._base / name, folder / name)
        case.prepare(folder)
        before = snapshot(folder)
        run = self._in_shell if case.shell else self._in_worker
        outcome = run(case, folder)
        found = faults(case, outcome, before, snapshot(folder) if folder.exists() else {})
        if not found:
            shutil.rmtree(around, ignore_errors=True)
        return found

    def _in_worker(self, case: Case, folder: Path) -> Outcome:
        if self._worker is None or self._worker.poll() is not None:
            self._start_worker()
        assert self._worker is not None
        assert self._worker.stdin is not None
        argv = [os.fsencode(a).hex() for a in case.argv]
        task = {"folder": os.fsencode(folder).hex(), "argv": argv}
        started = time.monotonic()
        self._worker.stdin.write(json.dumps(task).encode() + b"\n")
        self._worker.stdin.flush()
        answer = self._answer(_FIRST_SECONDS + MOST_SECONDS * patience())
        seconds = time.monotonic() - started
        stdout, stderr = (_text(folder.parent / name) for name in ("stdout", "stderr"))
        if answer is None:
            died = self._worker.poll()
            self._end_worker()
            return Outcome(died, stdout, stderr, seconds, 0.0)
        code = answer["code"] if answer["seconds"] < MOST_SECONDS * patience() else None
        return Outcome(code, stdout, stderr, answer["seconds"], answer["memory_mb"])

    def _answer(self, timeout: float) -> dict[str, float] | None:
        ready, _, _ = select.select([self._answers], [], [], timeout)
        line = self._lines.readline() if ready else ""
        return json.loads(line) if line else None

    def _start_worker(self) -> None:
        self._end_worker()
        self._answers, writing = os.pipe()
        self._lines = os.fdopen(self._answers, encoding="utf-8")
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "tests.campaign.worker", str(writing)],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(writing,),
            start_new_session=True,
        )
        os.close(writing)

    def _end_worker(self) -> None:
        if self._worker is not None:
            _kill(self._worker)
            self._lines.close()
            self._worker = None

    def _in_shell(self, case: Case, folder: Path) -> Outcome:
        env = environment() | {"PEAR": f"{sys.executable} -m pear_avatar"}
        started = time.monotonic()
        with (
            (folder.parent / "stdout").open("wb") as out,
            (folder.parent / "stderr").open("wb") as err,
        ):
            process = subprocess.Popen(
                ["bash", "-c", case.shell], cwd=folder, env=env, stdin=subprocess.DEVNULL,
                stdout=out, stderr=err, start_new_session=True,
            )  # fmt: skip
            try:
                code: int | None = process.wait(2 * _FIRST_SECONDS + MOST_SECONDS * patience())
            except subprocess.TimeoutExpired:
                code = None
            _kill(process)
        stdout, stderr = (_text(folder.parent / name) for name in ("stdout", "stderr"))
        return Outcome(code, stdout, stderr, time.monotonic() - started, 0.0)


def environment() -> dict[str, str]:
    """The variables of a command that is tried."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PEAR_", "DISPLAY", "WAYLAND"))}
    return env | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.is_file() else ""
