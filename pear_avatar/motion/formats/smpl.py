"""Parameters of the SMPL family -> a motion: what all readers of such files share."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.joints import NUM_JOINTS, PARAM_SLICES
from pear_avatar.body.licensed.hands import HandPca
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.axes import PELVIS_SMPLX, UpAxis, check_up_axis, to_y_up
from pear_avatar.motion.formats.encodings import read_rotations
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.world import seen_up, unit_in_metres
from pear_avatar.types import BodyParams, Motion

__all__ = [
    "OWN_BETAS",
    "OWN_EXPRESSION",
    "SHAPE_SPACE",
    "SmplPoses",
    "fill",
    "hand_angles",
    "has_own_shape",
    "identity",
    "motion_of_poses",
    "read_coefficients",
    "read_times",
    "read_transl",
]

logger = logging.getLogger(__name__)

#: Written into our files: betas and expression are those of the open body.
SHAPE_SPACE = "open_body"

#: The open body's coefficients in files whose ``betas`` others take for SMPL-X's.
OWN_BETAS, OWN_EXPRESSION = "open_body_betas", "open_body_expression"

#: Assumed, with a warning, where neither the file nor ``--source-fps`` says.
_ASSUMED_RATE = 30.0


@dataclass(frozen=True)
class SmplPoses:
    """Poses in a file's own world, before anything is known of its axes and units.

    rotations: (N, 55, 3, 3) float64 local rotations, index 0 the global orientation.
    transl:    (N, 3) float64 translations; None where the file has no path.
    rest:      where the pelvis of the file's body is without translation, in metres.
    up:        the axis that the format's world has upward; None where it must be seen.
    rate:      frames a second that the format has where its files do not say.
    """

    rotations: Tensor
    transl: np.ndarray | None = None
    rest: tuple[float, float, float] = PELVIS_SMPLX
    up: UpAxis | None = None
    rate: float | None = None


def identity(count: int) -> Tensor:
    """(N, 55, 3, 3) float64: the rest pose."""
    return torch.eye(3, dtype=torch.float64).repeat(count, NUM_JOINTS, 1, 1)


def motion_of_poses(
    arrays: PoseArrays,
    poses: SmplPoses,
    options: ReadOptions,
    *,
    betas_keys: tuple[str, ...] = ("betas",),
    expression_keys: tuple[str, ...] = ("expression",),
) -> Motion:
    """The motion in our world: upright, in metres, with the file's own times.

    Raises MotionFileError naming the array at fault.
    """
    rotations, count = poses.rotations.clone(), len(poses.rotations)
    rest = torch.from_numpy(_pelvis_rest(arrays, poses))
    T = to_y_up(_up_axis(arrays, poses, options.up_axis))
    rotations[:, 0] = T @ rotations[:, 0]
    times = read_times(arrays, count, options.frame_rate, poses.rate)
    path = torch.zeros(count, 3, dtype=torch.float64)
    if poses.transl is not None:
        transl = torch.from_numpy(np.ascontiguousarray(poses.transl)) @ T.T
        path = transl * unit_in_metres(arrays, rotations, transl, times, T @ rest) + T @ rest
    betas, expression = read_coefficients(
        arrays,
        count,
        options.keep_coefficients,
        betas_keys=betas_keys,
        expression_keys=expression_keys,
    )
    params = BodyParams(
        torch.from_numpy(betas).float(),
        torch.from_numpy(expression).float(),
        rotations.float(),
        path.float(),
    )
    return Motion(params, times, arrays.name)


def _up_axis(arrays: PoseArrays, poses: SmplPoses, wanted: UpAxis | None) -> UpAxis:
    """What the caller says, or the file, or the format, or what the body shows."""
    if wanted is not None:
        return check_up_axis(wanted)
    if "up_axis" in arrays:
        try:
            return check_up_axis(arrays.text("up_axis", ""))
        except ValueError as error:
            raise arrays.error(str(error)) from None
    pelvis = None if poses.transl is None else poses.transl + _pelvis_rest(arrays, poses)
    found = seen_up(arrays, poses.rotations, pelvis, poses.up)
    logger.info("%s: the body stands along %s of the file", arrays.name, found)
    return found


def _pelvis_rest(arrays: PoseArrays, poses: SmplPoses) -> np.ndarray:
    """(3,) the file's own ``pelvis_rest``, or that of the body its format is for."""
    if "pelvis_rest" in arrays:
        return arrays.frames("pelvis_rest", 3, 1)[0]
    return np.array(poses.rest, np.float64)


def read_transl(arrays: PoseArrays, keys: tuple[str, ...], count: int) -> np.ndarray | None:
    """(N, 3) translations under the first of these names; None where there are none."""
    key = arrays.first_of(keys)
    return None if key is None else arrays.frames(key, 3, count)


