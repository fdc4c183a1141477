"""Posed bodies drawn as shaded meshes, over the picture they were recovered from and from aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pear_avatar.geometry.cameras import to_camera
from pear_avatar.geometry.mesh_raster import rasterise_mesh
from pear_avatar.geometry.meshes import vertex_normals
from pear_avatar.types import Camera

__all__ = ["COLORS", "DrawnBody", "draw_over", "side_view"]

#: Colours that stay apart, also for people who see few colours (Okabe and Ito).
COLORS = (
    (86, 180, 233), (230, 159, 0), (0, 158, 115), (204, 121, 167), (240, 228, 66),
    (0, 114, 178), (213, 94, 0),
)  # fmt: skip
_PAPER = 24
_AMBIENT, _HEAD_LIGHT, _TOP_LIGHT = 0.28, 0.5, 0.25
#: Room round the person in the side view, as a share of their size.
_ROOM = 1.15


@dataclass(frozen=True)
class DrawnBody:
    """A mesh in a camera's coordinates, ready to be drawn.

    vertices (V, 3) metres in OpenCV axes; normals (V, 3); faces (F, 3); color RGB 0..255.
    """

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    color: tuple[int, int, int]

    @classmethod
    def of(
        cls, vertices: Tensor, faces: Tensor, camera: Camera, color: tuple[int, int, int]
    ) -> DrawnBody:
        """From (V, 3) vertices in the camera's world."""
        with torch.no_grad():
            seen = to_camera(camera, vertices).float()
            normals = vertex_normals(seen, faces)
        return cls(seen.numpy(), normals.numpy(), faces.numpy(), color)


def draw_over(
    picture: np.ndarray, bodies: Sequence[DrawnBody], K: np.ndarray, opacity: float = 0.75
) -> np.ndarray:
    """The (H, W, 3) uint8 picture with the bodies drawn over it, nearest last.

    Args:
        picture: may be a scaled copy of the frame; ``K`` (3, 3) must be scaled with it.
        bodies: in the camera's coordinates.
        opacity: of the bodies, in [0, 1].
    """
    out = picture.copy()
    for body in sorted(bodies, key=lambda b: -float(b.vertices[:, 2].mean())):
        _paint(out, body, K, opacity)
    return out


def side_view(bodies: Sequence[DrawnBody], height: int, width: int) -> np.ndarray:
    """(height, width, 3) uint8: the bodies seen from the person's side of the camera's left.

    An orthographic view at right angles to the camera's axis: wrong depth, leaning and tilted
    heads, which the camera itself cannot see, show here.
    """
    out = np.full((height, width, 3), _PAPER, np.uint8)
    if not bodies:
        return out
    turned = [_from_the_side(b) for b in bodies]
    every = np.concatenate([b.vertices for b in turned])
    low, high = every.min(0), every.max(0)
    extent = np.maximum(high - low, 1e-3)
    zoom = min(width / extent[0], height / extent[1]) / _ROOM
    # A camera far away is as good as an orthographic one.
    far = 1000.0
    middle = (low + high) / 2
    K = np.array([[zoom * far, 0, width / 2], [0, zoom * far, height / 2], [0, 0, 1.0]])
    shift = np.array([-middle[0], -middle[1], far - middle[2]], np.float32)
    for body in sorted(turned, key=lambda b: -float(b.vertices[:, 2].mean())):
        moved = DrawnBody(body.vertices + shift, body.normals, body.faces, body.color)
        _paint(out, moved, K, 1.0)
    return out


def _from_the_side(body: DrawnBody) -> DrawnBody:
    """Turned by 90 degrees about the camera's y axis."""
    turn = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], np.float32)
    return DrawnBody(body.vertices @ turn.T, body.normals @ turn.T, body.faces, body.color)


def _paint(out: np.ndarray, body: DrawnBody, K: np.ndarray, opacity: float) -> None:
    height, width = out.shape[:2]
    z = body.vertices[:, 2]
    safe = np.maximum(z, 1e-3)
    px = np.stack(
        [
            K[0, 0] * body.vertices[:, 0] / safe + K[0, 2],
            K[1, 1] * body.vertices[:, 1] / safe + K[1, 2],
        ],
        axis=1,
    )
    seen = rasterise_mesh(px, z, body.faces, width, height)
    corners = body.normals[body.faces[seen.face]]
    normal = np.einsum("mk,mkd->md", seen.barycentric, corners)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    facing = np.abs(normal[:, 2])
    from_above = np.maximum(-normal[:, 1], 0.0)
    light = _AMBIENT + _HEAD_LIGHT * facing + _TOP_LIGHT * from_above
    color = light[:, None] * np.array(body.color, np.float32)
    flat = out.reshape(-1, 3)
    behind = flat[seen.pixel].astype(np.float32)
    flat[seen.pixel] = np.clip(behind + opacity * (color - behind), 0, 255).astype(np.uint8)
