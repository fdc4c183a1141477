"""The console that commands print their tables on."""

from __future__ import annotations

import errno
import os

from rich.console import Console

__all__ = ["ResultConsole"]


class ResultConsole(Console):
    """rich's console, which leaves a reader that has gone (such as ``head``) to the command.

    rich's own answer is exit code 1, which stands for a defect here.
    """

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, which the command line takes for a regular end."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
