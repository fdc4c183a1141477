"""EHF (Pavlakos et al., "SMPL-X", 2019): one person, 100 pictures, registered SMPL-X meshes.

Layout, in one folder::

    01_img.jpg (or .png)   01_align.ply   01_2Djnt.json   ...
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from pear_avatar.errors import MissingFileError
from pear_avatar.evaluation.datasets.ply import read_ply_vertices
from pear_avatar.evaluation.datasets.sample import Sample, box_about, read_json
from pear_avatar.geometry.rotations import axis_angle_to_matrix

__all__ = ["EHF_CAMERA", "read_ehf"]

_FOCAL, _CENTER = 1498.22426237, (790.263706, 578.90334)
_ROTATION = (-2.98747896, 0.01172457, -0.05704687)
_TRANSLATION = (-0.03609917, 0.43416458, 2.37101226)


def _camera() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    K = np.array([[_FOCAL, 0, _CENTER[0]], [0, _FOCAL, _CENTER[1]], [0, 0, 1]])
    R = axis_angle_to_matrix(torch.tensor(_ROTATION, dtype=torch.float64)).numpy()
    return K, R, np.array(_TRANSLATION)


#: K (3, 3), R (3, 3) and t (3,) of the camera of all pictures (EHF_camera.txt).
EHF_CAMERA = _camera()


def read_ehf(root: str | Path) -> Iterator[Sample]:
    """The pictures in order, with their SMPL-X vertices in the camera.

    Keypoints are OpenPose's 25, detected, not annotated; the box holds the projected mesh.

    Raises:
        MissingFileError: no EHF pictures there, or one lacks its mesh.
        ValueError: a damaged file.
    """
    folder = Path(root).expanduser()
    pictures = sorted(p for p in folder.glob("*_img.*") if p.suffix in (".jpg", ".png"))
    # Both kinds lie side by side in some copies.
    by_number = {p.name.split("_")[0]: p for p in reversed(pictures)}
    if not by_number:
        raise MissingFileError(f"{folder} is not EHF: no pictures such as 01_img.jpg in it")
    for number, picture in sorted(by_number.items()):
        yield _sample(folder, number, picture)


def _sample(folder: Path, number: str, picture: Path) -> Sample:
    K, R, t = EHF_CAMERA
    vertices = read_ply_vertices(folder / f"{number}_align.ply") @ R.T + t
    seen = vertices @ K.T
    people = read_json(folder / f"{number}_2Djnt.json").get("people", [])
    flat = people[0].get("pose_keypoints_2d") if people else None
    openpose = None if flat is None else np.asarray(flat, dtype=np.float64).reshape(-1, 3)
    return Sample(
        image=picture,
        name=number,
        box_xyxy=box_about(seen[:, :2] / seen[:, 2:]),
        frame=int(number) if number.isdigit() else 0,
        K=K,
        vertices=vertices,
        keypoints=None if openpose is None else openpose[:, :2],
        keypoint_layout="" if openpose is None else f"openpose{len(openpose)}",
        visible=None if openpose is None else openpose[:, 2] > 0,
    )
