"""Which vertices of a body are head, neck and hands, and how far each lies from a seam.

The published sets are lists of vertex numbers of one mesh. Here each is a rule on skinning
weights, which gives the same kind of set on any body.
"""

from __future__ import annotations

import torch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from pear_avatar.body.joints import FINGERS, JOINT_INDEX
from pear_avatar.body.model import BodyModel
from pear_avatar.geometry.meshes import mesh_edges

__all__ = [
    "ease_in",
    "hand_vertices",
    "head_cut",
    "lower_rows",
    "neck_rows",
    "of_head_or_neck",
    "surface_distance",
]

_HEAD = tuple(JOINT_INDEX[n] for n in ("head", "jaw", "left_eye", "right_eye"))
_NECK = JOINT_INDEX["neck"]
_HEAD_PARTS = ("head", "tongue", "teeth", "eye", "mouth_cavity")


def head_cut(body: BodyModel) -> Tensor:
    """(Vh,) vertices of the head: its labelled parts, and what neck and head carry for the most.

    The cut ends in the neck, as FLAME's does.
    """
    labels = [i for i, name in enumerate(body.part_names) if name.startswith(_HEAD_PARTS)]
    labelled = torch.isin(body.face_part, torch.tensor(labels, dtype=body.face_part.dtype))
    chosen = of_head_or_neck(body)
    chosen[body.faces[labelled].flatten()] = True
    return torch.nonzero(chosen).squeeze(-1)


def of_head_or_neck(body: BodyModel) -> Tensor:
    """(V,) bool: what neck and head carry for the most. The rest is shoulders and chest."""
    return body.skin_weights_t[[_NECK, *_HEAD]].sum(0) > 0.5


def neck_rows(body: BodyModel, head_vertices: Tensor) -> Tensor:
    """(K,) rows of the head that are neck or border the rest of the body.

    The neck is what the bones below the head carry for the most.
    """
    return _low_rows(body, head_vertices, 0.5)


def lower_rows(body: BodyModel, head_vertices: Tensor) -> Tensor:
    """(K,) rows of the lower head: the neck's lower part and the border.

    The lower part is what the bones below the head carry to three quarters.
    """
    return _low_rows(body, head_vertices, 0.25)


def _low_rows(body: BodyModel, head_vertices: Tensor, most_head: float) -> Tensor:
    inside = torch.zeros(body.num_vertices, dtype=torch.bool)
    inside[head_vertices] = True
    corners = inside[body.faces]
    crossing = corners.any(1) & ~corners.all(1)
    low = body.skin_weights_t[list(_HEAD)].sum(0) < most_head
    low[body.faces[crossing].flatten()] = True
    return torch.nonzero(low[head_vertices]).squeeze(-1)


def hand_vertices(body: BodyModel) -> tuple[Tensor, Tensor]:
    """(N,) vertices of the left and of the right hand: wrist and fingers carry most of them."""
    left, right = (
        torch.nonzero(body.skin_weights_t[[JOINT_INDEX[f"{side}_wrist"], *fingers]].sum(0) > 0.5)
        for side, fingers in (("left", FINGERS[:15]), ("right", FINGERS[15:]))
    )
    return left.squeeze(-1), right.squeeze(-1)


def surface_distance(body: BodyModel, inside: Tensor, limit: float) -> Tensor:
    """(V,) metres along the template's edges to the nearest vertex that is not ``inside`` (V,).

    Infinite beyond ``limit``, and on pieces of the mesh that lie inside altogether.
    """
    inside = inside.cpu()
    edges = mesh_edges(body.faces.cpu())
    edges = edges[inside[edges].any(1)]  # the way in begins at the border
    start, end = edges.unbind(1)
    template = body.v_template.detach().cpu()
    length = (template[start] - template[end]).norm(dim=-1).double().clamp_min(1e-9)
    size = (body.num_vertices, body.num_vertices)
    graph = csr_matrix((length.numpy(), (start.numpy(), end.numpy())), shape=size)
    border = edges[~inside[edges]].unique()
    if not len(border):
        return torch.full_like(body.v_template[:, 0], torch.inf)
    nearest = dijkstra(graph, directed=False, indices=border.numpy(), limit=limit, min_only=True)
    distance = torch.from_numpy(nearest)
    distance[~inside] = 0
    return distance.to(body.v_template)


def ease_in(distance: Tensor, width: float) -> Tensor:
    """0 at distance 0, 1 from ``width`` on, with level ends between."""
    t = (distance / width).clamp(0, 1)
    return t * t * (3 - 2 * t)
