"""The page's own unit tests and its strict type check, run by npm."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

VIEWER = Path(__file__).parents[2] / "viewer"


def test_the_types_hold_and_the_unit_tests_pass() -> None:
    if shutil.which("npm") is None or not (VIEWER / "node_modules" / "vitest").is_dir():
        pytest.skip("Node or viewer/node_modules is missing: `make viewer-tools` gets what it can")
    done = subprocess.run(
        ["npm", "test", "--silent"], cwd=VIEWER, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
