"""ROMP, BEV and TRACE: for each picture all people in it, SMPL poses in the camera."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.axes import PELVIS_SMPLH
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.layouts.amass import rotations_of_poses
from pear_avatar.motion.formats.people import follow_nearest, most_seen
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import SmplPoses, motion_of_poses, read_transl
from pear_avatar.motion.formats.trees import Budget, frame_numbers, plain_array

_THETAS = "smpl_thetas"
_SNIFFED = 50


def sniff(content: Content) -> bool:
    """Whether there are SMPL's thetas, stacked or picture by picture."""
    arrays = content.arrays
    return _THETAS in arrays or any(_THETAS in record for _, record in arrays.records[:_SNIFFED])


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion of one person, in the camera's axes turned upright."""
    arrays = content.arrays
    if arrays.records and _THETAS not in arrays:
        arrays = _person(arrays)
    rotations = rotations_of_poses(arrays, _THETAS)
    transl = read_transl(arrays, ("cam_trans", "world_trans"), len(rotations))
    poses = SmplPoses(rotations, transl, PELVIS_SMPLH)
    return MotionFile(motion_of_poses(arrays, poses, options), FORMAT.name)


def _person(arrays: PoseArrays) -> PoseArrays:
    """Thetas and translations of one person, followed through the pictures."""
    budget = Budget(arrays.name)
    frames = [_frame(record, budget) for _, record in arrays.records]
    budget.take(sum(8 * a.size for frame in frames for a in frame if a is not None))
    ids = [i.reshape(-1).astype(int).tolist() for _, _, i in frames if i is not None]
    if len(ids) == len(frames):
        _, sights = most_seen(ids)
        people = len({i for frame in ids for i in frame})
    else:
        places = [where if where is not None else thetas[:, :3] for thetas, where, _ in frames]
        sights, people = follow_nearest(places), max(len(p) for p in places)
    if not sights:
        raise arrays.error("none of its pictures shows a person")
    if people > 1:
        arrays.warn(f"{people} people; read is one of them, followed through {len(sights)} frames")
    kept = {_THETAS: np.stack([frames[k][0][place] for k, place in sights])}
    where = [frames[k][1] for k, _ in sights]
    if all(w is not None for w in where):
        found = [w[place] for w, (_, place) in zip(where, sights, strict=True) if w is not None]
        kept["cam_trans"] = np.stack(found)
    numbers = frame_numbers([k for k, _ in arrays.records])
    numbers = None if numbers is None else numbers[[k for k, _ in sights]]
    out = PoseArrays(arrays.name, kept, key=arrays.key, numbers=numbers)
    out.warnings = arrays.warnings
    return out


def _frame(
    record: Mapping[Any, Any], budget: Budget
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Thetas (P, 72), translations (P, 3) and numbers (P,) of a picture's people."""
    thetas, where, ids = (
        plain_array(record.get(key), budget) for key in (_THETAS, "cam_trans", "track_ids")
    )
    if thetas is None or thetas.size % 72 or thetas.dtype.kind not in "fiu":
        return np.zeros((0, 72)), None, ids
    rows = thetas.reshape(-1, 72)
    fits = where is not None and where.size == 3 * len(rows)
    return rows, where.reshape(-1, 3) if fits and where is not None else None, ids


FORMAT = Format(
    name="romp",
    files="ROMP's, BEV's and TRACE's npz, of a picture or a video",
    notes="of several people one is followed; camera axes; gaps between pictures stay",
    endings=(".npz",),
    sniff=sniff,
    read=read,
    rank=20,
)
