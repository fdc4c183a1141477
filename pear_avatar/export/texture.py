"""What the splats look like, painted onto the mesh they are bound to.

The splats are drawn from all round, the head from nearby too, and every point of the skin takes
its colour from the pictures that see it, most from those that look straight at it. What no
picture shows (the inside of the mouth, between closed fingers) takes the colour of the splats
that lie nearest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt, minimum_filter
from scipy.spatial import cKDTree
from torch import Tensor

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.model import BodyModel
from pear_avatar.errors import PearError
from pear_avatar.geometry.cameras import orbit_cameras, project
from pear_avatar.geometry.mesh_raster import rasterise_mesh
from pear_avatar.geometry.meshes import face_normals, vertex_normals
from pear_avatar.splatting import Gaussians
from pear_avatar.types import BodyParams, Camera

__all__ = ["bake_texture", "vertex_colors"]

#: Rings of cameras: elevation in degrees and how many stand on it.
_RINGS = ((0.0, 12), (40.0, 6), (-40.0, 6), (80.0, 2), (-80.0, 2))
_HEAD_RINGS = ((0.0, 12), (35.0, 6), (-35.0, 6))

#: Pictures of the whole body have the texture's side (2 mm a pixel at 1024), those of the head
#: half of it (1 mm); and this many pixels for colours at vertices.
_VERTEX_SIDE = 512
_HALF_FOV = math.radians(10.0)
_HEAD_RADIUS = 0.22

#: A picture counts with the cosine between the skin's normal and the line of sight to this power.
_STRAIGHT = 8.0

#: The part of a picture's half side over which it fades out at the border.
_BORDER = 0.25

#: How far behind the drawn surface a point still counts as seen, metres; and how far splats reach
#: over an edge of it: points so near beside it, and so far behind it, are left to other pictures.
_SEEN, _EDGE_REACH, _EDGE_DEPTH = 0.006, 0.012, 0.04

#: Weight up to which the nearest splats mix in, and how many of them.
_FAINT, _NEAREST = 0.01, 6

#: Parts behind or under others: where no picture shows them, only their own splats count.
_HIDDEN_PARTS = ("eye", "mouth", "tongue", "teeth")


@dataclass(frozen=True)
class _Points:
    """P points of the skin at rest: position (P, 3) m, unit normal (P, 3), face (P,)."""

    position: Tensor
    normal: Tensor
    face: np.ndarray


@torch.no_grad()
def bake_texture(avatar: Avatar, size: int = 1024) -> np.ndarray:
    """(size, size, 3) uint8 display RGB in the body's texture coordinates, first row on top.

    Colours run on beyond the islands of the texture, so that smaller copies do not bleed.

    Raises:
        PearError: the body has no texture coordinates, or a size out of [16, 8192].
    """
    if not 16 <= size <= 8192:
        raise PearError(f"a texture is 16 to 8192 pixels wide, got {size}")
    body = avatar.body
    if body.uv.shape[0] == 0:
        raise PearError("this body has no texture coordinates; use vertex_colors instead")
    uv = body.uv.cpu().numpy()
    pixels = np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1) * size
    seen = rasterise_mesh(pixels, np.ones(len(uv)), body.uv_faces.cpu().numpy(), size, size)
    texture = np.zeros((size * size, 3), np.float32)
    texture[seen.pixel] = _colors(avatar, _surface_points(body, seen.face, seen.barycentric), size)
    empty = np.ones(size * size, bool)
    empty[seen.pixel] = False
    nearest = distance_transform_edt(
        empty.reshape(size, size), return_distances=False, return_indices=True
    )
    filled = texture.reshape(size, size, 3)[nearest[0], nearest[1]]
    return (filled.clip(0, 1) * 255 + 0.5).astype(np.uint8)


@torch.no_grad()
def vertex_colors(avatar: Avatar) -> np.ndarray:
    """(V, 3) float32 display RGB in [0, 1] for each vertex of the avatar's body."""
    body = avatar.body
    face = np.zeros(body.num_vertices, np.int64)
    face[body.faces.cpu().numpy()] = np.arange(len(body.faces))[:, None]
    points = _Points(body.v_template, vertex_normals(body.v_template, body.faces), face)
    return _colors(avatar, points, _VERTEX_SIDE).clip(0, 1)


