"""Options and fixtures that several parts of the tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


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
    from pear_avatar.body.standins import write_standins

    return write_standins(tmp_path_factory.mktemp("body-models"), smplx_pickle=True)


@pytest.fixture(scope="session")
def real_body_models(request) -> bool:
    """Whether the files are the user's own: what only stand-ins promise is then not tested."""
    return bool(request.config.getoption("--body-models"))
