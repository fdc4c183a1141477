"""What a user chooses by name, stated once: code, command line and messages take it from here.

Importing this module loads nothing, so that the command line can list choices at once.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal

__all__ = ["BodyName", "Gender"]


class BodyName(str, Enum):
    """Which body: the open one that ships with the package, or SMPL-X files of the user's own."""

    OPEN = "open"
    SMPLX = "smplx"

    def __str__(self) -> str:
        return self.value

    @property
    def is_open(self) -> bool:
        """Whether it is the open body, which needs no licensed files."""
        return self is BodyName.OPEN


#: Which of the licensed files.
Gender = Literal["neutral", "male", "female"]
