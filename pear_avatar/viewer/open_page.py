"""Opening a page whose address is secret, without showing it to other users of the machine."""

from __future__ import annotations

import html
import os
import sys
import tempfile
import threading
import time
import webbrowser
from pathlib import Path

__all__ = ["open_page"]

#: Seconds after which the browser has read the file that leads to the page.
_READ_WITHIN = 60.0


def open_page(url: str) -> None:
    """Open a page in a graphical browser, if there is one, without waiting for it.

    The address holds a token, and command lines are seen by all users of a machine: the browser
    gets the name of a file that only this user can read, and that file leads to the page. A text
    browser, which would take over the terminal, is not started.
    """
    linux = sys.platform.startswith("linux")
    if linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    threading.Thread(target=_open, args=(url,), name="browser", daemon=True).start()


def _open(url: str) -> None:
    with tempfile.TemporaryDirectory(prefix="pear-avatar-") as folder:
        file = Path(folder) / "open.html"
        file.touch(mode=0o600)
        target = html.escape(url)
        file.write_text(
            '<!doctype html><meta charset="utf-8"><title>pear-avatar</title>'
            f'<meta http-equiv="refresh" content="0;url={target}">'
            f'<p><a href="{target}">Open pear-avatar</a></p>',
            encoding="utf-8",
        )
        webbrowser.open(file.as_uri())
        time.sleep(_READ_WITHIN)
