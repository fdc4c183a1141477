"""The EHM tracker's dictionaries: SMPL-X for the body, FLAME for the face, the clip's camera.

``smplx_coeffs`` hold body and hands, ``flame_coeffs`` jaw, eyes and eyelids; the body stands at
the origin of a world that ``camera_RT_params`` carries to the camera (x left, y up, z forward).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pear_avatar.motion.formats.arrays import PoseArrays
from pear_avatar.motion.formats.axes import PELVIS_SMPLX
from pear_avatar.motion.formats.content import Content, open_content
from pear_avatar.motion.formats.encodings import read_rotations
from pear_avatar.motion.formats.face import set_face, with_face
from pear_avatar.motion.formats.format import Format, MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.formats.smpl import (
    SmplPoses,
    fill,
    hand_angles,
    has_own_shape,
    identity,
    motion_of_poses,
)
from pear_avatar.types import Proportions

#: Where the tracker keeps what does not change from frame to frame, and its names there.
_SHARED_FILE = "id_share_params.pkl"
_SHARED_NAMES = ("head_scale", "hand_scale", "joints_offset", "smplx_shape", "flame_shape")
_CAMERA = "smplx_coeffs/camera_RT_params"


def sniff(content: Content) -> bool:
    """Whether there are the tracker's coefficients of a body."""
    return "smplx_coeffs/body_pose" in content.arrays


def read(content: Content, options: ReadOptions) -> MotionFile:
    """The motion and the person's proportions.

    ``up_axis`` is the one that is up after the camera has been applied; by default it is seen
    from the body. Eyelids become blinks of the open body.
    """
    arrays = _with_shared(content)
    body = read_rotations(arrays, "smplx_coeffs/body_pose", 21)
    count = len(body)
    rotations = identity(count)
    fill(rotations, "body_pose", body)
    if "smplx_coeffs/global_pose" in arrays:
        root = read_rotations(arrays, "smplx_coeffs/global_pose", 1, count)
        fill(rotations, "global_orient", root)
    for name in ("left_hand_pose", "right_hand_pose"):
        key = f"smplx_coeffs/{name}"
        if key in arrays:
            fill(rotations, name, hand_angles(arrays, key, options.hands, count))
    set_face(arrays, rotations)
    pelvis = torch.tensor(PELVIS_SMPLX, dtype=torch.float64).expand(count, 3)
    if _CAMERA in arrays:
        RT = _camera(arrays, count)
        rotations[:, 0] = RT[:, :, :3] @ rotations[:, 0]
        pelvis = (RT[:, :, :3] @ pelvis[..., None])[..., 0] + RT[:, :, 3]
    poses = SmplPoses(rotations, pelvis.numpy(), (0.0, 0.0, 0.0))
    motion = motion_of_poses(arrays, poses, options, betas_keys=(), expression_keys=())
    return MotionFile(
        with_face(arrays, motion, options.keep_coefficients),
        FORMAT.name,
        proportions=_proportions(arrays, options),
        own_shape=has_own_shape(arrays, options.keep_coefficients),
    )


def _with_shared(content: Content) -> PoseArrays:
    """The frames together with the constants of the person that the tracker keeps apart."""
    shared = content.path.with_name(_SHARED_FILE)
    if content.path.is_dir():
        shared = content.path / _SHARED_FILE
    if content.path.suffix.lower() != ".pkl" or not shared.is_file():
        return content.arrays
    found = open_content(shared)[0].arrays
    known = {key: found.arrays[key] for key in _SHARED_NAMES if key in found}
    return content.arrays.with_arrays({**known, **content.arrays.arrays})


def _proportions(arrays: PoseArrays, options: ReadOptions) -> Proportions | None:
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


def _camera(arrays: PoseArrays, count: int) -> Tensor:
    """(N, 3, 4) world to camera, with the camera's axes turned to x right, y up, z back."""
    RT = arrays.numbers(_CAMERA)
    if RT.shape not in ((3, 4), (count, 3, 4)):
        raise arrays.error(f"{_CAMERA} must have shape ({count}, 3, 4), got {RT.shape}")
    R = RT[..., :3]
    if np.abs(R @ np.swapaxes(R, -1, -2) - np.eye(3)).max() > 1e-3 or np.linalg.det(R).min() < 0:
        raise arrays.error(f"{_CAMERA} must hold rotations in its first three columns")
    flip = torch.diag(torch.tensor([-1.0, 1.0, -1.0], dtype=torch.float64))
    return flip @ torch.from_numpy(RT).expand(count, 3, 4)


FORMAT = Format(
    name="ehm",
    files="the EHM tracker's pkl (with `id_share_params.pkl` beside it), pt or npz, or its folder",
    notes="body and hands of SMPL-X, jaw, eyes and eyelids of FLAME, the camera, the person's "
    "scales",
    endings=(".pkl", ".pt", ".npz"),
    sniff=sniff,
    read=read,
    rank=20,
)
