"""Progress of a pipeline's stages: bars on a terminal, plain lines in a log file."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pear_avatar.io.closing import Closing


class StageProgress(Closing):
    """A ``progress(stage, done, total)`` callback to use in a ``with`` block.

    Each new stage name opens a bar of its own below the finished ones. Where stderr is not a
    terminal, a line is printed when a stage ends, so that log files stay readable.
    """

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._live = console.is_terminal
        self._bars = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not self._live,
        )
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, float] = {}
        self._ended: set[str] = set()

    def __enter__(self) -> StageProgress:
        self._bars.start()
        return self

    def close(self) -> None:
        """Stop drawing."""
        self._bars.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` steps of a stage are finished."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
            self._started[stage] = time.monotonic()
        self._bars.update(self._tasks[stage], completed=done, total=total)
        if done >= total and stage not in self._ended:
            self._ended.add(stage)
            if not self._live:
                seconds = time.monotonic() - self._started[stage]
                print(f"{stage}: {total} done in {seconds:.1f} s", file=sys.stderr, flush=True)
