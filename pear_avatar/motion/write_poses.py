"""Motions out to the pose files of others: AMASS, SMPL-X names, EHM tracker, joint tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_NAMES, NUM_JOINTS, PARAM_SLICES
from pear_avatar.body.model import BodyModel
from pear_avatar.choices import BodyName
from pear_avatar.geometry.rotations import matrix_to_axis_angle
from pear_avatar.io.atomic import atomic_path
from pear_avatar.io.npz import save_npz
from pear_avatar.motion.formats.axes import PELVIS_SMPLH, PELVIS_SMPLX, UpAxis, to_y_up
from pear_avatar.motion.formats.smpl import OWN_BETAS, OWN_EXPRESSION, SHAPE_SPACE
from pear_avatar.types import Motion, Proportions

__all__ = [
    "motion_arrays",
    "save_joints_csv",
    "save_motion_amass",
    "save_motion_ehm",
    "save_motion_smplh",
    "save_motion_smplx",
]


def save_motion_amass(
    path: str | Path,
    motion: Motion,
    *,
    up_axis: UpAxis = "z",
    shape: BodyName | str = BodyName.OPEN,
) -> None:
    """Write a motion as AMASS does for SMPL-X: z up, ``poses`` (N, 165), ``trans``, ``betas``.

    With the open body's ``shape``, ``betas`` are zeros, SMPL-X's average person: other programs
    would take the open body's coefficients for SMPL-X's. Ours are kept beside them as
    ``open_body_betas`` and ``open_body_expression``. The whole file appears at once or not at all.
    """
    rotations, pelvis = _in_file_axes(motion, up_axis)
    trans = pelvis - torch.tensor(PELVIS_SMPLX, dtype=torch.float64)
    arrays = motion_arrays(motion, rotations, trans)
    del arrays["shape_space"]  # which says that betas are the open body's; here they are SMPL-X's
    arrays |= _coefficients(motion, shape, 16)
    arrays |= {"num_betas": np.array(len(arrays["betas"])), "up_axis": np.array(up_axis)}
    save_npz(path, arrays)


def save_motion_smplh(
    path: str | Path,
    motion: Motion,
    *,
    up_axis: UpAxis = "z",
    shape: BodyName | str = BodyName.OPEN,
) -> None:
    """Write a motion as AMASS does for SMPL-H: ``poses`` (N, 156), no face.

    ``betas`` (16,) are zeros, as in :func:`save_motion_amass`.
    """
    rotations, pelvis = _in_file_axes(motion, up_axis)
    poses = matrix_to_axis_angle(rotations).cpu().numpy()
    count = len(poses)
    kept = np.concatenate([poses[:, :22], poses[:, 25:]], axis=1)
    arrays = {
        "poses": kept.reshape(count, -1),
        "trans": (pelvis - torch.tensor(PELVIS_SMPLH, dtype=torch.float64)).cpu().numpy(),
        "dmpls": np.zeros((count, 8)),
        "gender": np.array("neutral"),
        "mocap_framerate": np.array(motion.fps),
        "time": np.asarray(motion.time, np.float64),
        "up_axis": np.array(up_axis),
        **_coefficients(motion, BodyName.OPEN, 16),  # SMPL-X's betas are not SMPL-H's either
    }
    del arrays["expression"]
    if shape != BodyName.OPEN:
        arrays = {k: v for k, v in arrays.items() if k not in (OWN_BETAS, OWN_EXPRESSION)}
    save_npz(path, arrays)


def save_motion_smplx(
    path: str | Path,
    motion: Motion,
    *,
    up_axis: UpAxis = "y",
    shape: BodyName | str = BodyName.OPEN,
) -> None:
    """Write a motion under SMPL-X parameter names, as SMPLer-X and OSX do.

    Hands are full poses (N, 45) relative to the flat hand, which ``flat_hand_mean`` says.
    """
    rotations, pelvis = _in_file_axes(motion, up_axis)
    angles = matrix_to_axis_angle(rotations).cpu().numpy()
    blocks = {name: angles[:, s].reshape(len(angles), -1) for name, s in PARAM_SLICES.items()}
    arrays = {
        **blocks,
        "transl": (pelvis - torch.tensor(PELVIS_SMPLX, dtype=torch.float64)).cpu().numpy(),
        "flat_hand_mean": np.array(True),
        "fps": np.array(motion.fps),
        "time": np.asarray(motion.time, np.float64),
        "up_axis": np.array(up_axis),
        **_coefficients(motion, shape, 10),
    }
    save_npz(path, arrays)


def save_motion_ehm(
    path: str | Path,
    motion: Motion,
    proportions: Proportions | None = None,
    *,
    shape: BodyName | str = BodyName.OPEN,
) -> None:
    """Write a motion under the names of the EHM tracker, one array for all frames.

    Keys are ``smplx_coeffs/body_pose`` (N, 21, 3) and so on, ``flame_coeffs/jaw_params``, and
    the constants of the person (``smplx_shape``, ``head_scale``, ...) without a prefix. The
    tracker keeps the body at the origin of its camera's world and moves the camera instead:
    ``camera_RT_params`` (N, 3, 4), x left, y up, z forward.
    """
    params = motion.params
    to_camera = torch.diag(torch.tensor([-1.0, 1.0, -1.0], dtype=torch.float64))
    turned = torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64))
    rotations = params.rotations.detach().double().clone()
    rotations[:, 0] = turned @ to_camera @ rotations[:, 0]
    rest = torch.tensor(PELVIS_SMPLX, dtype=torch.float64)
    shift = params.transl.detach().double() @ to_camera - turned @ rest
    RT = torch.cat([turned.expand(len(shift), 3, 3), shift[..., None]], dim=-1)
    angles = matrix_to_axis_angle(rotations).cpu().numpy()
    count, zeros = len(angles), np.zeros
    coefficients = _coefficients(motion, shape, 200)
    person = proportions or Proportions.neutral()
    offsets = torch.zeros(NUM_JOINTS, 3) if person.joint_offsets is None else person.joint_offsets
    save_npz(
        path,
        {
            "smplx_coeffs/global_pose": angles[:, 0],
            "smplx_coeffs/body_pose": angles[:, PARAM_SLICES["body_pose"]],
            "smplx_coeffs/left_hand_pose": angles[:, PARAM_SLICES["left_hand_pose"]],
            "smplx_coeffs/right_hand_pose": angles[:, PARAM_SLICES["right_hand_pose"]],
            "smplx_coeffs/exp": _pad(coefficients.pop("expression"), 50),
            "smplx_coeffs/camera_RT_params": RT.cpu().numpy(),
            "flame_coeffs/expression_params": zeros((count, 50)),
            "flame_coeffs/jaw_params": angles[:, 22],
            "flame_coeffs/eye_pose_params": angles[:, 23:25].reshape(count, 6),
            "flame_coeffs/pose_params": zeros((count, 3)),
            "flame_coeffs/eyelid_params": zeros((count, 2)),
            "smplx_shape": _pad(coefficients.pop("betas"), 200)[None],
            "flame_shape": zeros((1, 300)),
            "head_scale": person.head_scale.detach().double().cpu().numpy().reshape(1, 3),
            "hand_scale": person.hand_scale.detach().double().cpu().numpy().reshape(1, 3),
            "joints_offset": offsets.detach().double().cpu().numpy().reshape(1, 55, 3),
            "fps": np.array(motion.fps),
            "time": np.asarray(motion.time, np.float64),
            **coefficients,
        },
    )


def save_joints_csv(path: str | Path, motion: Motion, body: BodyModel) -> None:
    """Write the posed joints as a table: seconds, then x, y, z in metres of each of the 55."""
    params = motion.params
    with torch.no_grad():
        posed = body.shape(params.betas).pose(params.rotations, params.transl)
    rows = posed.joints.detach().double().reshape(len(params.transl), -1).cpu().numpy()
    table = np.concatenate([np.asarray(motion.time, np.float64)[:, None], rows], axis=1)
    header = ",".join(["time", *(f"{name}_{axis}" for name in JOINT_NAMES for axis in "xyz")])
    with atomic_path(path) as temporary:
        np.savetxt(temporary, table, fmt="%.6f", delimiter=",", header=header, comments="")


def _coefficients(motion: Motion, shape: BodyName | str, count: int) -> dict[str, np.ndarray]:
    """``betas`` and ``expression`` as others understand them, and the open body's by its side."""
    betas = motion.params.betas.detach().double().cpu().numpy()
    expression = motion.params.expression.detach().double().cpu().numpy()
    if shape == BodyName.SMPLX:
        return {"betas": _pad(betas, count), "expression": expression}
    zeros = np.zeros((len(expression), 10))
    return {
        "betas": np.zeros(count),
        "expression": zeros,
        OWN_BETAS: betas,
        OWN_EXPRESSION: expression,
    }


