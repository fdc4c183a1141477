"""What the splats look like, painted onto the mesh they are bound to.

Each point of the skin gets the colour that a camera looking straight at it would see: the splats
near the line along the skin's normal, blended from the outermost inwards. A splat's share on a
line is that of its densest point there, as in splatting itself, so hair that stands off the skin
covers it and what lies under the skin does not show.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from scipy.spatial import cKDTree

from pear_avatar.avatar.model import Avatar
from pear_avatar.body.model import BodyModel
from pear_avatar.data.synthetic.mesh_raster import rasterise_mesh
from pear_avatar.geometry.meshes import face_normals, vertex_normals
from pear_avatar.geometry.rotations import quat_wxyz_to_matrix
from pear_avatar.types import BodyParams

__all__ = ["bake_texture", "vertex_colors"]

#: Splats looked at for each point; about twice those that cover one in a dense avatar.
_NEAREST = 48

#: How far outside and inside the skin a splat may lie to be seen there, metres.
_OUTSIDE, _INSIDE = 0.08, 0.03

#: Below this opacity the nearest splats' colour fills what is missing.
_COVERED = 0.9

#: Points handled at a time.
_BATCH = 16384

#: Parts that lie behind or under others; their points look only at splats of the same kind.
_HIDDEN_PARTS = ("eye", "mouth", "tongue", "teeth")


@dataclass(frozen=True)
class _Points:
    """P points of the skin at rest: position (P, 3) m, unit normal (P, 3), kind (P,) of part."""

    position: np.ndarray
    normal: np.ndarray
    kind: np.ndarray


@dataclass(frozen=True)
class _Field:
    """N splats at rest, with precision matrices (N, 3, 3) and the kind (N,) of their part."""

    mean: np.ndarray
    precision: np.ndarray
    opacity: np.ndarray
    color: np.ndarray
    normal: np.ndarray
    kind: np.ndarray


def bake_texture(avatar: Avatar, size: int = 1024) -> np.ndarray:
    """(size, size, 3) uint8 display RGB in the body's texture coordinates, first row on top.

    Colours run on beyond the islands of the texture, so that smaller copies do not bleed.

    Raises:
        ValueError: the body has no texture coordinates, or a size out of [16, 8192].
    """
    if not 16 <= size <= 8192:
        raise ValueError(f"a texture is 16 to 8192 pixels wide, got {size}")
    body = avatar.body
    if body.uv.shape[0] == 0:
        raise ValueError("this body has no texture coordinates; use vertex_colors instead")
    uv = body.uv.cpu().numpy()
    pixels = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1) * size
    seen = rasterise_mesh(pixels, np.ones(len(uv)), body.uv_faces.cpu().numpy(), size, size)
    points = _texel_points(body, seen.face, seen.barycentric)
    texture = np.zeros((size * size, 3), np.float32)
    texture[seen.pixel] = _look(_splat_field(avatar), points)
    empty = np.ones(size * size, bool)
    empty[seen.pixel] = False
    nearest = distance_transform_edt(
        empty.reshape(size, size), return_distances=False, return_indices=True
    )
    filled = texture.reshape(size, size, 3)[nearest[0], nearest[1]]
    return (filled.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def vertex_colors(avatar: Avatar) -> np.ndarray:
    """(V, 3) float32 display RGB in [0, 1] for each vertex of the avatar's body."""
    body = avatar.body
    kind = np.zeros(body.num_vertices, np.int64)
    kind[body.faces.cpu().numpy()] = _face_kind(body)[:, None]
    normals = vertex_normals(body.v_template, body.faces)
    points = _Points(body.v_template.cpu().numpy(), normals.cpu().numpy(), kind)
    return _look(_splat_field(avatar), points).clip(0, 1)


def _texel_points(body: BodyModel, face: np.ndarray, barycentric: np.ndarray) -> _Points:
    corners = body.faces.cpu().numpy()[face]
    vertices = body.v_template.cpu().numpy()
    normals = vertex_normals(body.v_template, body.faces).cpu().numpy()
    weights = barycentric / barycentric.sum(axis=1, keepdims=True)
    position = np.einsum("pk,pkc->pc", weights, vertices[corners])
    normal = np.einsum("pk,pkc->pc", weights, normals[corners])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-9)
    return _Points(position, normal, _face_kind(body)[face])