def hand_angles(
    arrays: PoseArrays, key: str, hands: Mapping[str, HandPca] | None, count: int | None
) -> Tensor:
    """(N, 15, 3, 3) finger rotations, from full poses or principal components.

    ``flat_hand_mean = False`` in the file says that full poses are relative to the mean hand.
    """
    found = arrays.shape(key)
    full = found[-2:] in ((15, 3), (3, 3), (15, 4)) or (bool(found) and found[-1] == 45)
    relative = "flat_hand_mean" in arrays and not bool(arrays.numbers("flat_hand_mean").all())
    side = "left" if "left" in key or key.startswith("l") else "right"
    if full and not relative:
        return read_rotations(arrays, key, 15, count)
    if not full and not (found and 6 <= found[-1] <= 45):
        raise arrays.error(
            f"{key} must have shape (N, 45), (N, 15, 3) or (N, 6 to 45), got {found}"
        )
    if hands is None:
        what = "relative to the mean hand" if full else f"{found[-1]} principal components"
        raise arrays.error(
            f"{key} has shape {found}: {what} of the licensed SMPL-X hand; name the folder of "
            "the model files with --body-models, or export full poses (N, 45)"
        )
    width = 45 if full else int(found[-1])
    values = torch.from_numpy(arrays.frames(key, width, count)).float()
    hand = hands[side]
    angles = hand.full_axis_angle(values) if full else hand.axis_angle(values)
    return axis_angle_to_matrix(angles.reshape(len(values), 15, 3).double())


def fill(rotations: Tensor, where: str, values: Tensor) -> None:
    """Set the joints of an SMPL-X parameter, such as ``body_pose``, in (N, 55, 3, 3)."""
    rotations[:, PARAM_SLICES[where]] = values


def has_own_shape(arrays: PoseArrays, keep: bool) -> bool:
    """Whether :func:`read_coefficients` finds the open body's coefficients."""
    return arrays.text("shape_space", "") == SHAPE_SPACE or (OWN_BETAS in arrays and not keep)


def read_coefficients(
    arrays: PoseArrays,
    count: int,
    keep: bool,
    *,
    betas_keys: tuple[str, ...] = ("betas",),
    expression_keys: tuple[str, ...] = ("expression",),
) -> tuple[np.ndarray, np.ndarray]:
    """betas (S,) and expression (N, E): the open body's own, another body's if kept, or zeros."""
    all_own = arrays.text("shape_space", "") == SHAPE_SPACE
    if keep or all_own:  # what others keep is in the file's own words, and ours only a fallback
        betas_key = arrays.first_of((*betas_keys, OWN_BETAS))
        expression_key = arrays.first_of((*expression_keys, OWN_EXPRESSION))
    else:
        betas_key, expression_key = (arrays.first_of((k,)) for k in (OWN_BETAS, OWN_EXPRESSION))
    if betas_key is None and arrays.first_of((*betas_keys, *expression_keys)):
        logger.info("%s: betas and expression belong to another body; left out", arrays.name)
    betas, expression = np.zeros(10), np.zeros((count, 10))
    if betas_key is not None:
        found = arrays.numbers(betas_key)
        if found.ndim not in (1, 2) or found.size == 0:
            raise arrays.error(f"{betas_key} must have shape (S,) or (N, S), got {found.shape}")
        betas = found if found.ndim == 1 else np.median(found, axis=0)
    if expression_key is not None:
        found = arrays.numbers(expression_key)
        found = found[None] if found.ndim == 1 else found
        if found.ndim != 2 or found.shape[1] == 0:
            raise arrays.error(f"{expression_key} must have shape (N, E), got {found.shape}")
        arrays.check_count(expression_key, len(found), count)
        expression = found
    return betas, expression


def read_times(
    arrays: PoseArrays, count: int, frame_rate: float | None = None, usual: float | None = None
) -> np.ndarray:
    """(N,) seconds: the file's own, or its frames' numbers at its rate; gaps stay gaps.

    Args:
        arrays: the file's.
        count: N.
        frame_rate: frames a second, for files that do not say.
        usual: frames a second that files of this format have; else 30 is assumed, with a warning.
    """
    if "time" in arrays and arrays.shape("time") != ():
        time = arrays.numbers("time")
        if time.shape != (count,) or (np.diff(time) <= 0).any():
            raise arrays.error(
                f"time must be ({count},) increasing seconds, got shape {time.shape}"
                + (" with steps back" if time.shape == (count,) else "")
            )
        return time
    rate = arrays.frame_rate() or frame_rate or usual
    if rate is None:
        rate = _ASSUMED_RATE
        if count > 1:
            arrays.warn(
                f"does not say its frame rate; {rate:.0f} frames a second are assumed "
                "(--source-fps says another)"
            )
    numbers = arrays.frame_numbers(count)
    if numbers is None:
        return np.arange(count) / rate
    steps = numbers - numbers[0]
    step = float(np.median(np.diff(steps))) if count > 1 else 1.0
    if count > 1 and steps[-1] > step * (count - 1) * 1.0001:
        missing = round(steps[-1] / step) + 1 - count
        arrays.warn(f"{missing} frames are missing among its {count}; their time is kept")
    if arrays.frame_rate() is not None and step > 1:
        steps = steps / step  # its rate is that of its own frames, of which each k-th was kept
    return steps / rate
