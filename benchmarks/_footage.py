"""Where the shared footage and motion capture lie."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["DATA"]

#: ``PEAR_AVATAR_DATA``, or ``shared/data`` beside the repository; it may be absent.
DATA = Path(
    os.environ.get("PEAR_AVATAR_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
)