def _face_kind(body: BodyModel) -> np.ndarray:
    """(F,) 0 for the outer skin, the index of the hidden kind plus 1 otherwise."""
    kinds = [
        next((1 + i for i, hidden in enumerate(_HIDDEN_PARTS) if name.startswith(hidden)), 0)
        for name in body.part_names
    ]
    if not kinds:
        return np.zeros(len(body.faces), np.int64)
    return np.array(kinds)[body.face_part.cpu().numpy()]


@torch.no_grad()
def _splat_field(avatar: Avatar) -> _Field:
    """The avatar's splats in its rest pose."""
    body, binding = avatar.body, avatar.binding
    still = BodyParams(
        avatar.betas,
        body.v_template.new_zeros(body.num_expression),
        torch.eye(3).to(body.v_template).expand(body.num_joints, 3, 3),
        body.v_template.new_zeros(3),
    )
    splats = avatar.gaussians(still)
    R = quat_wxyz_to_matrix(splats.quats_wxyz)
    precision = (R * (-2 * splats.log_scales).exp()[:, None, :]) @ R.transpose(-1, -2)
    normals = face_normals(body.v_template, body.faces)[binding.face_index]
    return _Field(
        splats.means.cpu().numpy(),
        precision.cpu().numpy(),
        splats.logit_opacities.sigmoid().cpu().numpy(),
        splats.colors.cpu().numpy(),
        normals.cpu().numpy(),
        _face_kind(body)[binding.face_index.cpu().numpy()],
    )


def _look(field: _Field, points: _Points) -> np.ndarray:
    """(P, 3) float32 colour of each point, looked at along its normal."""
    colors = np.zeros((len(points.position), 3), np.float32)
    for kind in np.unique(points.kind):
        mine, theirs = points.kind == kind, field.kind == kind
        if not theirs.any():  # nothing was ever seen there: whatever is near
            theirs = np.ones_like(theirs)
        index = np.flatnonzero(theirs)
        tree = cKDTree(field.mean[index])
        count = min(_NEAREST, len(index))
        rows = np.flatnonzero(mine)
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            _, near = tree.query(points.position[batch], k=count)
            near = index[near.reshape(len(batch), count)]
            colors[batch] = _blend(field, near, points.position[batch], points.normal[batch])
    return colors


def _blend(field: _Field, near: np.ndarray, position: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """(P, 3) blend of the splats ``near`` (P, K) on the lines through the points."""
    offset = field.mean[near] - position[:, None]  # (P, K, 3)
    A = field.precision[near]
    An = np.einsum("pkij,pj->pki", A, normal)
    along_n = np.einsum("pki,pi->pk", An, normal).clip(1e-9)
    along_d = np.einsum("pki,pki->pk", An, offset)
    depth = along_d / along_n  # where on the line the splat is densest
    square = np.einsum("pki,pkij,pkj->pk", offset, A, offset) - along_d * depth
    facing = np.einsum("pki,pi->pk", field.normal[near], normal) > 0
    seen = facing & (depth < _OUTSIDE) & (depth > -_INSIDE)
    alpha = np.where(seen, field.opacity[near] * np.exp(-0.5 * square.clip(0)), 0).clip(0, 0.999)
    order = np.argsort(-depth, axis=1)
    alpha = np.take_along_axis(alpha, order, 1)
    through = np.cumprod(1 - alpha, axis=1)
    share = alpha * np.concatenate([np.ones_like(through[:, :1]), through[:, :-1]], axis=1)
    color = field.color[near]
    blended = np.einsum("pk,pkc->pc", share, np.take_along_axis(color, order[..., None], 1))
    total = share.sum(axis=1, keepdims=True)
    # Between sparse splats: what lies nearest, weighted by distance in the splats' own sizes.
    reach = np.where(facing, 1.0, 1e-3) / (1e-3 + (offset**2).sum(-1) * 1e4) ** 2
    filler = np.einsum("pk,pkc->pc", reach / reach.sum(axis=1, keepdims=True), color)
    missing = (1 - total / _COVERED).clip(0, 1)
    return (1 - missing) * blended / total.clip(1e-6) + missing * filler
