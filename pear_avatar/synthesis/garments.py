"""Garment geometry: pieces of the body surface cut along clean lines and lifted off the skin.

A garment is a *layer*: the part of the body mesh where a signed field is positive, its triangles
cut exactly where the field is zero (so hems are lines, not saw teeth), moved outward and smoothed.
Its skinning weights are the body's at the same surface points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags
from scipy.spatial import ConvexHull


@dataclass(frozen=True)
class CutMesh:
    """A cut piece of a mesh; its vertices are points on edges of the mesh it came from.

    first, second: (N,) int64 vertices of the edge's ends (equal for kept vertices).
    fraction:      (N,) float32 position between them.
    faces:         (F, 3) int64, same orientation as the source.
    source_face:   (F,) int64 the face each was cut from.
    """

    first: np.ndarray
    second: np.ndarray
    fraction: np.ndarray
    faces: np.ndarray
    source_face: np.ndarray

    def carry(self, values: np.ndarray) -> np.ndarray:
        """Per-vertex values (V, ...) of the source mesh, at the cut mesh's vertices (N, ...)."""
        t = self.fraction.reshape(-1, *[1] * (values.ndim - 1))
        carried: np.ndarray = values[self.first] * (1 - t) + values[self.second] * t
        return carried


def cut_mesh(faces: np.ndarray, field: np.ndarray) -> CutMesh:
    """The part of a mesh where ``field`` (V,) is positive, cut along its zero line.

    Raises:
        ValueError: the field is positive nowhere.
    """
    positive = field > 0
    count = positive[faces].sum(1)
    if not (count > 0).any():
        raise ValueError("the field is positive nowhere: the cut leaves no surface")
    num = len(field)
    whole, one, two = (np.nonzero(count == k)[0] for k in (3, 1, 2))
    # Turn each cut face so that its odd vertex comes first; the order of the others stays.
    tip, b, c = _turned(faces[one], positive[faces[one]])
    single = np.stack([tip * num + tip, tip * num + b, tip * num + c], 1)
    off, p, q = _turned(faces[two], ~positive[faces[two]])
    pp, qq, p_off, q_off = p * num + p, q * num + q, p * num + off, q * num + off
    double = np.concatenate([np.stack([pp, qq, q_off], 1), np.stack([pp, q_off, p_off], 1)])
    keys = np.concatenate([faces[whole] * (num + 1), single, double])
    vertex, flat = np.unique(keys.ravel(), return_inverse=True)
    first, second = np.divmod(vertex, num)
    gap = field[first] - field[second]
    fraction = np.where(first == second, 0.0, field[first] / np.where(gap == 0, 1.0, gap))
    return CutMesh(
        first,
        second,
        fraction.astype(np.float32),
        flat.reshape(-1, 3).astype(np.int64),
        np.concatenate([whole, one, two, two]),
    )


