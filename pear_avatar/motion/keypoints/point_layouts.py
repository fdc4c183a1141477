"""Which points of the body the keypoints of each program mean.

A point is written as a mean of places on the body, such as ``coco17:5`` (that landmark of
:class:`~pear_avatar.body.landmarks.LandmarkSet`) or ``joint:left_hip``, joined by ``+``. A ``~``
in front says that programs disagree about the point by centimetres, so that it counts little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pear_avatar.body.joints import JOINT_NAMES
from pear_avatar.motion.retarget.joint_names import finger_joint, side_and_part

__all__ = ["PointLayout", "layout_of_count", "layout_of_names", "point_of_name"]

_COCO = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder",
         "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
         "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle")  # fmt: skip
_COCO_OF = {name: f"coco17:{i}" for i, name in enumerate(_COCO)}
_NECK = "coco17:5+coco17:6"
_MID_HIP = "coco17:11+coco17:12"
_FEET = {f"{side}_{part}": f"wholebody133:{17 + 3 * s + i}"
         for s, side in enumerate(("left", "right"))
         for i, part in enumerate(("big_toe", "small_toe", "heel"))}  # fmt: skip
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")
_HANDS = {
    side: tuple(f"mediapipe_{side}_hand:{i}" for i in range(21)) for side in ("left", "right")
}


@dataclass(frozen=True)
class PointLayout:
    """K keypoints in the order of a program's arrays; an empty text is a point that is not used."""

    name: str
    points: tuple[str, ...]


def _coco(*names: str) -> tuple[str, ...]:
    return tuple(_COCO_OF.get(n) or _FEET.get(n) or _OTHERS[n] for n in names)


_OTHERS = {"neck": _NECK, "mid_hip": _MID_HIP, "head_top": "", "none": ""}


def _limbs(*sides: str) -> tuple[str, ...]:
    return tuple(f"{s}_{p}" for s in sides for p in ("shoulder", "elbow", "wrist"))


def _legs(side: str) -> tuple[str, ...]:
    return tuple(f"{side}_{p}" for p in ("hip", "knee", "ankle"))


def _joints(*names: str) -> tuple[str, ...]:
    return tuple(f"joint:{n.strip('~')}" if n[0] != "~" else f"~joint:{n[1:]}" for n in names)


def _mhr_hand(side: str) -> tuple[str, ...]:
    """Each finger from its tip to its root, then the wrist."""
    hand = _HANDS[side]
    return (*(hand[4 * f + k] for f in range(1, 6) for k in (0, -1, -2, -3)), hand[0])


_FEET_HALPE = ("left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel",
               "right_heel")  # fmt: skip
_H36M = _joints("pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
                "left_ankle", "~spine2", "~neck", "~head", "~head", "left_shoulder", "left_elbow",
                "left_wrist", "right_shoulder", "right_elbow", "right_wrist")  # fmt: skip
_KIT = _joints("pelvis", "~spine1", "~spine3", "~neck", "~head", *_limbs("left", "right"),
               *_legs("left"), "~left_foot", "left_foot", *_legs("right"), "~right_foot",
               "right_foot")  # fmt: skip
_OPENPOSE = _coco("nose", "neck", *_limbs("right", "left"), "mid_hip", *_legs("right"),
                  *_legs("left"), "right_eye", "left_eye", "right_ear", "left_ear", "left_big_toe",
                  "left_small_toe", "left_heel", "right_big_toe", "right_small_toe",
                  "right_heel")  # fmt: skip
_MEDIAPIPE = tuple(f"mediapipe_pose:{i}" for i in range(33))
_MHR = (
    *_coco(*_COCO[:9], *(n for n in _COCO if n.split("_")[-1] in ("hip", "knee", "ankle"))),
    *_coco("left_big_toe", "left_small_toe", "left_heel"),
    *_coco("right_big_toe", "right_small_toe", "right_heel"),
    *_mhr_hand("right"), *_mhr_hand("left"), "", "", "", "", "", "", f"~{_NECK}",
)  # fmt: skip

