"""Calibrated cameras from a JSON file, turned into this package's world (y up, metres)."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pear_avatar.pipeline.errors import UserError
from pear_avatar.types import Camera

logger = logging.getLogger(__name__)

#: A lens that moves pixels by more than this share of the image's diagonal deserves a warning.
_DISTORTION_SHARE = 0.005


def load_camera(spec: str) -> Camera:
    """One calibrated camera.

    Args:
        spec: ``cameras.json:cam01``, or only the file where it holds a single camera. The file
            maps names to ``{K (3x3, px), R_w2c (3x3), t_w2c_m (3), image_wh (2)}`` with OpenCV
            axes; ``dist_k1k2p1p2`` may stand there but is not corrected.

    Returns:
        An unbatched camera. The calibration's world is turned about the origin so that the axis
        which the camera sees as "up" becomes +y; it is the coordinate axis nearest to it.

    Raises:
        UserError: no such file or camera, or numbers that are no camera.
    """
    path, name = _split(spec)
    entries = _read(path)
    entry = _choose(entries, name, path)
    where = f"{path}:{name or next(iter(entries))}"
    K = _array(entry, "K", (3, 3), where)
    R = _array(entry, "R_w2c", (3, 3), where)
    t = _array(entry, "t_w2c_m", (3,), where)
    width, height = (int(v) for v in _array(entry, "image_wh", (2,), where))
    if not np.allclose(R @ R.T, np.eye(3), atol=1e-3) or np.linalg.det(R) < 0:
        raise UserError(f"{where}: R_w2c is not a rotation (R R^T differs from the identity)")
    if K[0, 0] <= 0 or K[1, 1] <= 0 or width <= 0 or height <= 0:
        raise UserError(f"{where}: focal lengths and image size must be above 0")
    _warn_of_distortion(entry, K, (width, height), where)
    T = np.eye(4)
    T[:3, :3] = R @ _calibration_from_y_up(R)
    T[:3, 3] = t
    return Camera(
        torch.tensor(K, dtype=torch.float32), torch.tensor(T, dtype=torch.float32), width, height
    )


def _calibration_from_y_up(R_w2c: np.ndarray) -> np.ndarray:
    """(3, 3) rotation from the y-up world into the calibration's world."""
    up_seen = -R_w2c[1]  # image "up" is camera -y; this row brings it into the world
    axis = int(np.argmax(np.abs(up_seen)))
    y = np.zeros(3)
    y[axis] = np.sign(up_seen[axis])
    z = np.roll(np.abs(y), 1)
    return np.stack([np.cross(y, z), y, z], axis=1)


def _split(spec: str) -> tuple[Path, str]:
    if Path(spec).is_file():
        return Path(spec), ""
    path, _, name = spec.rpartition(":")
    if not path or not Path(path).is_file():
        raise UserError(f"no such camera file: {path or spec} (wanted FILE.json:NAME)")
    return Path(path), name


def _read(path: Path) -> dict[str, Any]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} is not a JSON file of cameras ({error})") from error
    if not isinstance(entries, dict) or not entries:
        raise UserError(f"{path} holds no cameras: it must map names to cameras")
    return entries


def _choose(entries: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    if not name and len(entries) == 1:
        name = next(iter(entries))
    if not isinstance(entries.get(name), dict):
        raise UserError(f"{path} has no camera {name!r}; it has {', '.join(sorted(entries))}")
    entry: dict[str, Any] = entries[name]
    return entry


def _array(entry: dict[str, Any], key: str, shape: tuple[int, ...], where: str) -> np.ndarray:
    if key not in entry:
        raise UserError(f"{where}: {key} is missing; it has {', '.join(sorted(entry))}")
    try:
        value = np.asarray(entry[key], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {key} = {entry[key]!r} is not numbers") from error
    if value.shape != shape or not np.isfinite(value).all():
        raise UserError(f"{where}: {key} must be finite numbers of shape {shape}: {value.tolist()}")
    return value


def _warn_of_distortion(
    entry: dict[str, Any], K: np.ndarray, size: tuple[int, int], where: str
) -> None:
    """Say how far the lens bends the picture's corners where that is no longer negligible."""
    if "dist_k1k2p1p2" not in entry:
        return
    k1, k2 = _array(entry, "dist_k1k2p1p2", (4,), where)[:2]
    corners = np.array([[0.0, 0.0], [size[0], 0.0], [0.0, size[1]], [size[0], size[1]]])
    rays = (corners - K[:2, 2]) / np.diag(K)[:2]
    r2 = (rays**2).sum(axis=1)
    shift = np.abs(k1 * r2 + k2 * r2**2) * np.linalg.norm(rays * np.diag(K)[:2], axis=1)
    if shift.max() > _DISTORTION_SHARE * np.hypot(*size):
        logger.warning(
            "%s: the lens moves corner pixels by up to %.0f px and is not corrected; "
            "undistort the video first for the best result",
            where,
            shift.max(),
        )
