"""A person's paint, baked: each face gets a small lattice of texels, fine where faces are large."""

from __future__ import annotations

import numpy as np

from pear_avatar.geometry.native_mesh import MeshColors
from pear_avatar.synthesis.paint import paint
from pear_avatar.synthesis.person import Person

_MOST = 12


def bake(person: Person, texel: float = 0.007, fine: float = 0.0025) -> MeshColors:
    """Paint a person once and for all.

    Args:
        person: who is painted.
        texel: metres between texels on the body and its clothes.
        fine: metres between texels above the neck and on the hands.
    """
    corner = person.rest[person.faces]
    longest = np.sqrt(
        np.max([((corner[:, k] - corner[:, k - 1]) ** 2).sum(1) for k in range(3)], axis=0)
    )
    wrist = 0.72 * np.abs(person.rest[:, 0]).max()
    middle = corner.mean(1)
    close = (middle[:, 1] > person.rest[:, 1].max() - 0.30) | (np.abs(middle[:, 0]) > wrist)
    spacing = np.where(close, fine, texel)
    resolution = np.clip(np.round(longest / spacing), 1, _MOST).astype(np.uint8)
    count = (resolution.astype(np.int64) + 1) * (resolution.astype(np.int64) + 2) // 2
    start = np.cumsum(count) - count
    texels = np.empty((int(count.sum()), 4), np.uint8)
    carried = np.concatenate([person.paint_xyz, person.paint_inset[:, None]], 1)
    places, rows, materials = [], [], []
    for r in np.unique(resolution):
        own = np.nonzero(resolution == r)[0]
        weights = lattice(int(r))
        at = np.einsum("nk,fkc->fnc", weights, carried[person.faces[own]])
        places.append(at.reshape(-1, 4))
        rows.append((start[own][:, None] + np.arange(len(weights))).ravel())
        materials.append(np.repeat(person.material[own], len(weights)))
    place, row = np.concatenate(places).astype(np.float32), np.concatenate(rows)
    coat = paint(person, np.concatenate(materials), place[:, :3], place[:, 3])
    texels[row, :3] = np.round(coat.albedo * 255)
    texels[row, 3] = np.round(np.clip(coat.gloss, 0, 1) * 255)
    return MeshColors(start.astype(np.int32), resolution, texels)


def lattice(r: int) -> np.ndarray:
    """(N, 3) barycentric places of the texels of a face of resolution ``r``, in their order."""
    places = [(i, j, r - i - j) for i in range(r + 1) for j in range(r + 1 - i)]
    return np.asarray(places, np.float32) / r
