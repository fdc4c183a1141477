"""Fixtures shared by the viewer's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from viewer_people import make_person, save_person

from pear_avatar.avatar.avatar import Avatar


@pytest.fixture(scope="session")
def person() -> Avatar:
    """A hand-made person of 6000 splats."""
    return make_person()


@pytest.fixture(scope="session")
def person_file(person: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same person as a fit leaves them: avatar, track and clip in one folder."""
    return save_person(tmp_path_factory.mktemp("viewer") / "ann-avatar", person)
