"""Arrays of 3D keypoints: SAM 3D Body, MediaPipe, FreeMoCap, OpenPose, COCO, Human3.6M, SMPL.

The number of points says which program's they are; where two have as many, geometry does.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import read_times

if TYPE_CHECKING:
    from pear_avatar.motion.keypoints.point_layouts import PointLayout

_KEYS = re.compile(
    r"(key_?points|joints?|kpts?|points|landmarks|skeleton|positions|motion|xyz|array)"
    r"(_?3d)?(_?xyz|_?world|_?pred|_?cam)?$",
    re.IGNORECASE,
)
_CONFIDENCE = re.compile(r"(conf|score|visib|valid|occl)", re.IGNORECASE)
_NAMES = re.compile(r"(names|labels)$", re.IGNORECASE)
#: Flat rows as wide as these are axis-angle vectors of the SMPL family more often than points.
_ANGLES = (63, 66, 69, 72, 156, 159, 165)
_SHIFTS = ("pred_cam_t", "cam_trans", "root_translation")


def sniff(content: Content) -> bool:
    """Whether an array holds as many points in space as some program writes."""
    return _found(content.arrays) is not None


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The keypoints solved onto the body."""
    from pear_avatar.motion.keypoints.keypoint_motion import KeypointClip, motion_of_keypoints

    arrays = content.arrays
    found = _found(arrays)
    if found is None:
        raise arrays.error("holds no keypoints")
    key, values = found
    points, weight = values[..., :3].astype(np.float64), np.ones(values.shape[:2])
    if values.shape[2] == 4:
        weight = np.nan_to_num(values[..., 3].astype(np.float64))
    weight = _confidence(arrays, weight)
    arrays.check_count(key, len(points))
    for shift in _SHIFTS:
        if arrays.shape(shift) in ((len(points), 3), (len(points), 1, 3)):
            points = points + arrays.numbers(shift).reshape(-1, 1, 3)
            break
    layout = _layout(arrays, points)
    assert layout is not None
    times = read_times(arrays, len(points), options.frame_rate)
    clip = KeypointClip(layout.name, layout.points, points, weight, times)
    motion = motion_of_keypoints(arrays, clip, options.up_axis)
    return MotionFile(motion, FORMAT.name, own_shape=True)


def _found(arrays: PoseArrays) -> tuple[str, np.ndarray] | None:
    """The array of keypoints as (N, K, 3 or 4), the best name first."""
    known = [k for k in arrays.arrays if _KEYS.search(k) and ("/" not in k or "3d" in k.lower())]
    for key in sorted(known, key=lambda k: ("3d" not in k.lower(), "pred" not in k.lower())):
        values = _as_points(arrays.arrays[key])
        if values is None or not np.nan_to_num(values).any():
            continue
        if _layout(arrays, values[..., :3]) is not None:
            return key, values
    return None


def _as_points(array: np.ndarray) -> np.ndarray | None:
    """(N, K, 3 or 4) from that, a batch axis more, one frame, flat rows, or frames last."""
    if array.dtype.kind not in "fiu" or not array.size:
        return None
    while array.ndim > 3 and 1 in array.shape[:-2]:
        array = array.squeeze(array.shape.index(1))
    if array.ndim == 2 and array.shape[1] in (3, 4):
        array = array[None]
    elif array.ndim == 2 and array.shape[1] % 3 == 0 and array.shape[1] not in _ANGLES:
        array = array.reshape(len(array), -1, 3)
    if array.ndim != 3:
        return None
    if array.shape[2] in (3, 4):
        return array
    if array.shape[1] == 3:  # (K, 3, N), as MDM writes, or (N, 3, K)
        turned = np.moveaxis(array, -1, 0) if array.shape[0] == 22 else array.transpose(0, 2, 1)
        return turned
    return None


def _layout(arrays: PoseArrays, points: np.ndarray) -> PointLayout | None:
    from pear_avatar.motion.keypoints.point_layouts import layout_of_count

    names = _names(arrays, points.shape[1])
    return names if names is not None else layout_of_count(points)


def _names(arrays: PoseArrays, count: int) -> PointLayout | None:
    """The layout that the file's own names say, if it has as many."""
    from pear_avatar.motion.keypoints.point_layouts import layout_of_names

    for key, array in arrays.arrays.items():
        if _NAMES.search(key) and array.dtype.kind in "US" and array.size == count:
            return layout_of_names([str(n) for n in array.reshape(-1)])
    return None


def _confidence(arrays: PoseArrays, weight: np.ndarray) -> np.ndarray:
    for key, array in arrays.arrays.items():
        if _CONFIDENCE.search(key) and array.dtype.kind in "fiub":
            squeezed = array.squeeze()
            if squeezed.shape == weight.shape:
                return np.nan_to_num(squeezed.astype(np.float64))
    return weight


FORMAT = Format(
    name="keypoints",
    files="3D keypoints as npy, npz, pkl or JSON: COCO (17, 23, 133), H36M-17, OpenPose (18, 25), "
    "HALPE-26, MediaPipe-33 (75 and FreeMoCap's 553 with hands), MHR-70 of SAM 3D Body, SMPL's "
    "and SMPL-X's joints, KIT-21",
    notes="solved onto the body: bone lengths, then a smooth pose; the axis up and the unit are "
    "seen; missing points are NaN, zero, or of confidence 0",
    endings=(".npy", ".npz", ".pkl", ".json"),
    sniff=sniff,
    read=read,
    rank=90,
)
