"""AGORA (Patel et al., 2021): rendered scans, in the JSON layout of Hand4Whole, OSX and SMPLer-X.

Those projects turn AGORA's pickled tables into JSON once, with AGORA's own SMPL-X code; the tables
themselves are pickled pandas frames, which could run code and are not read here. Layout::

    AGORA_{train,validation}.json          images, annotations
    1280x720/...  or  3840x2160/...        pictures
    gt_joints_2d/smplx/<id>.json  gt_joints_3d/smplx/<id>.json  gt_verts/smplx/<id>.json
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pear_avatar.errors import DatasetError
from pear_avatar.evaluation.datasets.sample import Sample, box_from_xywh, read_json, require_folder

__all__ = ["read_agora"]

#: Annotations are in pixels of the large pictures.
_FULL_WIDTH = 3840
_WIDTHS = {"1280x720": 1280, "3840x2160": 3840}


def read_agora(
    root: str | Path, split: str = "validation", *, pictures: str = "1280x720"
) -> Iterator[Sample]:
    """People whose annotation AGORA calls valid; joints, landmarks and SMPL-X mesh in the camera.

    Args:
        root: the folder.
        split: ``"train"`` or ``"validation"``; the test split has no public truth.
        pictures: ``"1280x720"`` or ``"3840x2160"``.

    Raises:
        FileNotFoundError: not that layout.
        DatasetError: unknown picture size, or damaged files.
    """
    if pictures not in _WIDTHS:
        raise DatasetError(f"pictures must be one of {', '.join(_WIDTHS)}, got {pictures!r}")
    table = f"AGORA_{split}.json"
    folder = require_folder(root, (table,), "AGORA with JSON annotations")
    content = read_json(folder / table)
    images = {image["id"]: image for image in content["images"]}
    scale = _WIDTHS[pictures] / _FULL_WIDTH
    seen: dict[int, int] = {}
    for annotation in content["annotations"]:
        person = seen[annotation["image_id"]] = seen.get(annotation["image_id"], -1) + 1
        if not annotation["is_valid"]:
            continue
        image = images[annotation["image_id"]]
        yield Sample(
            image=folder / image[f"file_name_{pictures}"],
            name=str(annotation["id"]),
            box_xyxy=scale * box_from_xywh(annotation["bbox"]),
            person=person,
            joints=_points(folder / annotation["smplx_joints_3d_path"], 3),
            joint_layout="smplx127",
            vertices=_points(folder / annotation["smplx_verts_path"], 3),
            keypoints=scale * _points(folder / annotation["smplx_joints_2d_path"], 2),
            keypoint_layout="smplx127",
            visible=None,
        )


def _points(path: Path, width: int) -> np.ndarray:
    values = np.asarray(read_json(path), dtype=np.float64)
    if values.size % width:
        raise DatasetError(f"{path} holds {values.shape} numbers, not rows of {width}")
    return values.reshape(-1, width)