def _surface_points(body: BodyModel, face: np.ndarray, barycentric: np.ndarray) -> _Points:
    """Points inside triangles, with normals that run smoothly over the skin."""
    corners = body.faces[torch.from_numpy(face)]
    weights = torch.from_numpy(barycentric / barycentric.sum(axis=1, keepdims=True))[..., None]
    normals = vertex_normals(body.v_template, body.faces)
    normal = torch.nn.functional.normalize((normals[corners] * weights).sum(1), dim=-1)
    return _Points((body.v_template[corners] * weights).sum(1), normal, face)


def _colors(avatar: Avatar, points: _Points, side: int) -> np.ndarray:
    """(P, 3) float32 colour of each point, from pictures of ``side`` pixels."""
    body = avatar.body
    still = BodyParams(
        avatar.betas,
        body.v_template.new_zeros(body.num_expression),
        torch.eye(3).to(body.v_template).expand(body.num_joints, 3, 3),
        body.v_template.new_zeros(3),
    )
    splats = avatar.gaussians(still)
    total = torch.zeros(len(points.position), 3)
    weight = torch.zeros(len(points.position), 1)
    for camera in _cameras(body, side):
        index, color, share = _one_view(body, splats, camera, points)
        total[index] += share * color
        weight[index] += share
    missing = (1 - weight / _FAINT).clamp(0, 1).numpy()
    colors: np.ndarray = (total / weight.clamp_min(1e-6)).numpy()
    rows = np.flatnonzero(missing[:, 0] > 0)
    near = _nearest_colors(avatar, splats, points, rows)
    colors[rows] += missing[rows] * (near - colors[rows])
    return colors


