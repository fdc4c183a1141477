"""A process that runs cases one after the other with everything imported: ``python -m ...``.

A line of JSON on standard input names a folder and arguments; a line on the descriptor that
the first argument names answers with exit code, seconds and peak memory.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8")
    from pear_avatar.cli.main import main as command

    home = Path.cwd()
    for line in sys.stdin:
        task = json.loads(line)
        folder = Path(os.fsdecode(bytes.fromhex(task["folder"])))
        argv = [os.fsdecode(bytes.fromhex(a)) for a in task["argv"]]
        os.chdir(folder)
        _redirect(folder.parent)
        _forget_peak()
        started = time.monotonic()
        try:
            code = command(argv)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        answer = {"code": code, "seconds": time.monotonic() - started, "memory_mb": _peak_mb()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        os.chdir(home)


def _redirect(folder: Path) -> None:
    """Send both streams, C libraries' lines included, into files."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        target = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, number)
        os.close(target)


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    try:
        text = Path("/proc/self/status").read_text()
        return int(text.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
