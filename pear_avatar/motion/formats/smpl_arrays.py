"""SMPL-family arrays -> a motion: AMASS, SMPL-X parameter names, and our own files."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np
import torch

from pear_avatar.body.joints import NUM_JOINTS, PARAM_SLICES
from pear_avatar.body.licensed.hands import HandPca
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.axes import (
    PELVIS_SMPLH,
    PELVIS_SMPLX,
    UpAxis,
    check_up_axis,
    seen_up_axis,
    to_y_up,
)
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.types import BodyParams, Motion

__all__ = [
    "OWN_BETAS",
    "OWN_EXPRESSION",
    "SHAPE_SPACE",
    "hand_angles",
    "has_own_shape",
    "motion_of_arrays",
    "read_coefficients",
    "read_times",
    "smplx_layout",
]

logger = logging.getLogger(__name__)

#: Written into our files: betas and expression are those of the open body.
SHAPE_SPACE = "open_body"

#: The open body's coefficients in files whose ``betas`` others take for SMPL-X's.
OWN_BETAS, OWN_EXPRESSION = "open_body_betas", "open_body_expression"

#: Columns of AMASS ``poses`` -> whose joints they are.
_AMASS_WIDTHS = {66: "SMPL body", 72: "SMPL", 156: "SMPL-H", 165: "SMPL-X"}


def smplx_layout(arrays: PoseArrays) -> str | None:
    """ "amass", "smplx" (parameter names), or None where the arrays are neither."""
    if "poses" in arrays or ("pose_body" in arrays and "root_orient" in arrays):
        return "amass"
    return "smplx" if "body_pose" in arrays else None


def motion_of_arrays(arrays: PoseArrays, options: ReadOptions) -> Motion:
    """The motion of a file for which :func:`smplx_layout` is not None.

    Raises MotionFileError naming the array at fault.
    """
    amass_like = smplx_layout(arrays) == "amass"
    poses, pelvis = _amass_poses(arrays) if amass_like else _smplx_poses(arrays, options.hands)
    transl = _translation(arrays, len(poses), pelvis)
    rotations = axis_angle_to_matrix(torch.from_numpy(poses).reshape(-1, NUM_JOINTS, 3))
    T = to_y_up(_up_axis(arrays, options.up_axis, rotations[:, 0], amass_like))
    rotations[:, 0] = T @ rotations[:, 0]
    betas, expression = read_coefficients(arrays, len(poses), options.keep_coefficients)
    params = BodyParams(
        torch.from_numpy(betas).float(),
        torch.from_numpy(expression).float(),
        rotations.float(),
        (torch.from_numpy(transl) @ T.T).float(),
    )
    return Motion(params, read_times(arrays, len(poses), options.frame_rate), arrays.name)


def _amass_poses(arrays: PoseArrays) -> tuple[np.ndarray, tuple[float, float, float]]:
    """(N, 165) axis-angle and the rest pelvis of the body the file was made with."""
    if "poses" not in arrays:
        missing = [name for name in ("root_orient", "pose_body") if name not in arrays]
        if missing:
            raise arrays.error(f"lacks {', '.join(missing)}")
        return _amass_blocks(arrays), PELVIS_SMPLX
    shape = arrays.arrays["poses"].shape
    width = int(np.prod(shape[1:])) if len(shape) > 1 else 0
    if width not in _AMASS_WIDTHS:
        known = ", ".join(f"(N, {w}) {name}" for w, name in _AMASS_WIDTHS.items())
        raise arrays.error(f"poses must have shape {known}; got {shape}")
    poses = arrays.angles("poses", width)
    out = np.zeros((len(poses), NUM_JOINTS * 3))
    if width == 165:
        return poses, PELVIS_SMPLX
    out[:, :66] = poses[:, :66]  # SMPL's joints 22 and 23 are the whole hands: left flat
    if width == 156:
        out[:, 75:165] = poses[:, 66:156]
    return out, PELVIS_SMPLH


def _amass_blocks(arrays: PoseArrays) -> np.ndarray:
    body = arrays.angles("pose_body", 63)
    out = np.zeros((len(body), NUM_JOINTS * 3))
    columns = {"root_orient": (0, 3), "pose_jaw": (66, 69), "pose_eye": (69, 75)}
    columns |= {"pose_body": (3, 66), "pose_hand": (75, 165)}
    for name, (start, stop) in columns.items():
        if name in arrays:
            out[:, start:stop] = arrays.angles(name, stop - start, len(body))
    return out


def _smplx_poses(
    arrays: PoseArrays, hands: Mapping[str, HandPca] | None
) -> tuple[np.ndarray, tuple[float, float, float]]:
    body = arrays.angles("body_pose", 63)
    out = np.zeros((len(body), NUM_JOINTS, 3))
    for name, where in PARAM_SLICES.items():
        if name not in arrays:
            continue
        width = 3 * (where.stop - where.start)
        if name.endswith("hand_pose"):
            values = hand_angles(arrays, name, hands, len(body))
        else:
            values = arrays.angles(name, width, len(body))
        out[:, where] = values.reshape(len(body), -1, 3)
    return out.reshape(len(body), -1), PELVIS_SMPLX


def hand_angles(
    arrays: PoseArrays, key: str, hands: Mapping[str, HandPca] | None, count: int | None
) -> np.ndarray:
    """(N, 45) finger rotations as axis-angle, from full poses or principal components.

    ``flat_hand_mean = False`` in the file says that full poses are relative to the mean hand.
    """
    found = arrays.arrays[key].shape
    full = bool(found) and found[-1] in (3, 45)
    relative = "flat_hand_mean" in arrays and not bool(arrays.numbers("flat_hand_mean").all())
    side = "left" if "left" in key else "right"
    if full and not relative:
        return arrays.angles(key, 45, count)
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
    return angles.flatten(-2).double().numpy()


def _translation(arrays: PoseArrays, count: int, pelvis: tuple[float, float, float]) -> np.ndarray:
    key = arrays.first_of(("trans", "transl"))
    rest = arrays.frames("pelvis_rest", 3, 1)[0] if "pelvis_rest" in arrays else np.array(pelvis)
    if key is None:
        return np.zeros((count, 3))
    trans = arrays.frames(key, 3, count)
    if np.abs(trans).max() > 1e5:
        raise arrays.error(
            f"{key} reaches {np.abs(trans).max():.3g}; translations must be in metres"
        )
    return trans + rest


def _up_axis(
    arrays: PoseArrays, wanted: UpAxis | None, root: torch.Tensor, amass_like: bool
) -> UpAxis:
    if "up_axis" in arrays:
        try:
            return check_up_axis(arrays.text("up_axis", ""))
        except ValueError as error:
            raise arrays.error(str(error)) from None
    if wanted is not None:
        return check_up_axis(wanted)
    if amass_like:
        return "z"
    found = seen_up_axis(root)
    logger.info("%s: the body stands along %s of the file", arrays.name, found)
    return found


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


def read_times(arrays: PoseArrays, count: int, frame_rate: float | None = None) -> np.ndarray:
    """(N,) seconds: the file's own, or from its frame rate, or from the one given."""
    if "time" not in arrays:
        return np.arange(count) / arrays.frame_rate(frame_rate or 30.0)
    time = arrays.numbers("time")
    if time.shape != (count,) or (np.diff(time) <= 0).any():
        raise arrays.error(
            f"time must be ({count},) increasing seconds, got shape {time.shape}"
            + (" with steps back" if time.shape == (count,) else "")
        )
    return time
