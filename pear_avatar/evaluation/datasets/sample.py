"""One person in one picture, with whatever truth a data set has of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pear_avatar.errors import DatasetError, MissingFileError

__all__ = ["Sample", "box_about", "box_from_xywh", "read_json", "require_folder"]


@dataclass(frozen=True)
class Sample:
    """Truth in the picture's camera (OpenCV axes, metres) and in its pixels; None where absent.

    Pixel centres lie at +0.5 in this package. COCO's annotations count whole pixels from the
    picture's corner in the same way; what is half a pixel is less than annotators see.

    image:         the picture's file.
    name:          unique in the data set, for messages and tables.
    sequence:      what belongs together over time; empty for single pictures.
    frame:         number within the sequence.
    person:        number within the picture.
    box_xyxy:      (4,) about the person.
    K:             (3, 3) intrinsics.
    joints:        (J, 3) in ``joint_layout``: "smpl24", "smplx55" or "smplx127" (SMPL-X's joints
                   and landmarks as AGORA lists them).
    vertices:      (V, 3) of SMPL-X, or of the body that made a synthetic sample.
    keypoints:     (K, 2) pixels in ``keypoint_layout``: "coco17", "openpose18", "openpose25",
                   "smplx127" or "wholebody133".
    visible:       (K,) bool, which keypoints are annotated.
    parameters:    body model parameters as the data set gives them, by its names.
    """

    image: Path
    name: str
    box_xyxy: np.ndarray
    sequence: str = ""
    frame: int = 0
    person: int = 0
    K: np.ndarray | None = None
    joints: np.ndarray | None = None
    joint_layout: str = ""
    vertices: np.ndarray | None = None
    keypoints: np.ndarray | None = None
    keypoint_layout: str = ""
    visible: np.ndarray | None = None
    parameters: dict[str, np.ndarray] | None = None


def box_about(points: np.ndarray) -> np.ndarray:
    """(4,) the smallest box that holds pixels (P, 2)."""
    return np.concatenate([points.min(0), points.max(0)])


def box_from_xywh(box: Any) -> np.ndarray:
    """COCO's left, top, width, height as (4,) corners."""
    x, y, w, h = np.asarray(box, dtype=np.float64).reshape(4)
    return np.array([x, y, x + w, y + h])


def require_folder(root: str | Path, parts: tuple[str, ...], what: str) -> Path:
    """``root``, if it holds these files or folders.

    Raises:
        MissingFileError: it does not; the message says what the layout is.
    """
    folder = Path(root).expanduser()
    missing = [part for part in parts if not (folder / part).exists()]
    if missing:
        raise MissingFileError(
            f"{folder} is not {what}: {', '.join(missing)} not found in it; name the folder that "
            "its owners' archives unpack to"
        )
    return folder


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        MissingFileError: there is none.
        DatasetError: it is damaged.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such annotation file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is not a readable JSON file: {error}") from error
