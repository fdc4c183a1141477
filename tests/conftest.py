"""Options and fixtures that several parts of the tests share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_fit import SmallFit, make_small_fit

_FOLDER = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def node() -> Callable[..., Any]:
    """Run a script of tests/node with arguments; what it printed, as JSON.

    Skips where Node or the packages are missing (``cd tests/node && npm ci`` installs them).
    """
    program = shutil.which("node")
    if program is None:
        pytest.skip("Node is not installed: three.js and glTF's validator cannot read our files")
    packages = json.loads((_FOLDER / "package.json").read_text("utf-8"))["dependencies"]

    def run(script: str, *arguments: object) -> Any:
        text = (_FOLDER / script).read_text("utf-8")
        for name in packages:
            if f"'{name}" in text and not (_FOLDER / "node_modules" / name).is_dir():
                pytest.skip(f"{name} is not installed: run npm ci in tests/node")
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


@pytest.fixture(scope="session")
def small_fit(tmp_path_factory) -> SmallFit:
    """A synthetic clip and the avatar fitted to it; one for all workers of a run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "small-fit"
    folder.mkdir(exist_ok=True)
    return make_small_fit(folder)


def pytest_addoption(parser):
    parser.addoption(
        "--body-models",
        metavar="DIR",
        help="folder of the real SMPL-X, FLAME and MANO files; without it the tests make "
        "stand-ins with the same keys, shapes and types",
    )


@pytest.fixture(scope="session")
def body_models(request, tmp_path_factory) -> Path:
    """A folder of licensed model files: the user's own, or stand-ins made for this run."""
    given = request.config.getoption("--body-models")
    if given:
        folder = Path(given)
        if not folder.is_dir():
            raise pytest.UsageError(f"--body-models {given}: no such folder")
        return folder
    from standins import write_standins

    return write_standins(tmp_path_factory.mktemp("body-models"))


@pytest.fixture(scope="session")
def real_body_models(request) -> bool:
    """Whether the files are the user's own: what only stand-ins promise is then not tested."""
    return bool(request.config.getoption("--body-models"))
