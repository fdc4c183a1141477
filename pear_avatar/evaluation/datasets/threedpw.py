"""3DPW (von Marcard et al., 2018): people in the wild with moving cameras and inertial sensors.

Layout::

    sequenceFiles/{train,validation,test}/<sequence>.pkl    written by Python 2
    imageFiles/<sequence>/image_00000.jpg
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pear_avatar.errors import DatasetError, MissingFileError
from pear_avatar.evaluation.datasets.sample import Sample, box_about, require_folder
from pear_avatar.io.safe_pickle import RecordDecoder, read_pickle

__all__ = ["read_3dpw"]

_KEYS = (
    "sequence", "poses", "betas", "trans", "jointPositions", "poses2d", "cam_poses",
    "cam_intrinsics", "campose_valid", "genders",
)  # fmt: skip


def read_3dpw(root: str | Path, split: str = "test") -> Iterator[Sample]:
    """Every person in every picture whose camera was aligned, in order of sequence and frame.

    Joints are SMPL's 24, as the data set gives them, in the camera. The box holds their
    projections. ``parameters`` are SMPL's: pose (72,) and betas (10,), trans (3,) in the world,
    T_camera_world (4, 4), and gender as a 0-d string array.

    Raises:
        MissingFileError: not 3DPW's layout, or no such split.
        DatasetError: a sequence file that is not what it should be.
    """
    folder = require_folder(root, ("sequenceFiles", "imageFiles"), "3DPW")
    files = sorted((folder / "sequenceFiles" / split).glob("*.pkl"))
    if not files:
        raise MissingFileError(f"{folder / 'sequenceFiles' / split} holds no sequences (*.pkl)")
    for file in files:
        yield from _read_sequence(file, folder / "imageFiles")


def _read_sequence(file: Path, images: Path) -> Iterator[Sample]:
    sequence = RecordDecoder(str(file))(read_pickle(file))
    if not isinstance(sequence, dict) or not set(_KEYS) <= set(sequence):
        missing = sorted(set(_KEYS) - set(sequence if isinstance(sequence, dict) else ()))
        raise DatasetError(f"{file} is no 3DPW sequence: it lacks {', '.join(missing)}")
    name = str(sequence["sequence"])
    cameras = np.asarray(sequence["cam_poses"], dtype=np.float64)
    for frame in range(len(cameras)):
        for person in range(len(sequence["poses"])):
            if bool(np.asarray(sequence["campose_valid"][person])[frame]):
                picture = images / name / f"image_{frame:05d}.jpg"
                yield _sample(sequence, name, picture, cameras[frame], frame, person=person)


def _sample(
    sequence: dict[str, Any],
    name: str,
    picture: Path,
    T_camera_world: np.ndarray,
    frame: int,
    *,
    person: int,
) -> Sample:
    def row(key: str) -> np.ndarray:
        return np.asarray(sequence[key][person], dtype=np.float64)[frame]

    K = np.asarray(sequence["cam_intrinsics"], dtype=np.float64)
    world = row("jointPositions").reshape(24, 3)
    joints = world @ T_camera_world[:3, :3].T + T_camera_world[:3, 3]
    seen = joints @ K.T
    openpose = row("poses2d")  # (3, 18): x, y, confidence
    return Sample(
        image=picture,
        name=f"{name}/{frame:05d}/{person}",
        box_xyxy=box_about(seen[:, :2] / seen[:, 2:]),
        sequence=f"{name}/{person}",
        frame=frame,
        person=person,
        K=K,
        joints=joints,
        joint_layout="smpl24",
        keypoints=openpose[:2].T.copy(),
        keypoint_layout="openpose18",
        visible=openpose[2] > 0,
        parameters={
            "pose": row("poses"),
            "betas": np.asarray(sequence["betas"][person], dtype=np.float64)[:10],
            "trans": row("trans"),
            "T_camera_world": T_camera_world,
            "gender": np.asarray(str(sequence["genders"][person])),
        },
    )
