"""Opening avatars in a browser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pear_avatar.commands.avatar_library import open_library
from pear_avatar.viewer.library import Library
from pear_avatar.viewer.server import LOOPBACK, serve


def view(
    target: str | Path,
    *,
    motions: Sequence[str | Path] = (),
    video: str | Path | None = None,
    host: str = LOOPBACK,
    port: int = 0,
    on_ready: Callable[[str, Library], None] | None = None,
) -> None:
    """Serve an avatar, or a gallery of a folder's avatars, until Ctrl-C.

    Args:
        target: an avatar file, a result folder, or a folder with result folders in it.
        motions: pose files that the avatars can play.
        video: the input video of a single avatar, where it is not found by itself.
        host: the address to listen on.
        port: 0 takes any free one.
        on_ready: called with the page's address and what it shows.

    Raises:
        PearError, ValueError, FileNotFoundError: an input, the host or the port is at fault.
    """
    library = open_library(target, motions=motions, video=video)
    serve(
        library,
        host=host,
        port=port,
        on_ready=None if on_ready is None else lambda url: on_ready(url, library),
    )
