"""A small z-buffer rasteriser in NumPy: enough to show the body to a landmark detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

BACKGROUND = (0.75, 0.77, 0.80)
_KEY_LIGHT, _FILL_LIGHT = 0.5, 0.18
_AMBIENT, _SKY = 0.42, 0.10
_GLOSS = 0.12


@dataclass(frozen=True)
class View:
    """A pinhole camera: OpenCV axes, x_camera = R x_world + t, ``focal`` in pixels."""

    R: np.ndarray
    t: np.ndarray
    focal: float
    width: int
    height: int

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points (..., 3) -> pixels (..., 2) and depth (...)."""
        camera = points @ self.R.T + self.t
        center = np.array([self.width / 2, self.height / 2])
        return camera[..., :2] / camera[..., 2:] * self.focal + center, camera[..., 2]


def look_at(eye: np.ndarray, target: np.ndarray, focal: float, width: int, height: int) -> View:
    """A view from ``eye`` at ``target`` with the world's y up."""
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    R = np.stack([right, np.cross(forward, right), forward])
    return View(R, -R @ eye, focal, width, height)


@dataclass(frozen=True)
class Image:
    """rgb (H, W, 3) uint8; the face seen at each pixel (H, W), -1 for none, and where (H, W, 3)."""

    rgb: np.ndarray
    face: np.ndarray
    barycentric: np.ndarray


def rasterise_mesh(
    pixels: np.ndarray, depth: np.ndarray, faces: np.ndarray, width: int, height: int
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest face (H, W), -1 where none, and perspective-correct barycentrics (H, W, 3)."""
    corners, z = pixels[faces], depth[faces]
    (x0, y0), (x1, y1), (x2, y2) = (corners[:, k].T for k in range(3))
    area = (x1 - x0) * (y2 - y0) - (y1 - y0) * (x2 - x0)
    low = np.maximum(np.floor(corners.min(axis=1) - 0.5).astype(int), 0)
    high = np.minimum(np.ceil(corners.max(axis=1) - 0.5).astype(int), [width - 1, height - 1])
    visible = (np.abs(area) > 1e-9) & (high >= low).all(axis=1) & (z.min(axis=1) > 1e-2)
    drawn = np.nonzero(visible)[0]
    columns = high[drawn, 0] - low[drawn, 0] + 1
    count = columns * (high[drawn, 1] - low[drawn, 1] + 1)
    owner = np.repeat(np.arange(len(drawn)), count)
    step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    f = drawn[owner]
    x = low[f, 0] + step % columns[owner]
    y = low[f, 1] + step // columns[owner]
    cx, cy = x + 0.5, y + 0.5
    w0 = ((x1[f] - cx) * (y2[f] - cy) - (y1[f] - cy) * (x2[f] - cx)) / area[f]
    w1 = ((x2[f] - cx) * (y0[f] - cy) - (y2[f] - cy) * (x0[f] - cx)) / area[f]
    inside = (w0 >= 0) & (w1 >= 0) & (w0 + w1 <= 1)
    f, pixel = f[inside], (y * width + x)[inside]
    screen = np.stack([w0, w1, 1 - w0 - w1], axis=1)[inside]
    over_z = screen / z[f]
    hit_depth = 1 / over_z.sum(axis=1)
    order = np.lexsort((hit_depth, pixel))
    first = np.ones(len(order), dtype=bool)
    first[1:] = pixel[order][1:] != pixel[order][:-1]
    nearest = order[first]
    face = np.full(height * width, -1)
    barycentric = np.zeros((height * width, 3))
    face[pixel[nearest]] = f[nearest]
    barycentric[pixel[nearest]] = over_z[nearest] * hit_depth[nearest, None]
    return face.reshape(height, width), barycentric.reshape(height, width, 3)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, area weighted."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], np.cross(b - a, c - a))
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12))


def render(
    vertices: np.ndarray,
    faces: np.ndarray,
    view: View,
    colors: Callable[[np.ndarray, np.ndarray], np.ndarray],
    light: np.ndarray,
    *,
    background: tuple[float, float, float] = BACKGROUND,
) -> Image:
    """Shade the mesh under a key light from ``light`` (3,) and a weak fill light.

    ``colors`` gives RGB (P, 3) for P surface points: face (P,) and barycentrics (P, 3).
    """
    face, barycentric = rasterise_mesh(*view.project(vertices), faces, view.width, view.height)
    hit = face >= 0
    f, w = face[hit], barycentric[hit]
    corners = faces[f]
    normal = np.einsum("pk,pkc->pc", w, vertex_normals(vertices, faces)[corners])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    position = np.einsum("pk,pkc->pc", w, vertices[corners])
    to_eye = -view.R.T @ view.t - position
    to_eye /= np.linalg.norm(to_eye, axis=1, keepdims=True)
    shade, shine = _AMBIENT + _SKY * normal[:, 1], np.zeros(len(f))
    for direction, power in ((light, _KEY_LIGHT), (light * [-1.5, 0.5, 0.6], _FILL_LIGHT)):
        unit = direction / np.linalg.norm(direction)
        shade = shade + power * np.clip((normal @ unit + 0.25) / 1.25, 0, None)
        half = to_eye + unit
        half /= np.linalg.norm(half, axis=1, keepdims=True)
        shine += power * np.clip((normal * half).sum(axis=1), 0, None) ** 25
    rgb = np.tile(np.asarray(background, dtype=float), (view.height, view.width, 1))
    rgb[hit] = np.clip(colors(f, w) * shade[:, None] + _GLOSS * shine[:, None], 0, 1)
    return Image((rgb * 255).astype(np.uint8), face, barycentric)
