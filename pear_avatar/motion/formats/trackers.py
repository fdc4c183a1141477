"""Files of trackers -> a motion: GVHMR, the EHM tracker, and heads given by FLAME alone.

Names and conventions are those that the trackers write:

* GVHMR: ``smpl_params_global`` (y up) and ``smpl_params_incam`` (camera axes) with ``K_fullimg``.
* EHM tracker: ``smplx_coeffs`` for the body and ``flame_coeffs`` for jaw, eyes and eyelids, the
  body at the origin of a world that ``camera_RT_params`` carries to the camera (x left, y up, z
  forward).
* FLAME: EHM's ``flame_coeffs`` alone, or VHAP's ``expr``, ``rotation``, ``neck_pose``, ... FLAME's
  root is the neck of the body and its neck is the body's head, as the joints between them tell.
"""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.expressions import arkit_weights, face_from_arkit
from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS, PARAM_SLICES
from pear_avatar.body.open_body import load_body
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.axes import PELVIS_SMPLX, seen_up_axis, to_y_up
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl_arrays import (
    OWN_EXPRESSION,
    hand_angles,
    read_coefficients,
    read_times,
)
from pear_avatar.types import BodyParams, Motion, Proportions

__all__ = [
    "ehm_proportions",
    "motion_of_ehm",
    "motion_of_flame",
    "motion_of_gvhmr",
    "tracker_layout",
    "with_shared",
]

logger = logging.getLogger(__name__)

#: Array names of a head, by what they are: EHM's and PEAR's first, then VHAP's, then plain ones.
_FLAME_NAMES: dict[str, tuple[str, ...]] = {
    "root": ("flame_coeffs/pose_params", "pose_params", "rotation"),
    "neck": ("flame_coeffs/neck", "flame_coeffs/neck_pose", "neck_pose", "neck"),
    "jaw": ("flame_coeffs/jaw_params", "jaw_params", "jaw_pose"),
    "eyes": ("flame_coeffs/eye_pose_params", "eye_pose_params", "eyes_pose", "eye_pose"),
    "eyelids": ("flame_coeffs/eyelid_params", "eyelid_params", "eyelid"),
}
_FLAME_MARKS = (
    "expression_params", "expr", "jaw_params", "flame_coeffs/jaw_params",
    "flame_coeffs/expression_params",
)  # fmt: skip

#: The EHM tracker's constants of a person.
_SHARED_NAMES = ("head_scale", "hand_scale", "joints_offset", "smplx_shape", "flame_shape")

_BETAS_NAMES = ("smplx_shape", "betas", "shape")
_EXPRESSION_NAMES = ("flame_coeffs/expression_params", "expression_params", "expr")

_HEAD_SETS = {"root": "neck", "neck": "head", "jaw": "jaw"}


def tracker_layout(arrays: PoseArrays) -> str | None:
    """ "gvhmr", "ehm", "flame", or None where the arrays are none of these."""
    if any(key.startswith(("smpl_params_global/", "smpl_params_incam/")) for key in arrays.arrays):
        return "gvhmr"
    if "smplx_coeffs/body_pose" in arrays:
        return "ehm"
    return "flame" if arrays.first_of(_FLAME_MARKS) else None


