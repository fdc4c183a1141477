"""What several tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from pear_avatar.avatar.file_format import save_avatar
from tests.support.grey_avatar import grey_avatar


@pytest.fixture(scope="session")
def avatar_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bare body with a few splats."""
    path = tmp_path_factory.mktemp("avatar") / "avatar.safetensors"
    save_avatar(path, grey_avatar(50, logit_opacity=0.0))
    return path
