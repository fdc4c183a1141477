"""Mirror symmetry of meshes: which vertex and which point lies on the other side of x = 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

__all__ = ["MeshMirror", "mesh_mirror"]


@dataclass(frozen=True)
class MeshMirror:
    """The other side of a mesh that is its own mirror image.

    vertex: (V,) int64, each vertex's partner; a vertex on the middle plane is its own.
    face:   (F,) int64, each face's partner.
    corner: (F, 3) int64, for each corner of a face the place of its partner in the partner face.
    """

    vertex: Tensor
    face: Tensor
    corner: Tensor

    def points(self, face: Tensor, barycentric: Tensor) -> tuple[Tensor, Tensor]:
        """The mirror images of N points on the mesh.

        face (N,), barycentric (N, 3) -> the same of the points on the other side.
        """
        mirrored = torch.zeros_like(barycentric)
        return self.face[face], mirrored.scatter(1, self.corner[face], barycentric)


def mesh_mirror(vertices: Tensor, faces: Tensor, tolerance: float = 5e-3) -> MeshMirror | None:
    """Pair up a mesh with its mirror image at x = 0; None where its topology is not symmetric.

    Args:
        vertices: (V, 3) metres; symmetric up to ``tolerance``.
        faces: (F, 3).
        tolerance: metres by which a vertex may miss its partner's mirrored place. Pairs must be
            mutual and faces must pair up with faces, so it only bounds the search.
    """
    at = vertices.detach().cpu().double().numpy()
    distance, other = cKDTree(at).query(at * [-1.0, 1.0, 1.0])
    if distance.max() > tolerance or (other[other] != np.arange(len(at))).any():
        return None
    corners = faces.cpu().numpy()
    swapped = other[corners]
    order = np.lexsort(np.sort(corners, 1).T)
    wanted = np.lexsort(np.sort(swapped, 1).T)
    if (np.sort(corners, 1)[order] != np.sort(swapped, 1)[wanted]).any():
        return None
    partner = np.empty(len(corners), np.int64)
    partner[wanted] = order
    place = (corners[partner][:, None, :] == swapped[:, :, None]).argmax(-1)
    device = faces.device
    return MeshMirror(
        *(torch.from_numpy(a.astype(np.int64)).to(device) for a in (other, partner, place))
    )
