"""The viewer worker's arithmetic in NumPy, from the viewer's own files: float32 throughout."""

from __future__ import annotations

from typing import Any

import numpy as np

_F = np.float32


def quats_to_matrices(quats_wxyz: np.ndarray) -> np.ndarray:
    w, x, y, z = np.moveaxis(quats_wxyz.astype(_F), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2).astype(_F)


def rest_vertices(tensors: dict[str, np.ndarray], expression: np.ndarray) -> np.ndarray:
    """(V, 3) template plus expression."""
    rest = tensors["template.vertices"].copy()
    count = len(expression)
    weights = expression.astype(_F) * tensors["expression.scales"][:count]
    deltas = tensors["expression.deltas"][:count].astype(_F)
    rest[tensors["expression.vertices"]] += np.tensordot(weights, deltas, 1)
    return rest


def posed_vertices(
    tensors: dict[str, np.ndarray],
    meta: dict[str, Any],
    quats_wxyz: np.ndarray,
    transl: np.ndarray,
    expression: np.ndarray,
) -> np.ndarray:
    """(V, 3) by forward kinematics and linear blend skinning."""
    joints, parents = tensors["template.joints"], meta["parents"]
    local = quats_to_matrices(quats_wxyz)
    rotation = np.empty((len(parents), 3, 3), _F)
    place = np.empty((len(parents), 3), _F)
    for j, parent in enumerate(parents):
        if parent < 0:
            rotation[j], place[j] = local[j], joints[j]
        else:
            rotation[j] = rotation[parent] @ local[j]
            place[j] = rotation[parent] @ (joints[j] - joints[parent]) + place[parent]
    shift = place - np.einsum("jab,jb->ja", rotation, joints) + transl.astype(_F)
    rest = rest_vertices(tensors, expression)
    out = np.zeros_like(rest)
    for k in range(tensors["template.skin_joints"].shape[1]):
        joint = tensors["template.skin_joints"][:, k]
        weight = tensors["template.skin_weights"][:, k].astype(_F) / _F(65535)
        moved = np.einsum("vab,vb->va", rotation[joint], rest) + shift[joint]
        out += weight[:, None] * moved
    return out


def splats_at(
    tensors: dict[str, np.ndarray], vertices: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Centres (N, 3) and the matrices (N, 3, 3) whose squares are the splats' covariances."""
    corners = vertices[tensors["template.faces"][tensors["splat.face"]].astype(np.int64)]
    a, b, c = np.moveaxis(corners, 1, 0)
    bary = tensors["splat.barycentric"].astype(_F) / _F(65535)
    e = _unit(b - a)
    n = _unit(np.cross(b - a, c - a))
    frame = np.stack([e, np.cross(n, e), n], -1)
    means = a + bary[:, :1] * (b - a) + bary[:, 1:] * (c - a)
    means = means + np.einsum("nab,nb->na", frame, tensors["splat.offsets"].astype(_F))
    local = quats_to_matrices(tensors["splat.quats"].astype(_F) / _F(32767))
    return means, frame @ (local * (tensors["splat.scales"].astype(_F) / 1000)[:, None, :])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
