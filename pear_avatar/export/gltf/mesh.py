"""The vertices of a body as glTF wants them: one vertex for each point of the texture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pear_avatar.body.model import BodyModel
from pear_avatar.export.gltf.document import INDICES, VERTICES, GltfDocument

__all__ = ["Influences", "MeshLayout", "skin_attributes", "skin_influences", "write_faces"]

Influences = Literal[4, 8]


@dataclass(frozen=True)
class MeshLayout:
    """Which body vertex each of M file vertices is; seams of the texture are split.

    vertex: (M,) int64 into the body's V vertices.
    uv:     (M, 2) float32, origin at the top left as in glTF; None for a body without texture.
    faces:  (F, 3) int64 into the M vertices.
    """

    vertex: np.ndarray
    uv: np.ndarray | None
    faces: np.ndarray

    @classmethod
    def of(cls, body: BodyModel) -> MeshLayout:
        """The layout of a body; vertices stay in the body's order."""
        faces = body.faces.cpu().numpy()
        if body.uv.shape[0] == 0 or body.uv_faces.shape != body.faces.shape:
            return cls(np.arange(body.num_vertices), None, faces)
        corners = np.stack([faces.ravel(), body.uv_faces.cpu().numpy().ravel()], axis=1)
        pairs, corner_pair = np.unique(corners, axis=0, return_inverse=True)
        uv = body.uv.cpu().numpy()[pairs[:, 1]].astype(np.float32)
        uv[:, 1] = 1 - uv[:, 1]  # the body counts v from the bottom of the picture
        return cls(pairs[:, 0], uv, corner_pair.reshape(faces.shape))


def skin_influences(body: BodyModel, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` strongest joints of each vertex, strongest first, and their weights.

    Returns (V, count) uint8 joints and float32 weights whose rows sum to 1; unused places are
    joint 0 with weight 0. Readers that stop after the first four get the best four.
    """
    joints = body.skin_joints.cpu().numpy()
    weights = body.skin_weights.detach().double().cpu().numpy()
    order = np.argsort(-weights, axis=1, kind="stable")[:, :count]
    joints, weights = np.take_along_axis(joints, order, 1), np.take_along_axis(weights, order, 1)
    missing = count - joints.shape[1]
    if missing > 0:
        joints, weights = (np.pad(a, ((0, 0), (0, missing))) for a in (joints, weights))
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return np.where(weights > 0, joints, 0).astype(np.uint8), weights


def skin_attributes(
    document: GltfDocument, body: BodyModel, layout: MeshLayout, influences: Influences
) -> dict[str, int]:
    """``JOINTS_n`` and ``WEIGHTS_n`` accessors, four influences in each set."""
    joints, weights = skin_influences(body, influences)
    attributes = {}
    for part in range(influences // 4):
        columns = slice(4 * part, 4 * part + 4)
        if part and not weights[:, columns].any():
            break
        for name, values in ((f"JOINTS_{part}", joints), (f"WEIGHTS_{part}", weights)):
            chosen = np.ascontiguousarray(values[layout.vertex, columns])
            attributes[name] = document.accessor(chosen, target=VERTICES)
    return attributes


def write_faces(document: GltfDocument, layout: MeshLayout) -> int:
    """The accessor of the triangles, in 16 bits where they suffice."""
    # The highest index of a type is reserved by the specification.
    small = len(layout.vertex) < np.iinfo(np.uint16).max
    flat = layout.faces.ravel().astype(np.uint16 if small else np.uint32)
    return document.accessor(flat, target=INDICES)
