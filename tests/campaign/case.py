"""What a case is, and what is found when it is tried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

#: "refused": exit code 2 and one line; "done": exit code 0; "either": both, and 3.
Expected = Literal["refused", "done", "either"]


def nothing(_: Path) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Case:
    """One command line in a folder of its own.

    group:    row of the table. name: unique within it.
    argv:     arguments; names are relative to the case's folder, in which the command runs.
    expected: how it has to end.
    inputs:   names of base files that are copied into the folder.
    prepare:  makes further files in the folder.
    writes:   names in the folder below which the command may write.
    shell:    a shell command instead of ``argv`` run in this process; ``$PEAR`` is the program.
    """

    group: str
    name: str
    argv: tuple[str, ...] = ()
    expected: Expected = "refused"
    inputs: tuple[str, ...] = ()
    prepare: Callable[[Path], None] = field(default=nothing, compare=False)
    writes: tuple[str, ...] = ("out",)
    shell: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a command ended: exit code (None: it hung), its output, seconds, peak memory in MB."""

    code: int | None
    stdout: str
    stderr: str
    seconds: float
    memory_mb: float