def _pad(values: np.ndarray, count: int) -> np.ndarray:
    """(..., at least ``count``) with zeros behind."""
    missing = max(0, count - values.shape[-1])
    return np.concatenate([values, np.zeros((*values.shape[:-1], missing))], axis=-1)


def _in_file_axes(motion: Motion, up: UpAxis) -> tuple[Tensor, Tensor]:
    """Rotations (N, 55, 3, 3) and pelvis positions (N, 3) in the axes of a file."""
    T = to_y_up(up).T
    rotations = motion.params.rotations.detach().double().cpu().clone()
    rotations[:, 0] = T @ rotations[:, 0]
    return rotations, motion.params.transl.detach().double().cpu() @ T.T


def motion_arrays(
    motion: Motion, rotations: torch.Tensor, trans: torch.Tensor
) -> dict[str, np.ndarray]:
    """The AMASS keys of a motion for rotations (N, 55, 3, 3) and translations in file axes."""
    betas = motion.params.betas.detach().double().cpu().numpy()
    if betas.ndim != 1:
        raise ValueError(f"a motion has one shape, betas (S,); got {betas.shape}")
    poses = matrix_to_axis_angle(rotations.detach().double()).cpu().numpy()
    blocks = {name: poses[:, where].reshape(len(poses), -1) for name, where in PARAM_SLICES.items()}
    return {
        "poses": poses.reshape(len(poses), -1),
        "trans": trans.detach().double().cpu().numpy(),
        "betas": betas,
        "num_betas": np.array(len(betas)),
        "expression": motion.params.expression.detach().double().cpu().numpy(),
        "gender": np.array("neutral"),
        "surface_model_type": np.array("smplx"),
        "shape_space": np.array(SHAPE_SPACE if motion.is_of_open_body else motion.body),
        "mocap_frame_rate": np.array(motion.fps),
        "time": np.asarray(motion.time, np.float64),
        "root_orient": blocks["global_orient"],
        "pose_body": blocks["body_pose"],
        "pose_jaw": blocks["jaw_pose"],
        "pose_eye": np.concatenate([blocks["leye_pose"], blocks["reye_pose"]], axis=1),
        "pose_hand": np.concatenate([blocks["left_hand_pose"], blocks["right_hand_pose"]], axis=1),
    }
