"""Jaw, eyes, eyelids and coefficients of a face, as the EHM tracker and FLAME name them."""

from __future__ import annotations

import torch
from torch import Tensor

from pear_avatar.body.expressions import arkit_weights, face_from_arkit
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.open_body import load_body
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.smpl import OWN_EXPRESSION, read_coefficients
from pear_avatar.types import BodyParams, Motion

__all__ = ["FLAME_NAMES", "set_face", "with_face"]

#: Array names of a head, by what they are: EHM's and PEAR's first, then VHAP's, then plain ones.
FLAME_NAMES: dict[str, tuple[str, ...]] = {
    "root": ("flame_coeffs/pose_params", "pose_params", "rotation"),
    "neck": ("flame_coeffs/neck", "flame_coeffs/neck_pose", "neck_pose", "neck"),
    "jaw": ("flame_coeffs/jaw_params", "jaw_params", "jaw_pose"),
    "eyes": ("flame_coeffs/eye_pose_params", "eye_pose_params", "eyes_pose", "eye_pose"),
    "eyelids": ("flame_coeffs/eyelid_params", "eyelid_params", "eyelid"),
}
_BETAS_NAMES = ("smplx_shape", "betas", "shape")
_EXPRESSION_NAMES = ("flame_coeffs/expression_params", "expression_params", "expr")


def set_face(arrays: PoseArrays, rotations: Tensor) -> None:
    """Turn jaw and eyes of (N, 55, 3, 3) where the file has them."""
    count = len(rotations)
    jaw, eyes = (arrays.first_of(FLAME_NAMES[what]) for what in ("jaw", "eyes"))
    if jaw is not None:
        angles = torch.from_numpy(arrays.angles(jaw, 3, count))
        rotations[:, JOINT_INDEX["jaw"]] = axis_angle_to_matrix(angles)
    if eyes is not None:
        both = torch.from_numpy(arrays.angles(eyes, 6, count).reshape(-1, 2, 3))
        where = [JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"]]
        rotations[:, where] = axis_angle_to_matrix(both)


def with_face(arrays: PoseArrays, motion: Motion, keep: bool) -> Motion:
    """Coefficients where they can be kept; otherwise eyelids as blinks of the body."""
    count, p = motion.params.num_frames, motion.params
    values = read_coefficients(
        arrays, count, keep, betas_keys=_BETAS_NAMES, expression_keys=_EXPRESSION_NAMES
    )
    betas, expression = (torch.from_numpy(v).float() for v in values)
    if not keep and OWN_EXPRESSION not in arrays:
        expression = _blinks(arrays, count)
    return Motion(BodyParams(betas, expression, p.rotations, p.transl), motion.time, motion.name)


def _blinks(arrays: PoseArrays, count: int) -> Tensor:
    """(N, E) expression that closes each lid as far as FLAME's eyelid parameter says."""
    key = arrays.first_of(FLAME_NAMES["eyelids"])
    if key is None or not arrays.numbers(key).any():
        return torch.zeros(count, 10)
    closed = torch.from_numpy(arrays.frames(key, 2, count)).float().clamp(0, 1)
    names = ("eyeBlinkLeft", "eyeBlinkRight")
    body = load_body()
    weights = arkit_weights(body, dict(zip(names, closed.unbind(-1), strict=True)))
    return face_from_arkit(body, weights).expression
