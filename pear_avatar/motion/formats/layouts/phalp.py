"""PHALP's and 4D-Humans' results: for each frame all people in it, SMPL as matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.axes import PELVIS_SMPLH
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.encodings import read_rotations
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.people import most_seen
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import SmplPoses, fill, identity, motion_of_poses
from pear_avatar.motion.formats.trees import Budget, frame_numbers, plain_array

_SNIFFED = 50


def sniff(content: Content) -> bool:
    """Whether the frames hold people with numbers and SMPL's parameters."""
    first = content.arrays.records[:_SNIFFED]
    return any("smpl" in frame and "tid" in frame for _, frame in first)


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion of the person seen in most frames, in the camera's axes turned upright."""
    arrays = _person(content.arrays)
    body = read_rotations(arrays, "body_pose", (23, 21))
    rotations = identity(len(body))
    fill(rotations, "body_pose", body[:, :21])
    fill(rotations, "global_orient", read_rotations(arrays, "global_orient", 1, len(body)))
    transl = arrays.frames("camera", 3, len(body)) if "camera" in arrays else None
    poses = SmplPoses(rotations, transl, PELVIS_SMPLH)
    return MotionFile(motion_of_poses(arrays, poses, options), FORMAT.name)


def _person(arrays: PoseArrays) -> PoseArrays:
    """The arrays of one person, stacked over the frames in which they are seen."""
    frames = [frame for _, frame in arrays.records]
    person, sights = most_seen([_ids(frame) for frame in frames])
    if not sights:
        raise arrays.error("none of its frames shows a person")
    people = {i for frame in frames for i in _ids(frame)}
    if len(people) > 1:
        arrays.warn(f"{len(people)} people; read is the one seen longest, number {person}")
    rows: dict[str, list[np.ndarray]] = {}
    budget = Budget(arrays.name)
    for k, place in sights:
        smpl = _part(frames[k]["smpl"], place)
        found = {
            "global_orient": smpl.get("global_orient"),
            "body_pose": smpl.get("body_pose"),
            "camera": _part(frames[k].get("camera"), place),
        }
        for key, value in found.items():
            array = plain_array(value, budget)
            if array is not None:
                budget.take(8 * array.size)
                rows.setdefault(key, []).append(array)
    kept = {key: np.stack(r) for key, r in rows.items() if len({a.shape for a in r}) == 1}
    kept = {key: array for key, array in kept.items() if len(array) == len(sights)}
    missing = [key for key in ("global_orient", "body_pose") if key not in kept]
    if missing:
        raise arrays.error(f"lacks {', '.join(missing)} of person {person} in some frames")
    numbers = _numbers(arrays, [k for k, _ in sights])
    out = PoseArrays(arrays.name, kept, key=arrays.key, numbers=numbers)
    out.warnings = arrays.warnings
    return out


def _ids(frame: Mapping[Any, Any]) -> list[int]:
    """Numbers of the people whose parameters a frame holds."""
    people, ids = _sequence(frame.get("smpl")), _sequence(frame.get("tid"))
    return [int(i) for i, _ in zip(ids, people, strict=False) if isinstance(i, (int, np.integer))]


def _sequence(value: Any) -> Sequence[Any]:
    if isinstance(value, Mapping):
        return [value]
    if isinstance(value, np.ndarray):
        return list(value.reshape(len(value), -1)[:, 0]) if value.ndim else [value.item()]
    return value if isinstance(value, (list, tuple)) else []


def _part(value: Any, place: int) -> Any:
    if isinstance(value, Mapping):
        return value
    inside = isinstance(value, (list, tuple, np.ndarray)) and place < len(value)
    return value[place] if inside else {}


def _numbers(arrays: PoseArrays, kept: list[int]) -> np.ndarray | None:
    times = [frame.get("time") for _, frame in arrays.records]
    if all(isinstance(t, (int, np.integer)) for t in times):
        numbers = np.array([int(t) for t in times if isinstance(t, (int, np.integer))], np.float64)
        if (np.diff(numbers) > 0).all():
            return numbers[kept]
    found = frame_numbers([k for k, _ in arrays.records])
    return None if found is None else found[kept]


FORMAT = Format(
    name="phalp",
    files="PHALP's and 4D-Humans' `results/*.pkl` (joblib)",
    notes="of several people the one seen longest; camera axes; gaps between frames stay",
    endings=(".pkl",),
    sniff=sniff,
    read=read,
    rank=20,
)
