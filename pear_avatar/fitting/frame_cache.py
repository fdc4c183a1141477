"""Crops on disk: cutting them anew takes as long as reading the clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from pear_avatar.errors import PearError
from pear_avatar.fitting.details import Detail
from pear_avatar.fitting.frames import FrameSet
from pear_avatar.io.npz import load_npz, save_npz
from pear_avatar.types import Camera

#: Bumped when the meaning of a stored crop changes; an older cache is made anew.
FRAMES_VERSION = 4

_PERSON = "person"


def save_frames(path: Path, frames: FrameSet, details: dict[str, Detail]) -> None:
    """Write the crops as an uncompressed npz (quick to read back), atomically."""
    arrays = {"version": np.array(FRAMES_VERSION), "parts": np.array(sorted(details))}
    for name, crops in {_PERSON: frames, **{k: d.frames for k, d in details.items()}}.items():
        arrays |= {
            f"{name}/images": crops.images,
            f"{name}/targets": crops.targets,
            f"{name}/masks": crops.masks,
            f"{name}/valid": crops.valid,
            f"{name}/K": crops.camera.K.numpy(),
            f"{name}/T_camera_world": crops.camera.T_camera_world.numpy(),
            f"{name}/row": crops.row,
            f"{name}/split": crops.split,
        }
    for part, detail in details.items():
        arrays |= {f"{part}/crop": detail.crop, f"{part}/scale": np.array(detail.scale)}
    save_npz(path, arrays)


def load_frames(path: Path) -> tuple[FrameSet, dict[str, Detail]] | None:
    """What :func:`save_frames` wrote; None where absent, damaged or of another version."""
    try:
        z = load_npz(path)
    except (OSError, PearError):
        return None
    if int(z.get("version", -1)) != FRAMES_VERSION:
        return None
    details = {
        str(part): Detail(
            str(part), _frame_set(z, str(part)), z[f"{part}/crop"], float(z[f"{part}/scale"])
        )
        for part in z["parts"]
    }
    return _frame_set(z, _PERSON), details


def _frame_set(z: dict[str, np.ndarray], name: str) -> FrameSet:
    height, width = z[f"{name}/masks"].shape[1:]
    camera = Camera(
        torch.from_numpy(z[f"{name}/K"]),
        torch.from_numpy(z[f"{name}/T_camera_world"]),
        width,
        height,
    )
    images, targets, masks, valid = (
        z[f"{name}/{field}"] for field in ("images", "targets", "masks", "valid")
    )
    return FrameSet(
        images=images,
        targets=targets,
        masks=masks,
        valid=valid,
        camera=camera,
        row=z[f"{name}/row"],
        split=z[f"{name}/split"],
    )
