"""Motions in and out of the files that people have: AMASS, SMPL-X names, BVH, our own tracks.

Every reader returns a :class:`~pear_avatar.types.Motion` in this package's world: metres, y up,
``transl`` the position of the pelvis on a body whose rest pelvis lies at the origin.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from pear_avatar.body.joints import NUM_JOINTS, PARAM_SLICES
from pear_avatar.data.npz import save_npz
from pear_avatar.data.pose_arrays import PoseArrays, PoseFileError, read_pose_arrays
from pear_avatar.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from pear_avatar.types import BodyParams, Motion

__all__ = ["SHAPE_SPACE", "PoseFileError", "UpAxis", "load_motion", "save_motion_amass"]

logger = logging.getLogger(__name__)

UpAxis = Literal["y", "z", "-y"]

#: Written into our files: betas and expression are those of the open body.
SHAPE_SPACE = "open_body"

#: Columns of AMASS ``poses`` -> how many leading joints and hands they hold.
_AMASS_WIDTHS = {66: "SMPL body", 72: "SMPL", 156: "SMPL-H", 165: "SMPL-X"}

#: Where the pelvis of the average SMPL-H and SMPL-X body rests in metres, to 2 cm: their
#: ``trans`` moves the model's origin, ours the pelvis.
_PELVIS_SMPLH = (-0.002, -0.241, 0.029)
_PELVIS_SMPLX = (0.003, -0.351, 0.012)

#: World axes of a file -> ours, by which of its axes points up; "-y" are camera axes.
_TO_Y_UP: dict[str, list[list[float]]] = {
    "y": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "z": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "-y": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
}


def load_motion(
    path: str | Path,
    *,
    up_axis: UpAxis | None = None,
    rest_joints: np.ndarray | None = None,
    keep_coefficients: bool = False,
) -> Motion:
    """Read a motion from a ``.npz`` or ``.bvh`` file.

    Args:
        path: our own track, AMASS (SMPL, SMPL-H, SMPL-X), SMPL-X parameter names, or BVH.
        up_axis: which axis of the file points up, where the file itself does not say; by
            default z for AMASS, and for SMPL-X names whichever the body's own up follows
            ("-y" are the camera axes that many trackers write).
        rest_joints: (55, 3) rest joints in metres that a BVH is fitted to; the open body's by
            default.
        keep_coefficients: betas and expression mean something only on the body they were made
            for. Those of another body become zeros, unless this is true.

    Raises:
        FileNotFoundError: there is no such file.
        PoseFileError: the file cannot be used; one line says why and what to do.
    """
    path = Path(path)
    if path.suffix.lower() == ".bvh":
        return _load_bvh_motion(path, rest_joints)
    arrays = read_pose_arrays(path)
    amass_like = "poses" in arrays or ("pose_body" in arrays and "root_orient" in arrays)
    if not amass_like and "body_pose" not in arrays:
        raise arrays.error(
            "no poses found: expected AMASS ('poses', 'trans') or SMPL-X names ('body_pose', "
            f"'global_orient', ...), got {', '.join(sorted(arrays.arrays)[:12])}"
        )
    poses, pelvis = _amass_poses(arrays) if amass_like else _smplx_poses(arrays)
    transl = _translation(arrays, len(poses), pelvis)
    rotations = axis_angle_to_matrix(torch.from_numpy(poses).reshape(-1, NUM_JOINTS, 3))
    up = _up_axis(arrays, up_axis, rotations[:, 0], amass_like)
    T = torch.tensor(_TO_Y_UP[up], dtype=torch.float64)
    rotations[:, 0] = T @ rotations[:, 0]
    own = arrays.text("shape_space", "") == SHAPE_SPACE
    betas, expression = _coefficients(arrays, len(poses), own or keep_coefficients)
    params = BodyParams(
        torch.from_numpy(betas).float(),
        torch.from_numpy(expression).float(),
        rotations.float(),
        (torch.from_numpy(transl) @ T.T).float(),
    )
    return Motion(params, _times(arrays, len(poses)), path.name)


def save_motion_amass(path: str | Path, motion: Motion) -> None:
    """Write a motion as AMASS does for SMPL-X: z up, ``poses`` (N, 165), ``trans``, ``betas``.

    The whole file appears at once or not at all.
    """
    to_z_up = torch.tensor(_TO_Y_UP["z"], dtype=torch.float64).T
    rotations = motion.params.rotations.detach().double().clone()
    rotations[:, 0] = to_z_up @ rotations[:, 0]
    trans = motion.params.transl.detach().double() @ to_z_up.T - torch.tensor(_PELVIS_SMPLX)
    save_npz(path, {**motion_arrays(motion, rotations, trans), "up_axis": np.array("z")})


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
        "shape_space": np.array(SHAPE_SPACE),
        "mocap_frame_rate": np.array(motion.fps),
        "time": np.asarray(motion.time, np.float64),
        "root_orient": blocks["global_orient"],
        "pose_body": blocks["body_pose"],
        "pose_jaw": blocks["jaw_pose"],
        "pose_eye": np.concatenate([blocks["leye_pose"], blocks["reye_pose"]], axis=1),
        "pose_hand": np.concatenate([blocks["left_hand_pose"], blocks["right_hand_pose"]], axis=1),
    }


def _load_bvh_motion(path: Path, rest_joints: np.ndarray | None) -> Motion:
    from pear_avatar.body import load_body
    from pear_avatar.data.bvh import load_bvh
    from pear_avatar.data.retarget import retarget

    source = load_bvh(path)
    sole_height = None
    if rest_joints is None:
        body = load_body()
        rest_joints, sole_height = body.joint_template.numpy(), float(body.v_template[:, 1].min())
    motion, report = retarget(source, rest_joints, sole_height=sole_height)
    logger.info("%s: %s", path.name, report.summary())
    return motion


def _amass_poses(arrays: PoseArrays) -> tuple[np.ndarray, tuple[float, float, float]]:
    """(N, 165) axis-angle and the rest pelvis of the body the file was made with."""
    if "poses" not in arrays:
        missing = [name for name in ("root_orient", "pose_body") if name not in arrays]
        if missing:
            raise arrays.error(f"lacks {', '.join(missing)}")
        return _amass_blocks(arrays), _PELVIS_SMPLX
    shape = arrays.arrays["poses"].shape
    width = int(np.prod(shape[1:])) if len(shape) > 1 else 0
    if width not in _AMASS_WIDTHS:
        known = ", ".join(f"(N, {w}) {name}" for w, name in _AMASS_WIDTHS.items())
        raise arrays.error(f"poses must have shape {known}; got {shape}")
    poses = arrays.angles("poses", width)
    out = np.zeros((len(poses), NUM_JOINTS * 3))
    if width == 165:
        return poses, _PELVIS_SMPLX
    out[:, :66] = poses[:, :66]  # SMPL's joints 22 and 23 are the whole hands: left flat
    if width == 156:
        out[:, 75:165] = poses[:, 66:156]
    return out, _PELVIS_SMPLH


def _amass_blocks(arrays: PoseArrays) -> np.ndarray:
    body = arrays.angles("pose_body", 63)
    out = np.zeros((len(body), NUM_JOINTS * 3))
    columns = {"root_orient": (0, 3), "pose_jaw": (66, 69), "pose_eye": (69, 75)}
    columns |= {"pose_body": (3, 66), "pose_hand": (75, 165)}
    for name, (start, stop) in columns.items():
        if name in arrays:
            out[:, start:stop] = arrays.angles(name, stop - start, len(body))
    return out


def _smplx_poses(arrays: PoseArrays) -> tuple[np.ndarray, tuple[float, float, float]]:
    body = arrays.angles("body_pose", 63)
    out = np.zeros((len(body), NUM_JOINTS, 3))
    for name, where in PARAM_SLICES.items():
        if name not in arrays:
            continue
        width = 3 * (where.stop - where.start)
        found = arrays.arrays[name].shape
        if name.endswith("hand_pose") and found and found[-1] not in (3, width):
            raise arrays.error(
                f"{name} has shape {found}: these look like principal components of the hand, "
                "which need the model they were made with; export full poses (N, 45)"
            )
        values = arrays.angles(name, width, len(body))
        out[:, where] = values.reshape(len(body), -1, 3)
    return out.reshape(len(body), -1), _PELVIS_SMPLX


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
        said = arrays.text("up_axis", "")
        for axis in ("y", "z", "-y"):
            if said == axis:
                return axis
        raise arrays.error(f"up_axis must be one of y, z, -y; got {said!r}")
    if wanted is not None:
        if wanted not in _TO_Y_UP:
            raise ValueError(f"up_axis must be one of y, z, -y; got {wanted!r}")
        return wanted
    if amass_like:
        return "z"
    up = root[:, :, 1].mean(0)  # where the body's own up points, on average
    strongest = int(up.abs().argmax())
    found: UpAxis = "y"
    if strongest == 2 and up[2] > 0.5:
        found = "z"
    elif strongest == 1 and up[1] < -0.5:
        found = "-y"
    logger.info("%s: the body stands along %s of the file", arrays.name, found)
    return found


def _coefficients(arrays: PoseArrays, count: int, keep: bool) -> tuple[np.ndarray, np.ndarray]:
    """betas (S,) and expression (N, E)."""
    betas, expression = np.zeros(10), np.zeros((count, 10))
    if not keep:
        if "betas" in arrays or "expression" in arrays:
            logger.info("%s: betas and expression belong to another body; left out", arrays.name)
        return betas, expression
    if "betas" in arrays:
        found = arrays.numbers("betas")
        if found.ndim not in (1, 2) or found.size == 0:
            raise arrays.error(f"betas must have shape (S,) or (N, S), got {found.shape}")
        betas = found if found.ndim == 1 else np.median(found, axis=0)
    if "expression" in arrays:
        found = arrays.numbers("expression")
        found = found[None] if found.ndim == 1 else found
        if found.ndim != 2 or found.shape[1] == 0:
            raise arrays.error(f"expression must have shape (N, E), got {found.shape}")
        arrays.check_count("expression", len(found), count)
        expression = found
    return betas, expression


def _times(arrays: PoseArrays, count: int) -> np.ndarray:
    if "time" not in arrays:
        return np.arange(count) / arrays.frame_rate()
    time = arrays.numbers("time")
    if time.shape != (count,) or (np.diff(time) <= 0).any():
        raise arrays.error(
            f"time must be ({count},) increasing seconds, got shape {time.shape}"
            + (" with steps back" if time.shape == (count,) else "")
        )
    return time