def motion_of_gvhmr(arrays: PoseArrays, options: ReadOptions) -> tuple[Motion, np.ndarray | None]:
    """The motion, and the clip's intrinsics (N, 3, 3) in pixels where the file has them.

    With ``camera_space`` our world is the camera's, turned upright; else it is GVHMR's world,
    whose y axis points against gravity. GVHMR resamples its videos to 30 frames a second.

    Raises MotionFileError naming what is missing or wrong.
    """
    part = "smpl_params_incam" if options.camera_space else "smpl_params_global"
    needed = [f"{part}/body_pose", f"{part}/global_orient", f"{part}/transl"]
    missing = [key for key in needed if key not in arrays]
    if missing:
        raise arrays.error(f"lacks {', '.join(missing)}")
    body = arrays.angles(needed[0], 63)
    angles = np.zeros((len(body), NUM_JOINTS, 3))
    angles[:, PARAM_SLICES["body_pose"]] = body.reshape(-1, 21, 3)
    angles[:, 0] = arrays.angles(needed[1], 3, len(body))
    pelvis = arrays.frames(needed[2], 3, len(body)) + PELVIS_SMPLX
    rotations = axis_angle_to_matrix(torch.from_numpy(angles))
    T = to_y_up("-y" if options.camera_space else "y")
    motion = _motion(arrays, rotations, torch.from_numpy(pelvis), T, options.frame_rate)
    if "K_fullimg" not in arrays:
        return motion, None
    K = arrays.numbers("K_fullimg")
    if K.shape not in ((3, 3), (len(body), 3, 3)):
        raise arrays.error(f"K_fullimg must have shape ({len(body)}, 3, 3), got {K.shape}")
    return motion, np.broadcast_to(K, (len(body), 3, 3)).copy()


def motion_of_ehm(arrays: PoseArrays, options: ReadOptions) -> Motion:
    """Body and hands of ``smplx_coeffs``; jaw, eyes and eyelids of ``flame_coeffs``.

    ``up_axis`` is the one that is up after the camera has been applied; by default it is seen
    from the body. Eyelids become blinks of the open body.

    Raises MotionFileError naming the array at fault.
    """
    pose = arrays.angles("smplx_coeffs/body_pose", 63)
    count = len(pose)
    angles = np.zeros((count, NUM_JOINTS, 3))
    angles[:, PARAM_SLICES["body_pose"]] = pose.reshape(-1, 21, 3)
    if "smplx_coeffs/global_pose" in arrays:
        angles[:, 0] = arrays.angles("smplx_coeffs/global_pose", 3, count)
    for name in ("left_hand_pose", "right_hand_pose"):
        key = f"smplx_coeffs/{name}"
        if key in arrays:
            hand = hand_angles(arrays, key, options.hands, count)
            angles[:, PARAM_SLICES[name]] = hand.reshape(-1, 15, 3)
    _set_face(arrays, angles, count)
    rotations = axis_angle_to_matrix(torch.from_numpy(angles))
    pelvis = torch.tensor(PELVIS_SMPLX, dtype=torch.float64).expand(count, 3)
    if "smplx_coeffs/camera_RT_params" in arrays:
        RT = _camera(arrays, count)
        rotations[:, 0] = RT[:, :, :3] @ rotations[:, 0]
        pelvis = (RT[:, :, :3] @ pelvis[..., None])[..., 0] + RT[:, :, 3]
    T = to_y_up(options.up_axis or seen_up_axis(rotations[:, 0]))
    motion = _motion(arrays, rotations, pelvis, T, options.frame_rate)
    return _with_face(arrays, motion, options.keep_coefficients)


def with_shared(arrays: PoseArrays, shared: PoseArrays) -> PoseArrays:
    """A tracker's frames together with the constants of the person that it keeps apart."""
    known = {key: shared.arrays[key] for key in _SHARED_NAMES if key in shared}
    return PoseArrays(arrays.name, {**known, **arrays.arrays})


def ehm_proportions(arrays: PoseArrays, options: ReadOptions) -> Proportions | None:
    """The person's scales and joint offsets; None where the file has none of them.

    FLAME's shape coefficients are taken along only if coefficients are to be kept.
    """
    if arrays.first_of(_SHARED_NAMES[:3]) is None:
        return None
    shapes = {"head_scale": (3,), "hand_scale": (3,), "joints_offset": (55, 3)}
    found: dict[str, Tensor] = {}
    for key, shape in shapes.items():
        if key in arrays:
            values = arrays.numbers(key)
            if values.size != np.prod(shape):
                raise arrays.error(
                    f"{key} must hold {np.prod(shape)} numbers, got shape {values.shape}"
                )
            found[key] = torch.from_numpy(values.reshape(shape)).float()
    head = None
    if options.keep_coefficients and "flame_shape" in arrays:
        head = torch.from_numpy(arrays.numbers("flame_shape").reshape(-1)).float()
    ones = torch.ones(3)
    return Proportions(
        found.get("head_scale", ones),
        found.get("hand_scale", ones),
        head,
        found.get("joints_offset"),
    )


