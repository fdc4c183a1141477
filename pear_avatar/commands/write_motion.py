"""A motion as a file; the ending says as what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pear_avatar.body import BodyModel, load_body
from pear_avatar.errors import PearError
from pear_avatar.export.gltf import save_glb
from pear_avatar.io.atomic import atomic_path
from pear_avatar.motion.write_bvh import save_bvh
from pear_avatar.motion.write_poses import (
    save_joints_csv,
    save_motion_amass,
    save_motion_ehm,
    save_motion_smplh,
    save_motion_smplx,
)
from pear_avatar.types import Motion
from pear_avatar.viewer.payload import motion_payload

__all__ = ["NPZ_WRITERS", "write_motion", "write_viewer_motion"]

#: What writes each of :data:`~pear_avatar.choices.NPZ_LAYOUTS` that holds a motion alone.
NPZ_WRITERS: dict[str, Callable[..., None]] = {
    "amass": save_motion_amass,
    "smplh": save_motion_smplh,
    "smplx": save_motion_smplx,
    "ehm": save_motion_ehm,
}


def write_motion(
    path: str | Path, motion: Motion, *, layout: str = "amass", body: BodyModel | None = None
) -> None:
    """Write a motion as ``.npz``, ``.bvh``, ``.csv``, ``.glb``, ``.gltf`` or ``.pmo``.

    Args:
        path: the file; it appears whole or not at all.
        motion: N frames.
        layout: names of the arrays in an ``.npz`` file, one of :data:`NPZ_WRITERS`.
        body: whose skeleton and mesh the other files hold; by default the open body's.

    Raises:
        PearError: the ending or the layout is unknown.
    """
    if layout not in NPZ_WRITERS:
        raise PearError(f"npz layouts are {', '.join(NPZ_WRITERS)}; got {layout!r}")
    writers: dict[str, Callable[[], None]] = {
        ".npz": lambda: NPZ_WRITERS[layout](path, motion, shape=motion.body),
        ".bvh": lambda: save_bvh(path, motion, body or load_body()),
        ".csv": lambda: save_joints_csv(path, motion, body or load_body()),
        ".glb": lambda: save_glb(path, body or load_body(), motion),
        ".gltf": lambda: save_glb(path, body or load_body(), motion),
        ".pmo": lambda: write_viewer_motion(path, motion),
    }
    ending = Path(path).suffix.lower()
    if ending not in writers:
        raise PearError(f"motions are written as {', '.join(writers)}, not as {ending!r}: {path}")
    writers[ending]()


def write_viewer_motion(path: str | Path, motion: Motion, *, source: str = "") -> None:
    """Write a motion of the open body for the viewer, to be dropped onto an exported page.

    Args:
        path: the file; it appears whole or not at all.
        motion: N frames.
        source: where it came from, in words.
    """
    if not motion.is_of_open_body:
        raise PearError("the viewer plays motions of the open body: leave --body out")
    data = motion_payload(motion, motion.name or Path(path).stem, source=source)
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)
