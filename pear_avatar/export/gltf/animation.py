"""The skeleton as nodes, and a motion as key frames on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.errors import MotionFileError
from pear_avatar.export.gltf.document import GltfDocument
from pear_avatar.export.rig import Rig, root_path
from pear_avatar.geometry.rotations import matrix_to_quat_wxyz
from pear_avatar.types import Motion

__all__ = ["JointKeys", "SkeletonNodes", "joint_keys", "write_animation", "write_skeleton"]

#: Keys that differ by less than this (quaternion entries, metres, weights) count as one value.
_STILL = 1e-7


@dataclass(frozen=True)
class SkeletonNodes:
    """Where a skeleton lies in a document: the nodes of its J joints and of its root, its skin."""

    joints: tuple[int, ...]
    root: int | None
    skin: int

    @property
    def top(self) -> int:
        """The node that all others hang from."""
        return self.joints[0] if self.root is None else self.root


def write_skeleton(document: GltfDocument, rig: Rig) -> SkeletonNodes:
    """Write a node for each joint at rest, after that of the root where there is one."""
    root = None if rig.root is None else document.add("nodes", {"name": rig.root})
    joints = []
    for name, offset, turn in zip(
        rig.names, rig.local_offsets, _quats_xyzw(rig.local_rotations), strict=True
    ):
        node = {"translation": offset.tolist(), "name": name}
        if rig.root is not None:
            node["rotation"] = turn.tolist()
        joints.append(document.add("nodes", node))
    for joint, parent in zip(joints, rig.parents, strict=True):
        above = root if parent < 0 else joints[parent]
        if above is not None:
            document.root["nodes"][above].setdefault("children", []).append(joint)
    bound = np.linalg.inv(rig.world)
    skinned = list(joints)
    if root is not None:  # last, so that the vertices' indices are those of the body's joints
        skinned.append(root)
        bound = np.concatenate([bound, np.eye(4)[None]])
    columns = np.ascontiguousarray(bound.transpose(0, 2, 1)).astype(np.float32)
    columns[:, :3, 3] = 0  # readers want these four exactly
    columns[:, 3, 3] = 1
    skin = {"joints": skinned, "skeleton": skinned[-1] if root is not None else joints[0]}
    skin["inverseBindMatrices"] = document.accessor(columns)
    return SkeletonNodes(tuple(joints), root, document.add("skins", skin))


@dataclass(frozen=True)
class JointKeys:
    """A motion of N frames on a rig of J joints.

    time:         (N,) float32 seconds from 0.
    rotations:    (N, J, 3, 3) in the parent's axes.
    translations: (N, J, 3) metres in the parent's axes.
    root:         (N, 3) metres, or None where the root rests or there is none.
    """

    time: np.ndarray
    rotations: np.ndarray
    translations: np.ndarray
    root: np.ndarray | None

    @property
    def quats_xyzw(self) -> np.ndarray:
        """(N, J, 4), each in the half space of the one before.

        Readers blend neighbouring keys as they are; a flipped sign would turn the long way round.
        """
        quats = _quats_xyzw(self.rotations)
        flips = (quats[1:] * quats[:-1]).sum(-1) < 0
        signs = np.where(np.cumsum(flips, axis=0) % 2, -1.0, 1.0)
        quats[1:] *= signs[..., None]
        return quats


def joint_keys(rig: Rig, body: BodyModel, betas: Tensor | None, motion: Motion) -> JointKeys:
    """Key frames of a motion, one for each of its frames, from time 0.

    Joints turn about their places at rest; only the root and the pelvis also move.
    """
    time = (np.asarray(motion.time, np.float64) - motion.time[0]).astype(np.float32)
    if len(time) > 1 and not (np.diff(time) > 0).all():
        raise MotionFileError(f"times of {motion.name or 'the motion'} must increase at each frame")
    path = root_path(rig, body, betas, motion)
    moves = _local_translations(rig, body, betas, motion)
    moves[:, 0] += path.pelvis
    return JointKeys(time, rig.turned(motion.params.rotations), moves, path.root)


def write_animation(
    document: GltfDocument,
    rig: Rig,
    nodes: SkeletonNodes,
    keys: JointKeys,
    weights: np.ndarray,
    *,
    mesh_node: int,
    name: str,
) -> None:
    """Write one animation; ``weights`` (N, T) drive the morph targets of the mesh.

    Channels that would hold the rest pose throughout are left out.
    """
    channels = _Channels(document, keys.time)
    if keys.root is not None and nodes.root is not None:
        channels.add(nodes.root, "translation", keys.root, np.zeros(3))
    turned, offsets = _quats_xyzw(rig.local_rotations), rig.local_offsets
    quats = keys.quats_xyzw
    for joint, node in enumerate(nodes.joints):
        channels.add(node, "rotation", quats[:, joint], turned[joint])
        channels.add(node, "translation", keys.translations[:, joint], offsets[joint])
    if weights.shape[1]:
        channels.add(mesh_node, "weights", weights, np.zeros(weights.shape[1]))
    if channels.channels:
        animation = {"name": name, "channels": channels.channels, "samplers": channels.samplers}
        document.add("animations", animation)


class _Channels:
    """Channels of one animation over shared key times."""

    def __init__(self, document: GltfDocument, time: np.ndarray) -> None:
        self.channels: list[dict[str, object]] = []
        self.samplers: list[dict[str, object]] = []
        self._document = document
        self._time = time
        self._inputs: dict[int, int] = {}

    def add(self, node: int, path: str, values: np.ndarray, rest: np.ndarray) -> None:
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


def _quats_xyzw(rotations: np.ndarray) -> np.ndarray:
    quats = matrix_to_quat_wxyz(torch.from_numpy(np.ascontiguousarray(rotations))).numpy()
    return np.roll(quats, -1, axis=-1)


def _local_translations(
    rig: Rig, body: BodyModel, betas: Tensor | None, motion: Motion
) -> np.ndarray:
    """(N, J, 3) each node's translation: where skinning carries the point at the rest joint.

    That of the pelvis is only what the expression adds to its place. On a body whose joints move
    with the expression that point is not quite the joint; the bind matrices are those of the
    neutral face, and this keeps the skin exactly where it should be.
    """
    params = motion.params
    local = np.tile(rig.local_offsets, (params.num_frames, 1, 1))
    local[:, 0] = 0
    if not bool(body.joint_expression_dirs.any()):
        return local
    joints = body.shape(betas).joints
    posed = body.shape(betas, params.expression).pose(params.rotations, params.transl)
    T = posed.rest_to_posed
    world = (T[..., :3] @ joints[..., None] + T[..., 3:]).squeeze(-1)
    parents = list(body.parents[1:])
    turn = T[:, parents, :, :3].transpose(-1, -2)
    moved = turn @ (world[:, 1:] - world[:, parents])[..., None]
    offsets = torch.cat([world[:, :1] - joints[0] - params.transl[:, None], moved[..., 0]], 1)
    return rig.in_parent(offsets.detach().double().cpu().numpy())
