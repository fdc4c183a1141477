"""Points with names over time, as TRC, C3D and CSV hold them, solved onto the body."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.format import MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import read_times

__all__ = ["NamedPoints", "solve_named_points"]

#: Points that must be known by name for a person to be seen in them.
_FEWEST = 8


@dataclass(frozen=True)
class NamedPoints:
    """K points in N frames, in the file's own axes and unit.

    names:  (K,).
    points: (N, K, 3); NaN where missing.
    times:  (N,) seconds, or None for even frames.
    rate:   frames a second, or None where the file does not say.
    unit:   the file's own word for its unit, or empty.
    """

    names: tuple[str, ...]
    points: np.ndarray
    times: np.ndarray | None = None
    rate: float | None = None
    unit: str = ""


def solve_named_points(
    content: Content, given: NamedPoints, options: ReadOptions, layout: str
) -> MotionFile:
    """The body moved as its points move.

    Raises MotionFileError where too few names are those of a person.
    """
    from pear_avatar.motion.keypoints.keypoint_motion import KeypointClip, motion_of_keypoints
    from pear_avatar.motion.keypoints.point_layouts import layout_of_names

    arrays: PoseArrays = content.arrays
    arrays.check_count("the file", len(given.points))
    named = layout_of_names(given.names)
    if sum(bool(spec) for spec in named.points) < _FEWEST:
        raise arrays.error(
            "its points are not named as a person's joints or keypoints (LShoulder, left_knee, "
            f"...); found {', '.join(given.names[:12])}. Markers on the skin need a program that "
            "solves a skeleton; read its BVH"
        )
    weight = np.ones(given.points.shape[:2])
    times = given.times
    if times is None or not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        times = read_times(arrays, len(weight), options.frame_rate or given.rate)
    clip = KeypointClip(
        named.name, named.points, given.points, weight, times - times[0], given.unit
    )
    return MotionFile(motion_of_keypoints(arrays, clip, options.up_axis), layout, own_shape=True)