def _turned(faces: np.ndarray, odd: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The corners of each face, cycled so that the one marked ``odd`` comes first."""
    start = odd.argmax(1)
    row = np.arange(len(faces))
    return faces[row, start], faces[row, (start + 1) % 3], faces[row, (start + 2) % 3]


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals (V, 3), float32."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.empty((len(vertices), 3), np.float32)
    flat = faces.ravel()
    for k in range(3):
        normals[:, k] = np.bincount(flat, np.repeat(cross[:, k], 3), minlength=len(vertices))
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    unit: np.ndarray = normals / np.maximum(length, 1e-12)
    return unit


def neighbour_mean(faces: np.ndarray, num_vertices: int) -> csr_matrix:
    """(V, V) operator to the mean of the neighbours.

    Vertices on an open rim see only their neighbours on the rim, so that smoothing with it keeps
    hems where they are.
    """
    half = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.concatenate([half, half[:, ::-1]])
    shape = (num_vertices, num_vertices)
    ones = np.ones(len(half), np.float32)
    used = csr_matrix((ones, (half[:, 0], half[:, 1])), shape=shape)
    total = used + used.T
    rim_edges = (total == 1).multiply(total)  # an inner edge is walked once in each direction
    on_rim = np.asarray(rim_edges.sum(1)).ravel() > 0
    inner = csr_matrix((np.ones(len(edges), np.float32), edges.T), shape=shape)
    inner.data[:] = 1.0
    mixed = diags((~on_rim).astype(np.float32)) @ inner + rim_edges
    degree = np.maximum(np.asarray(mixed.sum(1)).ravel(), 1.0)
    return csr_matrix(diags(1.0 / degree) @ mixed)


def smooth(values: np.ndarray, mean: csr_matrix, steps: int, rate: float = 0.5) -> np.ndarray:
    """Diffuse per-vertex values (V, C) for some steps."""
    for _ in range(steps):
        values = values + rate * (mean @ values - values)
    return values.astype(np.float32)


def lift(
    rest: np.ndarray, normals: np.ndarray, faces: np.ndarray, amount: np.ndarray, steps: int
) -> np.ndarray:
    """Move a layer (N, 3) outward by ``amount`` (N,) metres and let it hang smoothly.

    Smoothing bridges hollows as cloth does; wherever it would sink below half of ``amount``
    above the skin it is pushed out again.
    """
    mean = neighbour_mean(faces, len(rest))
    direction = smooth(normals, mean, 6)
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    lifted = rest + direction * amount[:, None]
    for _ in range(max(steps // 4, 1)):
        lifted = smooth(lifted, mean, 4)
        height = ((lifted - rest) * direction).sum(1)
        lifted = lifted + direction * np.maximum(0.6 * amount - height, 0)[:, None]
    return lifted.astype(np.float32)


def icosphere(levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit sphere of 10 * 4**levels + 2 vertices (V, 3), and its faces (F, 3)."""
    g = (1 + 5**0.5) / 2
    corners = [(s, t * g, 0.0) for s in (-1, 1) for t in (-1, 1)]
    vertices = np.array([np.roll(c, k) for k in range(3) for c in corners], np.float64)
    vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    faces = ConvexHull(vertices).simplices.astype(np.int64)
    for _ in range(levels):
        edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        unique, flat = np.unique(edges, axis=0, return_inverse=True)
        middle = flat.reshape(-1, 3) + len(vertices)
        vertices = np.concatenate([vertices, vertices[unique].mean(1)])
        vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
        a, b, c = faces.T
        ab, bc, ca = middle.T
        faces = np.concatenate(
            [np.stack(t, 1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))]
        )
    corner = vertices[faces]
    outward = (
        np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]) * corner[:, 0]
    ).sum(1)
    faces[outward < 0] = faces[outward < 0][:, ::-1]
    return vertices.astype(np.float32), faces


def shrink_wrap(points: np.ndarray, levels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A smooth closed mesh on the convex hull of ``points`` (P, 3): a rounded, regular shell."""
    hull = ConvexHull(points)
    center = points[hull.vertices].mean(0)
    extent = np.ptp(points, axis=0) / 2
    sphere, faces = icosphere(levels)
    direction = sphere * extent
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    normal, offset = hull.equations[:, :3], hull.equations[:, 3]
    speed = direction @ normal.T
    room = -(offset + normal @ center)
    reach = np.where(speed > 1e-9, room / np.maximum(speed, 1e-9), np.inf).min(1)
    shell = (center + direction * reach[:, None]).astype(np.float32)
    return smooth(shell, neighbour_mean(faces, len(shell)), 1), faces


@dataclass(frozen=True)
class FineMesh:
    """A cut mesh with each triangle split in four; its last vertices are the edges' middles.

    base:        what was split.
    pairs:       (E, 2) int64 the base's vertices that each middle lies between.
    faces:       (4 F, 3) int64. source_face: (4 F,) the source mesh's face of each.
    """

    base: CutMesh
    pairs: np.ndarray
    faces: np.ndarray
    source_face: np.ndarray

    def carry(self, values: np.ndarray) -> np.ndarray:
        """Per-vertex values (V, ...) of the source mesh, at this mesh's vertices."""
        coarse = self.base.carry(values)
        return np.concatenate([coarse, coarse[self.pairs].mean(1)]).astype(coarse.dtype)


def subdivide(mesh: CutMesh) -> FineMesh:
    """Split each triangle of a cut mesh in four, for layers with relief of their own."""
    edges = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    pairs, flat = np.unique(edges, axis=0, return_inverse=True)
    middle = flat.reshape(-1, 3) + len(mesh.first)
    a, b, c = mesh.faces.T
    ab, bc, ca = middle.T
    faces = np.concatenate(
        [np.stack(t, 1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))]
    )
    return FineMesh(mesh, pairs, faces, np.tile(mesh.source_face, 4))