#: Number of keypoints -> what they can be; geometry decides between several.
_BY_COUNT: dict[int, tuple[PointLayout, ...]] = {
    14: (PointLayout("LSP-14", _coco("right_ankle", "right_knee", "right_hip", "left_hip",
         "left_knee", "left_ankle", "right_wrist", "right_elbow", "right_shoulder",
         "left_shoulder", "left_elbow", "left_wrist", "neck", "none")),),
    17: (PointLayout("H36M-17", _H36M), PointLayout("COCO-17", _coco(*_COCO))),
    18: (PointLayout("OpenPose-18", (*_OPENPOSE[:8], *_OPENPOSE[9:19])),),
    21: (PointLayout("KIT-21", _KIT),),
    22: (PointLayout("SMPL-22", _joints(*JOINT_NAMES[:22])),),
    23: (PointLayout("COCO-23", _coco(*_COCO, *_FEET)),),
    24: (PointLayout("SMPL-24", (*_joints(*JOINT_NAMES[:22]), "", "")),),
    25: (PointLayout("OpenPose-25", _OPENPOSE),),
    26: (PointLayout("HALPE-26", _coco(*_COCO, "head_top", "neck", "mid_hip", *_FEET_HALPE)),),
    33: (PointLayout("MediaPipe-33", _MEDIAPIPE),),
    52: (PointLayout("SMPL-H-52", _joints(*JOINT_NAMES[:22], *JOINT_NAMES[25:])),),
    55: (PointLayout("SMPL-X-55", _joints(*JOINT_NAMES)),),
    70: (PointLayout("MHR-70", _MHR),),
    75: (PointLayout("MediaPipe-75", (*_MEDIAPIPE, *_HANDS["left"], *_HANDS["right"])),),
    127: (PointLayout("SMPL-X-127", (*_joints(*JOINT_NAMES), *([""] * 72))),),
    133: (PointLayout("COCO-WholeBody-133", tuple(f"wholebody133:{i}" for i in range(133))),),
    553: (PointLayout("FreeMoCap-553",
         (*_MEDIAPIPE, *_HANDS["left"], *_HANDS["right"], *([""] * 478))),),
}  # fmt: skip
#: Parts of names with a side -> the landmark's own name.
_SIDED = {"bigtoe": "big_toe", "smalltoe": "small_toe", "toe": "big_toe", "footindex": "big_toe",
          "calcaneus": "heel"}  # fmt: skip
#: Distance, in widths of the hips, within which a point lies in the middle of two others.
_IN_THE_MIDDLE = 0.5


def layout_of_count(points: np.ndarray) -> PointLayout | None:
    """The layout of keypoints (N, K, 3) by their number, and by geometry where that leaves two."""
    known = _BY_COUNT.get(points.shape[1])
    if not known:
        return None
    layout = known[0]
    if layout.name == "H36M-17" and not _is_middle(points, 0, 1, 4):
        layout = known[1]
    if points.shape[1] in (75, 553) and _hands_are_swapped(points):
        hands = (*layout.points[54:75], *layout.points[33:54])
        layout = PointLayout(layout.name, (*layout.points[:33], *hands, *layout.points[75:]))
    return layout


def _is_middle(points: np.ndarray, middle: int, a: int, b: int) -> bool:
    across = points[:, a] - points[:, b]
    off = points[:, middle] - (points[:, a] + points[:, b]) / 2
    ratio = np.linalg.norm(off, axis=-1) / np.linalg.norm(across, axis=-1).clip(1e-9)
    ratio = ratio[np.isfinite(ratio)]
    return bool(len(ratio)) and float(np.median(ratio)) < _IN_THE_MIDDLE


def _hands_are_swapped(points: np.ndarray) -> bool:
    """Whether the first hand after MediaPipe's 33 points lies at the right wrist."""
    off = [np.linalg.norm(points[:, 33] - points[:, wrist], axis=-1) for wrist in (15, 16)]
    near = [float(np.median(d[np.isfinite(d)])) if np.isfinite(d).any() else 0.0 for d in off]
    return near[1] < near[0]


def layout_of_names(names: Sequence[str]) -> PointLayout:
    """The layout that names say, whatever their order."""
    return PointLayout("named points", tuple(point_of_name(name) for name in names))


def point_of_name(name: str) -> str:
    """The point that a marker's or keypoint's name means; empty where it is not known."""
    plain = name.strip().lower().replace(" ", "_")
    for known in (_COCO_OF, _FEET):
        if plain in known:
            return known[plain]
    if plain in JOINT_NAMES:
        return f"joint:{plain}"
    finger = finger_joint(name)
    if finger is not None:
        return f"joint:{finger[0]}_{finger[1]}"
    side, part = side_and_part(name)
    compact = "".join(c for c in plain if c.isalnum())
    if compact in ("chip", "midhip", "hip", "hips", "pelvis", "root", "hipscenter", "hipcenter"):
        return _MID_HIP
    if compact in ("neck", "thorax", "shouldercenter", "neckcenter"):
        return f"~{_NECK}"
    if compact in ("nose",):
        return "coco17:0"
    if not side:
        return ""
    named = f"{side}_{_SIDED.get(part, part)}"
    return _COCO_OF.get(named) or _FEET.get(named) or ""
