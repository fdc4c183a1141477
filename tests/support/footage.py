"""Where the shared footage and motion capture lie; tests skip where they are absent."""

from __future__ import annotations

import os
from pathlib import Path

#: ``PEAR_AVATAR_DATA``, or ``shared/data`` beside the repository.
DATA = Path(
    os.environ.get("PEAR_AVATAR_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)
