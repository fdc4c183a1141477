"""Points on triangle meshes: the nearest place on a surface, and values carried to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

__all__ = ["SurfacePoints", "closest_on_surface"]

_CANDIDATES = 12
_CHUNK = 4096


@dataclass(frozen=True)
class SurfacePoints:
    """P places on a mesh.

    face:        (P,) int64 triangle.
    barycentric: (P, 3) >= 0, rows sum to 1.
    distance:    (P,) metres from what was asked to the place that was found.
    """

    face: np.ndarray
    barycentric: np.ndarray
    distance: np.ndarray

    def carry(self, values: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """(P, ...) values at the places, from values (V, ...) at the vertices."""
        corners = values[faces[self.face]]
        weights = self.barycentric.reshape(*self.barycentric.shape, *[1] * (values.ndim - 1))
        carried: np.ndarray = (corners * weights).sum(1)
        return carried


def closest_on_surface(
    points: np.ndarray,
    vertices: np.ndarray,
    faces: np.ndarray,
    normals: np.ndarray | None = None,
    candidates: int = _CANDIDATES,
) -> SurfacePoints:
    """The place on a mesh nearest to each point.

    The triangles around the nearest vertices are searched, which yields the nearest point
    unless triangles much larger than the distance to them are about.

    Args:
        points: (P, 3) metres.
        vertices: (V, 3) metres.
        faces: (F, 3) the triangles to look at; need not use every vertex.
        normals: (P, 3) unit normals of the points; where given, triangles that face away
            from them are passed over if any other candidate does not.
        candidates: how many nearest triangle centres are looked at for each point.
    """
    if len(faces) == 0:
        raise ValueError("the mesh has no triangles")
    corners = vertices[faces]
    tree = cKDTree(corners.mean(1))
    candidates = min(candidates, len(faces))
    near = tree.query(points, candidates)[1].reshape(len(points), candidates)
    facing = None
    if normals is not None:
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        facing = cross / np.maximum(np.linalg.norm(cross, axis=1), 1e-12)[:, None]
    face = np.empty(len(points), np.int64)
    weight, distance = np.empty((len(points), 3)), np.empty(len(points))
    for start in range(0, len(points), _CHUNK):
        part = slice(start, start + _CHUNK)
        tri = corners[near[part]]
        bary = _nearest_barycentric(points[part, None], tri)
        squared = (tri * bary[..., None]).sum(2) - points[part, None]
        squared = (squared**2).sum(-1)
        ranked = squared
        if facing is not None and normals is not None:
            away = (facing[near[part]] * normals[part, None]).sum(-1) < 0
            ranked = squared + 1e3 * away
        best = ranked.argmin(1)
        row = np.arange(len(best))
        face[part] = near[part][row, best]
        weight[part] = bary[row, best]
        distance[part] = np.sqrt(squared[row, best])
    return SurfacePoints(face, weight, distance)


def _nearest_barycentric(point: np.ndarray, tri: np.ndarray) -> np.ndarray:
    """(..., 3) barycentric coordinates of the place on triangles (..., 3, 3) nearest to a point.

    After Ericson, "Real-Time Collision Detection", 2005, section 5.1.5: the plane's projection
    where it falls inside, else the nearest of the three edges.
    """
    a, b, c = tri[..., 0, :], tri[..., 1, :], tri[..., 2, :]
    ab, ac, ap = b - a, c - a, point - a
    d00, d01, d11 = _dot(ab, ab), _dot(ab, ac), _dot(ac, ac)
    d20, d21 = _dot(ap, ab), _dot(ap, ac)
    area = np.maximum(d00 * d11 - d01 * d01, 1e-30)
    v = (d11 * d20 - d01 * d21) / area
    w = (d00 * d21 - d01 * d20) / area
    inside = (v >= 0) & (w >= 0) & (v + w <= 1)
    best = np.stack([1 - v - w, v, w], -1)
    zero = np.zeros_like(v)
    shortest = np.where(inside, -1.0, np.inf)
    for start, end, place in ((a, b, (0, 1)), (b, c, (1, 2)), (c, a, (2, 0))):
        edge = end - start
        t = np.clip(_dot(point - start, edge) / np.maximum(_dot(edge, edge), 1e-30), 0, 1)
        squared = ((start + t[..., None] * edge - point) ** 2).sum(-1)
        weights = [zero, zero, zero]
        weights[place[0]], weights[place[1]] = 1 - t, t
        closer = squared < shortest
        best = np.where(closer[..., None], np.stack(weights, -1), best)
        shortest = np.where(closer, squared, shortest)
    return best


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    product: np.ndarray = (a * b).sum(-1)
    return product
