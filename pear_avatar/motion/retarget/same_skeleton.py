"""Captures whose skeleton already is the body's: their rotations are copied as they stand.

Files that this program wrote, and those of other programs of the SMPL-X family, name the 55
joints and rest in the body's T-pose. Retargeting them would lose what names and frames say
exactly: the spine's own bends, the ankles' slope, jaw and eyes.
"""

from __future__ import annotations

import numpy as np
import torch

from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES, NUM_JOINTS, PARENTS
from pear_avatar.motion.retarget.capture import CaptureMotion
from pear_avatar.motion.retarget.retarget_report import RetargetReport
from pear_avatar.types import BodyParams, Motion

__all__ = ["copy_same_skeleton", "is_same_skeleton"]

#: The joints that must be there; hands and face may be missing.
_NEEDED = JOINT_NAMES[:22]

#: Rest bones may point this far (cosine) from the body's: people's shapes differ, rigs do more.
_ALIGNED = 0.75
_TINY_BONE = 1e-6


def is_same_skeleton(capture: CaptureMotion, rest_joints: np.ndarray) -> bool:
    """Whether joints, hierarchy and rest pose are those of the body, up to size.

    Args:
        capture: the source.
        rest_joints: (55, 3) rest joints of the body in metres.
    """
    index = {name: j for j, name in enumerate(capture.names)}
    if not set(_NEEDED) <= set(index) or capture.parents[index["pelvis"]] >= 0:
        return False
    known = [name for name in capture.names if name in JOINT_INDEX]
    for name in known[1:]:
        parent = PARENTS[JOINT_INDEX[name]]
        if parent < 0 or capture.names[capture.parents[index[name]]] != JOINT_NAMES[parent]:
            return False
    for name in _NEEDED[1:]:
        j = JOINT_INDEX[name]
        ours, theirs = rest_joints[j] - rest_joints[PARENTS[j]], capture.offsets[index[name]]
        lengths = np.linalg.norm(ours) * np.linalg.norm(theirs)
        if lengths < _TINY_BONE or ours @ theirs < _ALIGNED * lengths:
            return False
    return True


def copy_same_skeleton(
    capture: CaptureMotion, rest_joints: np.ndarray
) -> tuple[Motion, RetargetReport]:
    """The motion of a capture for which :func:`is_same_skeleton` holds.

    The path of the pelvis is scaled by the length of the legs, which turns file units into
    metres and is exact where both bodies are one.
    """
    index = {name: j for j, name in enumerate(capture.names) if name in JOINT_INDEX}
    count = capture.num_frames
    rotations = np.broadcast_to(np.eye(3), (count, NUM_JOINTS, 3, 3)).copy()
    for name, j in index.items():
        rotations[:, JOINT_INDEX[name]] = capture.rotations[:, j]
    scale = _legs(rest_joints, JOINT_INDEX) / _legs(capture.rest(), index)
    path = scale * capture.positions[:, index["pelvis"]] - rest_joints[0]
    params = BodyParams(
        torch.zeros(10),
        torch.zeros(count, 10),
        torch.from_numpy(rotations).float(),
        torch.from_numpy(path).float(),
    )
    report = RetargetReport(
        source=capture.source,
        mapped={name: name for name in index},
        corrections=dict.fromkeys(index, 0.0),
        interpolated=(),
        undriven=tuple(name for name in JOINT_NAMES if name not in index),
        unmapped=tuple(name for name in capture.names if name not in index),
        up_axis="y",
        scale=scale,
        reference="same skeleton",
    )
    return Motion(params, np.arange(count) * capture.frame_time, capture.source), report


def _legs(points: np.ndarray, index: dict[str, int]) -> float:
    """Hip to knee to ankle, both sides together."""
    total = 0.0
    for side in ("left", "right"):
        hip, knee, ankle = (points[index[f"{side}_{n}"]] for n in ("hip", "knee", "ankle"))
        total += float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))
    return total
