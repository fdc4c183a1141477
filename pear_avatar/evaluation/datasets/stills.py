"""Single pictures of one's own, with or without labels beside them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pear_avatar.errors import MissingFileError
from pear_avatar.evaluation.datasets.sample import Sample, box_from_xywh, read_json
from pear_avatar.io.images import is_still_picture, read_image

__all__ = ["read_stills"]


def read_stills(root: str | Path) -> Iterator[Sample]:
    """The pictures of a folder.

    A JSON file of a picture's name beside it, with COCO's ``annotations`` (``keypoints`` of 17
    and ``bbox``), makes its people labelled samples; other pictures become samples without truth,
    whose box is the whole picture. Files whose name holds ``mask`` are not pictures.

    Raises:
        MissingFileError: no such folder, or no pictures in it.
        ValueError: a damaged file.
    """
    folder = Path(root).expanduser()
    files = sorted(folder.glob("*"))
    pictures = [p for p in files if is_still_picture(p) and "mask" not in p.stem]
    if not pictures:
        raise MissingFileError(f"{folder} holds no pictures")
    for picture in pictures:
        labels = picture.with_suffix(".json")
        if labels.is_file():
            yield from _read_labels(picture, read_json(labels))
        else:
            height, width = read_image(picture).shape[:2]
            yield Sample(picture, picture.stem, np.array([0.0, 0.0, width, height]))


def _read_labels(picture: Path, content: dict[str, Any]) -> Iterator[Sample]:
    for person, annotation in enumerate(content.get("annotations", [])):
        table = np.asarray(annotation["keypoints"], dtype=np.float64).reshape(-1, 3)
        if len(table) == 17 and (table[:, 2] > 0).any():
            yield Sample(
                image=picture,
                name=f"{picture.stem}/{person}",
                box_xyxy=box_from_xywh(annotation["bbox"]),
                person=person,
                keypoints=table[:, :2],
                keypoint_layout="coco17",
                visible=table[:, 2] > 0,
            )