def _cameras(body: BodyModel, side: int) -> list[Camera]:
    """Cameras all round the resting body, and nearer ones round its head."""
    low, high = body.v_template.amin(0), body.v_template.amax(0)
    eyes = body.joint_template[[JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"]]].mean(0)
    head = torch.stack([(low + high)[0] / 2, eyes[1], eyes[2] - 0.08])
    cameras = []
    for rings, target, radius, pixels in (
        (_RINGS, (low + high) / 2, float((high - low).norm()) / 2, side),
        (_HEAD_RINGS, head, _HEAD_RADIUS, side // 2),
    ):
        for elevation, count in rings:
            ring = orbit_cameras(
                target,
                radius / math.sin(_HALF_FOV),
                torch.arange(count) * (2 * math.pi / count),
                focal=pixels / 2 / math.tan(_HALF_FOV),
                width=pixels,
                height=pixels,
                elevation=math.radians(elevation),
            )
            cameras += [ring[k] for k in range(count)]
    return cameras


def _one_view(
    body: BodyModel, splats: Gaussians, camera: Camera, points: _Points
) -> tuple[Tensor, Tensor, Tensor]:
    """The points (M,) that a picture shows, their colours (M, 3) and weights (M, 1)."""
    picture = splats.render(camera)
    R, t = camera.T_camera_world[:3, :3], camera.T_camera_world[:3, 3]
    sight = torch.nn.functional.normalize(points.position + R.T @ t, dim=-1)
    cosine = -(sight * points.normal).sum(-1)
    index = torch.nonzero(cosine > 0.2)[:, 0]
    pixels, depth = project(camera, points.position[index])
    inside = ((pixels > 1) & (pixels < camera.width - 1)).all(1)
    index, pixels, depth = index[inside], pixels[inside], depth[inside]
    seen = _is_seen(_depths(body, camera), pixels, depth)
    index, pixels, depth = index[seen], pixels[seen], depth[seen]
    grid = (pixels * (2 / camera.width) - 1)[None, None]
    planes = torch.cat([picture.color, picture.alpha], dim=-1).permute(2, 0, 1)[None]
    found = torch.nn.functional.grid_sample(planes, grid, align_corners=False)[0, :, 0].T
    alpha = found[:, 3:]
    # Nearer pictures resolve more: a weight by pixels to the millimetre, squared.
    nearness = (camera.K[0, 0] / depth[:, None] / 1000) ** 2
    # Fading towards the picture's border leaves no line where one picture ends.
    fade = ((1 - grid[0, 0].abs().amax(-1, keepdim=True)) / _BORDER).clamp(0, 1)
    share = cosine[index, None] ** _STRAIGHT * alpha**2 * nearness * fade
    return index, found[:, :3] / alpha.clamp_min(1e-3), share


def _depths(body: BodyModel, camera: Camera) -> Tensor:
    """(2, H, W) camera-space z of the mesh, far where there is none, and the nearest z about."""
    pixels, z = project(camera, body.v_template)
    seen = rasterise_mesh(
        pixels.numpy(), z.numpy(), body.faces.numpy(), camera.width, camera.height
    )
    depth = np.full(camera.height * camera.width, 1e3, np.float32)
    depth[seen.pixel] = seen.depth
    depth = depth.reshape(camera.height, camera.width)
    pixels_a_metre = float(camera.K[0, 0] / z.median())
    about = minimum_filter(depth, 2 * math.ceil(_EDGE_REACH * pixels_a_metre) + 1)
    return torch.from_numpy(np.stack([depth, about]))


def _is_seen(depths: Tensor, pixels: Tensor, z: Tensor) -> Tensor:
    """Whether points lie on the drawn surface, and not beside an edge far in front of them."""
    column, row = pixels.long().unbind(-1)
    here, about = depths[:, row, column]
    return (z < here + _SEEN) & (z < about + _EDGE_DEPTH)


def _nearest_colors(
    avatar: Avatar, splats: Gaussians, points: _Points, rows: np.ndarray
) -> np.ndarray:
    """(M, 3) colours of the splats nearest to points, of the same kind of part, same side."""
    body = avatar.body
    kinds = _face_kind(body)
    splat_face = avatar.binding.face_index.numpy()
    means, colors = splats.means.numpy(), splats.colors.numpy()
    normals = face_normals(body.v_template, body.faces)[avatar.binding.face_index].numpy()
    out = np.zeros((len(rows), 3), np.float32)
    point_kind = kinds[points.face[rows]]
    for kind in np.unique(point_kind):
        own = np.flatnonzero(kinds[splat_face] == kind)
        if len(own) == 0:  # nothing of this kind exists: whatever is near
            own = np.arange(len(means))
        mine = np.flatnonzero(point_kind == kind)
        position = points.position[rows[mine]].numpy()
        count = min(_NEAREST, len(own))
        distance, near = cKDTree(means[own]).query(position, k=count)
        near = own[near.reshape(len(mine), count)]
        facing = (normals[near] * points.normal[rows[mine]].numpy()[:, None]).sum(-1) > 0
        share = np.where(facing, 1.0, 1e-3) / (1e-3 + distance.reshape(near.shape)) ** 2
        share /= share.sum(axis=1, keepdims=True)
        out[mine] = (share[..., None] * colors[near]).sum(1)
    return out


def _face_kind(body: BodyModel) -> np.ndarray:
    """(F,) 0 for the outer skin, the index of the hidden kind plus 1 otherwise."""
    kinds = [
        next((1 + i for i, hidden in enumerate(_HIDDEN_PARTS) if name.startswith(hidden)), 0)
        for name in body.part_names
    ]
    if not kinds:
        return np.zeros(len(body.faces), np.int64)
    return np.array(kinds)[body.face_part.cpu().numpy()]
