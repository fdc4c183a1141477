"""Where splats are worth their cost: as dense as the pixels that show the skin, few elsewhere.

A talking head leaves most of a body out of the picture. Splats there cost time and show nothing,
while those on the face lie several pixels apart and cannot draw an eye.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.geometry.cameras import project
from pear_avatar.types import BodyParams, Camera

#: views that are looked at, evenly spread over the clip
_VIEWS = 8
#: pixels credited to a face seen edge-on, as a share of those it would fill from the front: the
#: outline needs splats too
_EDGE = 0.35
#: rounds of averaging with the neighbouring faces: a sudden change of density leaves pinholes
_SMOOTHING = 6
#: nearer than this (m) nothing is in focus
_MIN_DEPTH = 0.05
#: faces of lower prior density lie behind the skin: no pixel shows them
_HIDDEN = 0.5


@torch.no_grad()
def evidence_density(
    body: BodyModel, params: BodyParams, camera: Camera, prior: Tensor, share: float
) -> Tensor:
    """(F,) relative splats per area at rest.

    Args:
        body: the person's body.
        params: tracked parameters of the crops, one leading axis N.
        camera: of the crops, batch N.
        prior: (F,) density that would suit a person seen all round.
        share: of the splats that follow the pixels, in [0, 1]; the rest follow the prior.
    """
    betas = params.betas if params.betas.dim() == 1 else params.betas[0]
    rest_area = _areas(body.shape(betas).vertices(), body.faces).clamp_min(1e-9)
    pixels = _best_view(body, params, camera) / rest_area
    pixels = _smoothed(torch.where(prior < _HIDDEN, torch.zeros_like(pixels), pixels), body.faces)
    seen = torch.where(prior < _HIDDEN, torch.zeros_like(pixels), pixels * prior)
    total = (seen * rest_area).sum()
    if not bool(total > 0):
        return prior
    even = prior / (prior * rest_area).sum()
    return (1 - share) * even + share * seen / total


def _best_view(body: BodyModel, params: BodyParams, camera: Camera) -> Tensor:
    """(F,) pixels of each face in the view that shows it best; 0 outside of every picture."""
    n = len(params.rotations)
    best = torch.zeros(len(body.faces))
    for r in np.unique(np.linspace(0, n - 1, min(n, _VIEWS)).round().astype(int)):
        p = params[int(r)]
        vertices = body.shape(p.betas, p.expression).pose(p.rotations, p.transl).vertices()
        px, depth = project(camera[int(r)], vertices)
        a, b, c = (px[body.faces[:, k]] for k in range(3))
        u, w = b - a, c - a
        # y points down: a face that is seen from the front turns the other way round
        front = (u[:, 1] * w[:, 0] - u[:, 0] * w[:, 1]) / 2
        z = depth[body.faces].mean(1)
        full = _areas(vertices, body.faces)
        full = full * (camera.K[int(r), 0, 0] / z.clamp_min(_MIN_DEPTH)) ** 2
        center = (a + b + c) / 3
        inside = (center >= 0).all(1) & (z > 0)
        inside &= (center[:, 0] < camera.width) & (center[:, 1] < camera.height)
        shown = (front + _EDGE * full).clamp_min(0) / (1 + _EDGE) * inside
        best = torch.maximum(best, shown)
    return best


def _areas(vertices: Tensor, faces: Tensor) -> Tensor:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return torch.linalg.cross(b - a, c - a).norm(dim=-1) / 2


def _smoothed(values: Tensor, faces: Tensor) -> Tensor:
    """(F,) values averaged over neighbouring faces, by way of the vertices."""
    corners = faces.flatten()
    count = torch.zeros(int(faces.max()) + 1).index_add(0, corners, torch.ones(len(corners)))
    for _ in range(_SMOOTHING):
        summed = torch.zeros_like(count).index_add(0, corners, values.repeat_interleave(3))
        values = (summed / count.clamp_min(1))[faces].mean(1)
    return values
