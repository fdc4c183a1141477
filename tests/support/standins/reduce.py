"""Fewer vertices without moving any: half-edge collapse of a triangle mesh.

A vertex that goes is merged into a neighbour, so every vertex that stays keeps its place and all
that is known about it (skinning weights, shape directions) exactly.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

__all__ = ["boundary_loops", "collapse_to", "fill_ears", "remove_faces"]

_MIN_FACING = 0.2
_LENGTH_SHARE = 1e-3


def collapse_to(
    vertices: np.ndarray, faces: np.ndarray, keep: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Collapse until ``count`` vertices are left.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3), a manifold mesh.
        keep: (V,) bool, vertices that must stay; those on a boundary stay as well.
        count: vertices wanted.

    Returns:
        (count,) indices of the vertices that stay, sorted, and (F', 3) faces in old indices.

    Raises ValueError where the kept vertices leave no way to reach ``count``.
    """
    alive = np.ones(len(vertices), bool)
    keep = keep | _on_boundary(faces, len(vertices))
    while alive.sum() > count:
        sources, targets = _cheapest(vertices, faces, alive & ~keep)
        faces, gone = _collapse_round(vertices, faces, sources, targets, int(alive.sum()) - count)
        if not len(gone):
            raise ValueError(f"no further vertex can go: {alive.sum()} left, {count} wanted")
        alive[gone] = False
    return np.nonzero(alive)[0], faces


def remove_faces(faces: np.ndarray, candidates: np.ndarray, count: int) -> np.ndarray:
    """Take ``count`` faces out of the mesh, from ``candidates`` (C,), no vertex losing its last."""
    degree = np.bincount(faces.reshape(-1))
    gone: list[int] = []
    for face in candidates:
        if len(gone) == count:
            break
        if (degree[faces[face]] > 2).all():
            degree[faces[face]] -= 1
            gone.append(face)
    if len(gone) < count:
        raise ValueError(f"only {len(gone)} of {count} faces can be removed")
    return np.delete(faces, gone, axis=0)


def fill_ears(vertices: np.ndarray, faces: np.ndarray, count: int) -> np.ndarray:
    """Add ``count`` triangles across neighbouring boundary edges, the smallest first."""
    loop = max(boundary_loops(faces), key=len)
    added = []
    for _ in range(count):
        before, after = np.roll(loop, 1), np.roll(loop, -1)
        a, b, c = vertices[before], vertices[loop], vertices[after]
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        i = int(area.argmin())
        # Boundary edges run against the faces that they close.
        added.append([before[i], after[i], loop[i]])
        loop = np.delete(loop, i)
    return np.concatenate([faces, np.array(added, faces.dtype).reshape(-1, 3)])


def boundary_loops(faces: np.ndarray) -> list[np.ndarray]:
    """Closed loops of boundary vertices, each in the direction of its faces' own edges."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    key = edges.min(1) * (int(faces.max()) + 1) + edges.max(1)
    _, first, times = np.unique(key, return_index=True, return_counts=True)
    following = {int(a): int(b) for a, b in edges[first[times == 1]]}
    loops = []
    while following:
        start, nxt = following.popitem()
        loop = [start]
        while nxt != start:
            loop.append(nxt)
            nxt = following.pop(nxt)
        loops.append(np.array(loop))
    return loops


def _on_boundary(faces: np.ndarray, size: int) -> np.ndarray:
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    unique, times = np.unique(edges, axis=0, return_counts=True)
    mask = np.zeros(size, bool)
    mask[unique[times == 1]] = True
    return mask


def _cheapest(
    vertices: np.ndarray, faces: np.ndarray, movable: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Each movable vertex and the neighbour it may best merge into, cheapest first.

    The cost is the quadric error of Garland and Heckbert, "Surface simplification using quadric
    error metrics", 1997, at the neighbour's place, plus a little for the edge's length.
    """
    a, b, c = vertices[faces].transpose(1, 0, 2)
    cross = np.cross(b - a, c - a)
    area = np.linalg.norm(cross, axis=1)
    planes = cross[:, :, None] * cross[:, None] / np.maximum(area, 1e-12)[:, None, None]
    quadric = np.zeros((len(vertices), 3, 3))
    weight = np.zeros(len(vertices))
    for corner in range(3):
        np.add.at(quadric, faces[:, corner], planes)
        np.add.at(weight, faces[:, corner], area)
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    edges = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    edges = edges[movable[edges[:, 0]]]
    step = vertices[edges[:, 1]] - vertices[edges[:, 0]]
    cost = np.einsum("ni,nij,nj->n", step, quadric[edges[:, 0]], step)
    cost += _LENGTH_SHARE * weight[edges[:, 0]] * (step**2).sum(1)
    order = np.argsort(cost, kind="stable")
    _, first = np.unique(edges[order, 0], return_index=True)
    chosen = order[np.sort(first)]
    return edges[chosen, 0], edges[chosen, 1]


def _collapse_round(
    vertices: np.ndarray, faces: np.ndarray, sources: np.ndarray, targets: np.ndarray, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Collapse up to ``most`` edges that do not touch each other's neighbourhood."""
    size = len(vertices)
    corner = sparse.csr_matrix(
        (np.ones(faces.size), (faces.reshape(-1), np.arange(len(faces)).repeat(3))),
        (size, len(faces)),
    )
    starts, face_of = corner.indptr, corner.indices
    busy = np.zeros(size, bool)
    merged = np.arange(size)
    gone: list[int] = []
    # Only the cheaper part of a round is taken, so that costs stay up to date.
    most = min(most, max(1, len(sources) // 4))
    for source, target in zip(sources.tolist(), targets.tolist(), strict=True):
        if len(gone) == most:
            break
        around = faces[face_of[starts[source] : starts[source + 1]]]
        if busy[around].any():
            continue
        beyond = faces[face_of[starts[target] : starts[target + 1]]]
        shared = set(around.reshape(-1).tolist()) & set(beyond.reshape(-1).tolist())
        if len(shared - {source, target}) != 2:  # the link condition: stay manifold
            continue
        stays = around[~(around == target).any(1)]
        if not _keeps_facing(vertices, stays, np.where(stays == source, target, stays)):
            continue
        merged[source] = target
        busy[around] = True
        gone.append(source)
    moved = merged[faces]
    proper = (
        (moved[:, 0] != moved[:, 1]) & (moved[:, 1] != moved[:, 2]) & (moved[:, 2] != moved[:, 0])
    )
    return moved[proper], np.array(gone, dtype=np.int64)


def _keeps_facing(vertices: np.ndarray, before: np.ndarray, after: np.ndarray) -> bool:
    def normals(faces: np.ndarray) -> np.ndarray:
        a, b, c = vertices[faces].transpose(1, 0, 2)
        cross = np.cross(b - a, c - a)
        return np.asarray(cross / np.maximum(np.linalg.norm(cross, axis=1), 1e-12)[:, None])

    return bool(((normals(before) * normals(after)).sum(1) > _MIN_FACING).all())