def motion_of_flame(arrays: PoseArrays, options: ReadOptions) -> Motion:
    """A head's motion on a body that stands at rest.

    Raises MotionFileError naming the array at fault.
    """
    key = arrays.first_of([n for names in _FLAME_NAMES.values() for n in names])
    if key is None:
        raise arrays.error("holds FLAME coefficients but no pose of head, jaw, eyes or eyelids")
    found = arrays.numbers(key)
    count = 1 if found.ndim < 2 else len(found)
    arrays.check_count(key, count)
    angles = np.zeros((count, NUM_JOINTS, 3))
    _set_face(arrays, angles, count)
    for what in ("root", "neck"):
        name = arrays.first_of(_FLAME_NAMES[what])
        if name is not None:
            angles[:, JOINT_INDEX[_HEAD_SETS[what]]] = arrays.angles(name, 3, count)
    rotations = axis_angle_to_matrix(torch.from_numpy(angles))
    neck = JOINT_INDEX["neck"]
    T = to_y_up(options.up_axis or seen_up_axis(rotations[:, neck]))
    rotations[:, neck] = T @ rotations[:, neck]
    still = torch.zeros(count, 3, dtype=torch.float64)
    motion = _motion(arrays, rotations, still, to_y_up("y"), options.frame_rate)
    return _with_face(arrays, motion, options.keep_coefficients)


def _motion(
    arrays: PoseArrays, rotations: Tensor, pelvis: Tensor, T: Tensor, frame_rate: float | None
) -> Motion:
    """A motion from rotations and pelvis positions in a world that T turns into ours."""
    count = len(rotations)
    rotations[:, 0] = T @ rotations[:, 0]
    params = BodyParams(
        torch.zeros(10), torch.zeros(count, 10), rotations.float(), (pelvis @ T.T).float()
    )
    return Motion(params, read_times(arrays, count, frame_rate), arrays.name)


def _set_face(arrays: PoseArrays, angles: np.ndarray, count: int) -> None:
    jaw, eyes = (arrays.first_of(_FLAME_NAMES[what]) for what in ("jaw", "eyes"))
    if jaw is not None:
        angles[:, JOINT_INDEX["jaw"]] = arrays.angles(jaw, 3, count)
    if eyes is not None:
        both = arrays.angles(eyes, 6, count).reshape(-1, 2, 3)
        angles[:, [JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"]]] = both


def _camera(arrays: PoseArrays, count: int) -> Tensor:
    """(N, 3, 4) world to camera, with the camera's axes turned to x right, y up, z back."""
    key = "smplx_coeffs/camera_RT_params"
    RT = arrays.numbers(key)
    if RT.shape not in ((3, 4), (count, 3, 4)):
        raise arrays.error(f"{key} must have shape ({count}, 3, 4), got {RT.shape}")
    R = RT[..., :3]
    if np.abs(R @ np.swapaxes(R, -1, -2) - np.eye(3)).max() > 1e-3 or np.linalg.det(R).min() < 0:
        raise arrays.error(f"{key} must hold rotations in its first three columns")
    flip = torch.diag(torch.tensor([-1.0, 1.0, -1.0], dtype=torch.float64))
    return flip @ torch.from_numpy(RT).expand(count, 3, 4)


def _with_face(arrays: PoseArrays, motion: Motion, keep: bool) -> Motion:
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
    key = arrays.first_of(_FLAME_NAMES["eyelids"])
    if key is None or not arrays.numbers(key).any():
        return torch.zeros(count, 10)
    closed = torch.from_numpy(arrays.frames(key, 2, count)).float().clamp(0, 1)
    names = ("eyeBlinkLeft", "eyeBlinkRight")
    body = load_body()
    weights = arkit_weights(body, dict(zip(names, closed.unbind(-1), strict=True)))
    return face_from_arkit(body, weights).expression
