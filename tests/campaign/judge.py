"""Whether a case ended as every command must end, whatever it was given."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from .case import Case, Outcome

#: No input that is this small may take more.
MOST_MEMORY_MB = 3000.0
MOST_SECONDS = 20.0
LONGEST_LINE = 1000

_PARTIAL = re.compile(r"\.partial|\.part\.")
_CODES = {"refused": (2,), "done": (0,), "either": (0, 2, 3)}


def snapshot(folder: Path) -> dict[str, str]:
    """What every file below a folder holds, by name."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                found[str(path.relative_to(folder))] = hashlib.file_digest(file, "md5").hexdigest()
    return found


def faults(
    case: Case, outcome: Outcome, before: dict[str, str], after: dict[str, str]
) -> list[str]:
    """What is wrong, a line each; nothing where all is well."""
    if outcome.code is None:
        return [f"still running after {outcome.seconds:.0f} s"]
    found = []
    if outcome.code not in _CODES[case.expected]:
        last = outcome.stderr.strip().splitlines()[-1:] or [""]
        found.append(f"exit code {outcome.code}, not {case.expected}: {last[0][:300]}")
    if "Traceback (most recent" in outcome.stderr + outcome.stdout:
        found.append("a traceback")
    if outcome.code == 2:
        errors = [n for n in outcome.stderr.splitlines() if n.startswith("pear-avatar: error: ")]
        printed = "skipped" in outcome.stdout + outcome.stderr or case.argv[:1] == ("assets",)
        if len(errors) != 1 and not printed:
            found.append(f"{len(errors)} lines of error")
    if any(len(line) > LONGEST_LINE for line in outcome.stderr.splitlines()):
        found.append("a line of more than 1000 characters")
    if outcome.memory_mb > MOST_MEMORY_MB:
        found.append(f"{outcome.memory_mb:.0f} MB of memory")
    for name, content in before.items():
        if after.get(name) != content and not _may_write(case, name):
            found.append(f"{name!r} was changed or removed")
    for name in sorted(set(after) - set(before)):
        if _PARTIAL.search(name):
            found.append(f"a stray: {name!r}")
        elif not _may_write(case, name):
            found.append(f"written outside the output: {name!r}")
    return found


def _may_write(case: Case, name: str) -> bool:
    return any(name == w or name.startswith((w + "/", w + ".")) for w in case.writes)
