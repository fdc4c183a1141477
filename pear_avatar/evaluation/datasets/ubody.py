"""UBody (Lin et al., "OSX", 2023): upper bodies in films, talks and sign language.

Layout::

    annotations/<scene>/keypoint_annotation.json    COCO-WholeBody's keypoints
    annotations/<scene>/smplx_annotation.json       fitted SMPL-X parameters and camera by person
    images/<scene>/<video>/<picture>
    splits/{inter,intra}_scene_test_list.npy        names of the test videos
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pear_avatar.errors import DatasetError
from pear_avatar.evaluation.datasets.coco_wholebody import wholebody_keypoints
from pear_avatar.evaluation.datasets.sample import Sample, box_from_xywh, read_json, require_folder

__all__ = ["read_ubody"]

_SPLITS = ("inter", "intra")


def read_ubody(
    root: str | Path, protocol: str = "intra", *, split: str = "test"
) -> Iterator[Sample]:
    """People with SMPL-X parameters, in the order of the scenes' files.

    ``parameters`` are SMPL-X's by UBody's names (root_pose, body_pose, lhand_pose, rhand_pose,
    jaw_pose, shape, expr, trans), in the camera; meshes follow from them with SMPL-X.

    Args:
        root: the folder.
        protocol: ``"intra"`` (the last 30 % of each scene's videos are the test set, the
            published figures') or ``"inter"`` (five whole scenes are).
        split: ``"test"`` or ``"train"``.

    Raises:
        FileNotFoundError: not UBody's layout.
        DatasetError: unknown protocol or split, or damaged files.
    """
    if protocol not in _SPLITS or split not in ("test", "train"):
        raise DatasetError(f"protocol {protocol!r} and split {split!r} are not UBody's")
    list_name = f"splits/{protocol}_scene_test_list.npy"
    folder = require_folder(root, ("annotations", "images", list_name), "UBody")
    test_videos = {str(v) for v in np.load(folder / list_name, allow_pickle=False).ravel()}
    for scene in sorted(p for p in (folder / "annotations").iterdir() if p.is_dir()):
        yield from _read_scene(folder, scene, test_videos, split == "test")


def _read_scene(folder: Path, scene: Path, test_videos: set[str], test: bool) -> Iterator[Sample]:
    content = read_json(scene / "keypoint_annotation.json")
    bodies = read_json(scene / "smplx_annotation.json")
    pictures = {image["id"]: image for image in content["images"]}
    for annotation in content["annotations"]:
        body = bodies.get(str(annotation["id"]))
        usable = annotation.get("valid_label", 1) and annotation.get("num_keypoints", 1)
        if body is None or annotation.get("iscrowd") or not usable:
            continue
        file = str(pictures[annotation["image_id"]]["file_name"]).lstrip("/")
        # Videos were cut: <video>_Trim<n>; the lists name the whole ones.
        video = file.split("/")[-2].split("_Trim")[0] if "/" in file else ""
        if (video in test_videos) == test:
            yield _sample(folder / "images" / scene.name / file, scene.name, annotation, body)


def _sample(
    picture: Path, scene: str, annotation: Mapping[str, Any], body: Mapping[str, Any]
) -> Sample:
    keypoints, visible = wholebody_keypoints(annotation)
    camera = body["cam_param"]
    K = np.eye(3)
    K[[0, 1], [0, 1]] = np.asarray(camera["focal"], dtype=np.float64)
    K[:2, 2] = np.asarray(camera["princpt"], dtype=np.float64)
    parameters = {
        name: np.asarray(value, dtype=np.float64)
        for name, value in body["smplx_param"].items()
        if not isinstance(value, bool)
    }
    return Sample(
        image=picture,
        name=f"{scene}/{annotation['id']}",
        box_xyxy=box_from_xywh(annotation["bbox"]),
        sequence=f"{scene}/{picture.parent.name}",
        K=K,
        keypoints=keypoints,
        keypoint_layout="wholebody133",
        visible=visible,
        parameters=parameters,
    )
