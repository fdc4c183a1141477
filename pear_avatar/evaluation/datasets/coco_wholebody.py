"""COCO-WholeBody (Jin et al., 2020): 133 keypoints annotated by people on COCO's pictures.

Layout: one of ``coco_wholebody_{train,val}_v1.0.json``, and COCO's pictures in a folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pear_avatar.body.topology import WHOLE_BODY_PARTS
from pear_avatar.errors import DatasetError
from pear_avatar.evaluation.datasets.sample import Sample, box_from_xywh, read_json

__all__ = ["read_coco_wholebody", "wholebody_keypoints"]

#: Parts by their names in the files, in the order of the 133.
_PARTS = {
    "keypoints": "body",
    "foot_kpts": "feet",
    "face_kpts": "face",
    "lefthand_kpts": "left_hand",
    "righthand_kpts": "right_hand",
}


def read_coco_wholebody(annotations: str | Path, images: str | Path) -> Iterator[Sample]:
    """Every single person with at least one annotated keypoint.

    Args:
        annotations: the JSON file.
        images: folder of its pictures.

    Raises:
        FileNotFoundError: no such file.
        DatasetError: not COCO-WholeBody.
    """
    path = Path(annotations).expanduser()
    content = read_json(path)
    if not isinstance(content, dict) or not {"images", "annotations"} <= set(content):
        raise DatasetError(f"{path} is not COCO-WholeBody: it lacks images or annotations")
    pictures = {image["id"]: image for image in content["images"]}
    seen: dict[int, int] = {}
    for annotation in content["annotations"]:
        person = seen[annotation["image_id"]] = seen.get(annotation["image_id"], -1) + 1
        if annotation.get("iscrowd"):
            continue
        keypoints, visible = wholebody_keypoints(annotation)
        if visible.any():
            image = pictures[annotation["image_id"]]
            yield Sample(
                image=Path(images).expanduser() / image["file_name"],
                name=str(annotation["id"]),
                box_xyxy=box_from_xywh(annotation["bbox"]),
                person=person,
                keypoints=keypoints,
                keypoint_layout="wholebody133",
                visible=visible,
            )


def wholebody_keypoints(annotation: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """(133, 2) pixels and (133,) whether annotated, of one annotation."""
    parts = []
    for part, rows in _PARTS.items():
        count = WHOLE_BODY_PARTS[rows].stop - WHOLE_BODY_PARTS[rows].start
        values = np.asarray(annotation.get(part) or np.zeros(3 * count), dtype=np.float64)
        if values.size != 3 * count:
            raise DatasetError(
                f"annotation {annotation.get('id')}: {part} holds {values.size} numbers instead "
                f"of {3 * count}"
            )
        parts.append(values.reshape(count, 3))
    table = np.concatenate(parts)
    return table[:, :2], table[:, 2] > 0
