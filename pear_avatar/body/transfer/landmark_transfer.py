"""Landmark sets carried from the open body to another one."""

from __future__ import annotations

import numpy as np
import torch

from pear_avatar.body.joints import NUM_JOINTS
from pear_avatar.body.landmarks import LandmarkSet
from pear_avatar.body.transfer.regions import BodySurface, nearest_in_region
from pear_avatar.geometry.surface import SurfacePoints, closest_on_surface

__all__ = ["carry_landmarks"]

_ON_SURFACE = 0.004  # metres; a mean of vertices farther inside is no point of the skin
_LEAST_WEIGHT = 1e-4


def carry_landmarks(
    marks: LandmarkSet,
    source: BodySurface,
    laid: BodySurface,
    target: BodySurface,
    place: SurfacePoints,
) -> LandmarkSet:
    """One landmark set on the target.

    Points of the skin go to the nearest skin. Points inside (wrists, hips, fingers) stay means
    of the same joints and of the vertices' counterparts.

    Args:
        marks: the set on the source.
        source: the source's template; ``laid``: the same vertices laid on the target.
        target: the target's template.
        place: where each of the source's vertices lies on the target.
    """
    index, weight = marks.index.numpy(), marks.weight.double().numpy()
    used = weight > 0
    vertex = np.where(used, index - NUM_JOINTS, 0)
    only_skin = (vertex >= 0).all(1)
    points = np.concatenate([source.joints, source.vertices])
    here = (points[index] * weight[..., None]).sum(1)
    on_source = closest_on_surface(here, source.vertices, source.faces)
    skin = only_skin & (on_source.distance < _ON_SURFACE)
    rows: list[dict[int, float]] = [{} for _ in range(len(index))]
    corners = target.faces[place.face]
    for row, column in zip(*np.nonzero(used), strict=True):
        if skin[row]:
            continue
        source_index, w = int(index[row, column]), float(weight[row, column])
        if source_index < NUM_JOINTS:
            _add(rows[row], source_index, w)
            continue
        v = source_index - NUM_JOINTS
        for corner, share in zip(corners[v], place.barycentric[v], strict=True):
            _add(rows[row], NUM_JOINTS + int(corner), w * float(share))
    chosen = np.nonzero(skin)[0]
    picked = SurfacePoints(
        on_source.face[chosen], on_source.barycentric[chosen], on_source.distance[chosen]
    )
    there = picked.carry(laid.vertices, laid.faces)
    normals, share = picked.carry(laid.normals(), laid.faces), picked.carry(laid.share, laid.faces)
    on_target = nearest_in_region(there, normals, share, target)
    for row, face, bary in zip(chosen, on_target.face, on_target.barycentric, strict=True):
        for corner, w in zip(target.faces[face], bary, strict=True):
            _add(rows[row], NUM_JOINTS + int(corner), float(w))
    return _pack(rows, marks)


def _add(row: dict[int, float], index: int, weight: float) -> None:
    row[index] = row.get(index, 0.0) + weight


def _pack(rows: list[dict[int, float]], marks: LandmarkSet) -> LandmarkSet:
    kept = [{i: w for i, w in row.items() if w > _LEAST_WEIGHT} for row in rows]
    width = max(len(row) for row in kept)
    index = torch.zeros(len(rows), width, dtype=torch.int64)
    weight = torch.zeros(len(rows), width, dtype=torch.float64)
    for i, row in enumerate(kept):
        index[i, : len(row)] = torch.tensor(list(row))
        weight[i, : len(row)] = torch.tensor(list(row.values()), dtype=torch.float64)
    weight = weight / weight.sum(1, keepdim=True)
    return LandmarkSet(index, weight.float(), marks.sigma.clone())
