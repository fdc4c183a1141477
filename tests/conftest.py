"""Readers in Node that several tests share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def node() -> Callable[..., Any]:
    """Run a script of tests/node with arguments; what it printed, as JSON.

    Skips where Node or the packages are missing (``cd tests/node && npm ci`` installs them).
    """
    program = shutil.which("node")
    if program is None:
        pytest.skip("Node is not installed: three.js and glTF's validator cannot read our files")
    if not (_FOLDER / "node_modules" / "three").is_dir():
        pytest.skip("three.js is not installed: run npm ci in tests/node")

    def run(script: str, *arguments: object) -> Any:
        result = subprocess.run(
            [program, str(_FOLDER / script), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "NODE_NO_WARNINGS": "1"},
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout.splitlines()[-1])

    return run
