"""The skeleton as nodes, and a motion as key frames on them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_NAMES, NUM_JOINTS
from pear_avatar.body.model import BodyModel
from pear_avatar.errors import MotionFileError
from pear_avatar.export.gltf.document import GltfDocument
from pear_avatar.geometry.rotations import matrix_to_quat_wxyz
from pear_avatar.types import Motion

__all__ = ["joint_names", "write_animation", "write_skeleton"]

#: Keys that differ by less than this (quaternion entries, metres, weights) count as one value.
_STILL = 1e-7


def joint_names(body: BodyModel) -> tuple[str, ...]:
    """The node names: SMPL-X's joint names, or numbers for another skeleton."""
    if body.num_joints == NUM_JOINTS:
        return JOINT_NAMES
    return tuple(f"joint_{i:02d}" for i in range(body.num_joints))


def write_skeleton(document: GltfDocument, body: BodyModel, joints: Tensor) -> int:
    """Nodes 0 to J - 1 in T-pose at ``joints`` (J, 3) metres, and their skin's index.

    Joint frames are aligned with the world at rest, as in SMPL-X, so local rotations are the
    body's own and an inverse bind matrix is a translation.
    """
    rest = joints.detach().double().cpu().numpy()
    children: list[list[int]] = [[] for _ in rest]
    for joint, parent in enumerate(body.parents):
        offset = rest[joint] - (rest[parent] if parent >= 0 else 0)
        if parent >= 0:
            children[parent].append(joint)
        document.add("nodes", {"translation": offset.tolist(), "name": joint_names(body)[joint]})
    for node, below in zip(document.root["nodes"], children, strict=True):
        if below:
            node["children"] = below
    inverse_bind = np.tile(np.eye(4, dtype=np.float32), (len(rest), 1, 1))
    inverse_bind[:, 3, :3] = -rest  # column by column: the last row here is the last column
    return document.add(
        "skins",
        {
            "joints": list(range(len(rest))),
            "skeleton": 0,
            "inverseBindMatrices": document.accessor(inverse_bind),
        },
    )


def write_animation(
    document: GltfDocument,
    body: BodyModel,
    betas: Tensor | None,
    motion: Motion,
    weights: np.ndarray,
    *,
    mesh_node: int,
) -> None:
    """Key frames of a motion, one for each of its frames, from time 0.

    Joints turn about their places at rest; the root also moves; ``weights`` (N, T) drive the
    morph targets of the mesh. Channels that would hold the rest pose throughout are left out.
    """
    time = (np.asarray(motion.time, np.float64) - motion.time[0]).astype(np.float32)
    if len(time) > 1 and not (np.diff(time) > 0).all():
        raise MotionFileError(f"times of {motion.name or 'the motion'} must increase at each frame")
    keys = _Keys(document, time)
    quats = _continuous_xyzw(motion.params.rotations)
    moves = _local_translations(body, betas, motion)
    rest = _rest_offsets(body, betas)
    for joint in range(body.num_joints):
        keys.channel(joint, "rotation", quats[:, joint], np.array([0, 0, 0, 1.0]))
        keys.channel(joint, "translation", moves[:, joint], rest[joint])
    if weights.shape[1]:
        keys.channel(mesh_node, "weights", weights, np.zeros(weights.shape[1]))
    if keys.channels:
        document.add(
            "animations",
            {
                "name": motion.name or "motion",
                "channels": keys.channels,
                "samplers": keys.samplers,
            },
        )


class _Keys:
    """Channels of one animation over shared key times."""

    def __init__(self, document: GltfDocument, time: np.ndarray) -> None:
        self.channels: list[dict[str, object]] = []
        self.samplers: list[dict[str, object]] = []
        self._document = document
        self._time = time
        self._inputs: dict[int, int] = {}

    def channel(self, node: int, path: str, values: np.ndarray, rest: np.ndarray) -> None:
        """Keys (N, C) of one property of a node whose value at rest is ``rest`` (C,)."""
        still = np.abs(values - values[:1]).max() < _STILL
        if still and np.abs(values[0] - rest).max() < _STILL:
            return
        ends = len(values) if not still else min(2, len(values))
        rows = values if not still else values[:ends]
        flat = rows.astype(np.float32)
        output = self._document.accessor(flat.ravel() if path == "weights" else flat)
        self.samplers.append(
            {"input": self._input(ends), "output": output, "interpolation": "LINEAR"}
        )
        target = {"node": node, "path": path}
        self.channels.append({"sampler": len(self.samplers) - 1, "target": target})

    def _input(self, count: int) -> int:
        """The accessor of all key times, or of the first and the last."""
        if count not in self._inputs:
            full = count == len(self._time)
            time = self._time if full else self._time[[0, -1]]
            self._inputs[count] = self._document.accessor(time, bounds=True)
        return self._inputs[count]


def _continuous_xyzw(rotations: Tensor) -> np.ndarray:
    """(N, J, 3, 3) -> (N, J, 4) quaternions x y z w, each in the half space of the one before.

    Readers blend neighbouring keys as they are; a flipped sign would turn the long way round.
    """
    quats = matrix_to_quat_wxyz(rotations.detach().double().cpu()).numpy()
    flips = (quats[1:] * quats[:-1]).sum(-1) < 0
    signs = np.where(np.cumsum(flips, axis=0) % 2, -1.0, 1.0)
    quats[1:] *= signs[..., None]
    return np.roll(quats, -1, axis=-1)


def _rest_offsets(body: BodyModel, betas: Tensor | None) -> np.ndarray:
    """(J, 3) metres of each joint from its parent at rest."""
    joints = body.shape(betas).joints.detach().double().cpu().numpy()
    parents = np.array(body.parents)
    joints[1:] -= joints[parents[1:]]
    return joints


def _local_translations(body: BodyModel, betas: Tensor | None, motion: Motion) -> np.ndarray:
    """(N, J, 3) each node's translation: where skinning carries the point at the rest joint.

    On a body whose joints move with the expression that point is not quite the joint; the bind
    matrices are those of the neutral face, and this keeps the skin exactly where it should be.
    """
    params = motion.params
    offsets = torch.from_numpy(_rest_offsets(body, betas))
    local = offsets.expand(params.num_frames, -1, -1).clone()
    local[:, 0] += params.transl.detach().double().cpu()
    if not bool(body.joint_expression_dirs.any()):
        return local.numpy()
    joints = body.shape(betas).joints
    posed = body.shape(betas, params.expression).pose(params.rotations, params.transl)
    T = posed.rest_to_posed
    world = (T[..., :3] @ joints[..., None] + T[..., 3:]).squeeze(-1)
    parents = list(body.parents[1:])
    turn = T[:, parents, :, :3].transpose(-1, -2)
    moved = turn @ (world[:, 1:] - world[:, parents])[..., None]
    local[:, 0] = world[:, 0].detach().double().cpu()
    local[:, 1:] = moved.squeeze(-1).detach().double().cpu()
    return local.numpy()
