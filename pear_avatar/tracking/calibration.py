"""Reading a calibrated camera from a small JSON file."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pear_avatar.errors import DataFileError, MissingFileError, content_errors
from pear_avatar.geometry.cameras import invert_rigid
from pear_avatar.types import Camera

logger = logging.getLogger(__name__)

#: pixels: a lens that bends the picture's corners by more deserves undistorted footage
_NOTICEABLE_DISTORTION = 2.0
_LARGEST_SIDE = 65536
#: Pixels or metres beyond which a calibration is a mistake.
_FARTHEST = 1e6
_AXES = {"x": 0, "y": 1, "z": 2}


def load_camera(
    path: str | os.PathLike[str], name: str | None = None, *, up: str | None = None
) -> Camera:
    """Read a camera whose world is then turned so that y is up.

    The file maps camera names to entries, or is one entry itself. An entry holds, in OpenCV's
    conventions, ``K`` (3 x 3 pixels), the world-to-camera rotation ``R`` or ``R_w2c`` (3 x 3) and
    translation ``t`` or ``t_w2c_m`` (3 metres), and ``image_wh`` (or ``width`` and ``height``).
    Lens distortion is not modelled; where the file states one (``dist`` or ``dist_k1k2p1p2``)
    that matters, a warning says by how many pixels.

    Args:
        path: the JSON file.
        name: which camera; may be left out where the file holds only one.
        up: the file's world axis that points up, "x", "y", "z" or these with a minus. By default
            the entry's own ``up``, else the axis nearest to the camera's own up.

    Returns:
        One camera. Where the file's up axis is y its world is kept as it is.

    Raises:
        MissingFileError: there is no such file.
        DataFileError: the file is not such a calibration, or has no camera of that name.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path}: no such calibration file")
    try:
        content = json.loads(path.read_bytes())  # of any encoding that a byte order mark may say
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DataFileError(f"{path} is not JSON ({error}): give a calibration file") from None
    with content_errors(DataFileError, f"{path}: the camera's entry"):
        return _camera(_select_camera(content, name, path), up, path)


def _camera(entry: dict[str, Any], up: str | None, path: Path) -> Camera:
    K = _matrix(entry, ("K",), (3, 3), path)
    R = _matrix(entry, ("R_w2c", "R"), (3, 3), path)
    t = _matrix(entry, ("t_w2c_m", "t_w2c", "t"), (3,), path)
    if not (K[0, 0] > 0 and K[1, 1] > 0 and np.allclose(K[2], (0, 0, 1))):
        raise DataFileError(f"{path}: K must be [fx 0 cx; 0 fy cy; 0 0 1] with fx, fy above 0")
    if np.abs(K).max() > _FARTHEST or np.abs(t).max() > _FARTHEST:
        raise DataFileError(f"{path}: K or t holds numbers beyond {_FARTHEST:g}: check the units")
    if np.abs(R @ R.T - np.eye(3)).max() > 1e-3 or np.linalg.det(R) < 0:
        raise DataFileError(f"{path}: the camera's R is not a rotation: check the calibration")
    width, height = _size(entry, path)
    _warn_of_distortion(entry, K, width, height, path)
    T_camera_file = torch.eye(4, dtype=torch.float64)
    T_camera_file[:3, :3], T_camera_file[:3, 3] = torch.from_numpy(R), torch.from_numpy(t)
    T_world_file = _turn_upright(str(up or entry.get("up") or _nearest_up(R)), path)
    T = T_camera_file @ invert_rigid(T_world_file)
    return Camera(torch.from_numpy(K).float(), T.float(), width, height)


def _select_camera(content: Any, name: str | None, path: Path) -> dict[str, Any]:
    if isinstance(content, dict) and "K" in content:
        return content
    entries = content if isinstance(content, dict) else {}
    entries = {k: v for k, v in entries.items() if isinstance(v, dict) and "K" in v}
    if not entries:
        raise DataFileError(f"{path} holds no camera: each needs K, R, t and image_wh")
    if name is None and len(entries) == 1:
        return next(iter(entries.values()))
    if name not in entries:
        known = ", ".join(sorted(entries))
        raise DataFileError(f"{path} has no camera {name!r}: name one of {known}")
    return entries[name]


def _matrix(
    entry: dict[str, Any], names: tuple[str, ...], shape: tuple[int, ...], path: Path
) -> np.ndarray:
    for name in names:
        if name in entry:
            value = np.asarray(entry[name], dtype=np.float64)
            if value.size != np.prod(shape) or not np.isfinite(value).all():
                raise DataFileError(f"{path}: {name} must be finite and of shape {shape}")
            return value.reshape(shape)
    raise DataFileError(f"{path}: the camera lacks {names[0]!r}")


def _size(entry: dict[str, Any], path: Path) -> tuple[int, int]:
    width, height = entry.get("image_wh") or (entry.get("width"), entry.get("height"))
    if not width or not height:
        raise DataFileError(f"{path}: the camera lacks image_wh, its picture's width and height")
    if not all(1 <= int(side) == side <= _LARGEST_SIDE for side in (width, height)):
        raise DataFileError(f"{path}: image_wh must be whole pixels, 1 to {_LARGEST_SIDE}")
    return int(width), int(height)


def _nearest_up(R: np.ndarray) -> str:
    """The world axis nearest to the camera's own up (-y of the camera)."""
    up = -R[1]
    axis = int(np.abs(up).argmax())
    return ("" if up[axis] > 0 else "-") + "xyz"[axis]


def _turn_upright(up: str, path: Path) -> torch.Tensor:
    """(4, 4) quarter turn that brings the file's up axis to y."""
    axis = up.removeprefix("-")
    if axis not in _AXES:
        raise DataFileError(f"{path}: up must be x, y or z, or one with a minus; got {up!r}")
    source = np.zeros(3)
    source[_AXES[axis]] = -1.0 if up.startswith("-") else 1.0
    y = np.array([0.0, 1.0, 0.0])
    T = torch.eye(4, dtype=torch.float64)
    if np.allclose(source, -y):
        R = np.diag([1.0, -1.0, -1.0])
    else:
        v = np.cross(source, y)
        k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
        R = np.eye(3) + k + k @ k / (1 + source @ y)
    T[:3, :3] = torch.from_numpy(R)
    return T


def _warn_of_distortion(
    entry: dict[str, Any], K: np.ndarray, width: int, height: int, path: Path
) -> None:
    value = entry.get("dist_k1k2p1p2", entry.get("dist"))
    if value is None:
        return
    k1, k2 = [*np.asarray(value, dtype=np.float64).ravel(), 0.0, 0.0][:2]
    corners = np.array([[x, y] for x in (0, width) for y in (0, height)], dtype=np.float64)
    rays = (corners - K[:2, 2]) / np.diag(K)[:2]
    square = (rays**2).sum(1, keepdims=True)
    moved = float(np.abs(rays * (k1 * square + k2 * square**2) * np.diag(K)[:2]).max())
    if moved > _NOTICEABLE_DISTORTION:
        logger.warning(
            "%s: lens distortion moves the picture's corners by %.0f px and is ignored; "
            "undistort the video first for the best result",
            path,
            moved,
        )
