"""An avatar, and motions for it, as the small files that the viewer loads.

Every number is stored as coarsely as parity allows: posed vertices stay within 0.05 mm of
Python's over the whole range of the sliders. Steps are chosen so that gzip does the rest.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.body import BodyModel, load_body
from pear_avatar.body.joints import JOINT_NAMES, PARENTS
from pear_avatar.geometry.rotations import matrix_to_quat_wxyz
from pear_avatar.types import Camera, Motion
from pear_avatar.viewer.schema import (
    AVATAR_FORMAT,
    MOTION_FORMAT,
    SCHEMA_VERSION,
    AvatarMeta,
    MotionMeta,
)
from pear_avatar.viewer.tensor_file import pack

#: Shape directions for the sliders; the first ten hold nearly all that can be seen.
NUM_SHAPES = 10

_UNIT = 65535
_EXPRESSION_STEP = 4e-6  # metres; facial actions reach coefficients of 6 over 50 directions
_SHAPE_STEP = 5e-5  # metres; smooth fields, never compared with anything
_I16 = 32767


def avatar_payload(avatar: Avatar, name: str, info: Mapping[str, str] | None = None) -> bytes:
    """The avatar file of the viewer.

    Args:
        avatar: on the CPU.
        name: what people call it.
        info: short facts to show beside it.
    """
    body, binding, splats = avatar.body, avatar.binding, avatar.splats
    joints, weights = _skinning(body.skin_joints, body.skin_weights)
    moved, deltas, scales = _expressions(body)
    shapes, shape_names = _shapes(body)
    opacity = torch.sigmoid(splats.logit_opacities)[:, None]
    quats = torch.nn.functional.normalize(splats.local_quats_wxyz, dim=-1)
    tensors = {
        "template.vertices": _numpy(body.v_template, np.float32),
        "template.faces": _index(body.faces, body.num_vertices),
        "template.joints": _numpy(body.joint_template, np.float32),
        "template.skin_joints": joints,
        "template.skin_weights": weights,
        "expression.vertices": moved,
        "expression.deltas": deltas,
        "expression.scales": scales,
        "arkit.coef": _numpy(body.arkit_coef, np.float32),
        "arkit.pose": _numpy(body.arkit_pose, np.float32),
        **shapes,
        "splat.face": _index(binding.face_index, len(body.faces)),
        "splat.barycentric": _quantise(binding.barycentric[:, 1:].clamp(0, 1), _UNIT, np.uint16),
        "splat.offsets": _numpy(splats.offsets, np.float16),
        "splat.quats": _quantise(quats, _I16, np.int16),
        "splat.scales": _numpy(splats.log_scales.exp() * 1000, np.float16),
        "splat.rgba": _quantise(torch.cat([splats.colors, opacity], 1).clamp(0, 1), 255, np.uint8),
    }
    meta = AvatarMeta(
        format=AVATAR_FORMAT,
        version=SCHEMA_VERSION,
        name=name,
        joint_names=JOINT_NAMES,
        parents=PARENTS,
        arkit_names=body.arkit_names,
        shape_names=shape_names,
        info=dict(info or {}),
    )
    return pack(tensors, meta)


def motion_payload(
    motion: Motion,
    name: str,
    *,
    source: str = "",
    camera: Camera | None = None,
    video_time: np.ndarray | None = None,
) -> bytes:
    """The motion file of the viewer.

    Args:
        motion: N frames, already fitted to the avatar that shall play it.
        name: what people call it.
        source: where it came from, in words.
        camera: batch of N cameras of the clip it was tracked in.
        video_time: (N,) seconds at which that clip shows each frame.
    """
    params = motion.params
    time = np.asarray(motion.time, np.float64)
    tensors = {
        "rotations": _numpy(matrix_to_quat_wxyz(params.rotations.double()), np.float32),
        "transl": _numpy(params.transl, np.float32),
        "time": (time - time[0]).astype(np.float32),
    }
    if bool((params.expression != 0).any()):
        tensors["expression"] = _numpy(params.expression, np.float32)
    if camera is not None:
        K, T = camera.K.double(), camera.T_camera_world
        columns = torch.stack([K[:, 0, 0], K[:, 1, 1], K[:, 0, 2], K[:, 1, 2]], 1)
        tensors["camera.K"] = _numpy(columns, np.float32)
        tensors["camera.T"] = _numpy(T[:, :3], np.float32)
    if video_time is not None:
        tensors["video_time"] = np.asarray(video_time, np.float32)
    width, height = (camera.width, camera.height) if camera is not None else (0, 0)
    meta = MotionMeta(
        format=MOTION_FORMAT, version=SCHEMA_VERSION, name=name, fps=round(motion.fps, 4), source=source, width=width, height=height
    )
    return pack(tensors, meta)


def payload_size(num_vertices: int, num_faces: int, num_splats: int, influences: int) -> int:
    """About how many bytes :func:`avatar_payload` returns, without making it.

    For a progress bar; the expressions' share is that of the open body.
    """
    return (
        num_vertices * (12 + 3 * influences + 6 * NUM_SHAPES)
        + num_faces * 6
        + num_splats * 30
        + 1_120_000
    )


def _skinning(joints: Tensor, weights: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Influences, largest first: joints (V, K) u8, weights (V, K) u16 with rows of 65535."""
    order = weights.argsort(dim=1, descending=True, stable=True)
    sorted_weights = weights.gather(1, order).double().numpy()
    q = np.round(sorted_weights / sorted_weights.sum(1, keepdims=True) * _UNIT).astype(np.int64)
    q[:, 0] += _UNIT - q.sum(1)
    chosen = np.where(q > 0, joints.gather(1, order).numpy(), 0)  # unused places pack better as 0
    return chosen.astype(np.uint8), q.astype(np.uint16)


def _expressions(body: BodyModel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices that any expression moves (M,), deltas (E, M, 3) i16 and their scales (E,)."""
    index, _ = body.expression_rows
    dirs = body.expression_dirs[index].permute(2, 0, 1).double().numpy()
    deltas, scales = _deltas(dirs, _EXPRESSION_STEP)
    return _index(index, body.num_vertices), deltas, scales


def _shapes(body: BodyModel) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Directions that change the person's shape, where the template is the open body's.

    An avatar's template has its own shape baked in and no basis left, but the rows of the basis
    are those of the body it came from: adding more of them goes on where the fit stopped.
    """
    base = load_body()
    if body.num_vertices != base.num_vertices or not torch.equal(body.faces, base.faces):
        return {}, ()
    dirs = base.shape_dirs[..., :NUM_SHAPES].permute(2, 0, 1).double().numpy()
    deltas, scales = _deltas(dirs, _SHAPE_STEP)
    joints = base.joint_shape_dirs[..., :NUM_SHAPES].permute(2, 0, 1)
    tensors = {
        "shape.deltas": deltas,
        "shape.scales": scales,
        "shape.joints": _numpy(joints, np.float32),
    }
    return tensors, tuple(f"Shape {k + 1}" for k in range(NUM_SHAPES))


def _deltas(dirs: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """(C, P, 3) metres -> i16 multiples and the metres of one (C,), ``step`` if it suffices."""
    reach = np.abs(dirs).max(axis=(1, 2), initial=0.0)
    scales = np.maximum(step, reach / _I16).astype(np.float32)
    return np.round(dirs / scales[:, None, None]).astype(np.int16), scales


def _index(values: Tensor, limit: int) -> np.ndarray:
    return _numpy(values, np.uint16 if limit <= 1 << 16 else np.uint32)


def _quantise(values: Tensor, unit: int, dtype: type) -> np.ndarray:
    rounded: np.ndarray = np.round(values.detach().double().cpu().numpy() * unit)
    return rounded.astype(dtype)


def _numpy(values: Tensor, dtype: type) -> np.ndarray:
    array: np.ndarray = values.detach().cpu().numpy().astype(dtype)
    return array
