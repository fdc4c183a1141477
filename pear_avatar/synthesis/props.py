"""Things beside the people: boxes, bottles, balls and boards that are held or stand before them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pear_avatar.geometry.native_mesh import MeshColors
from pear_avatar.synthesis.attributes import Cloth
from pear_avatar.synthesis.fabric import patterned
from pear_avatar.synthesis.garments import icosphere
from pear_avatar.synthesis.mesh_colors import lattice
from pear_avatar.synthesis.noise import ValueNoise

_PATTERNS = ("plain", "striped", "checked", "dotted", "blocks", "floral")


@dataclass(frozen=True)
class Prop:
    """A rigid thing about its own origin, y up: V vertices, F faces.

    vertices: (V, 3) metres. faces: (F, 3) int32. two_sided: (F,) uint8. colors: baked.
    """

    vertices: np.ndarray
    faces: np.ndarray
    two_sided: np.ndarray
    colors: MeshColors


def make_prop(size: np.ndarray, kind: str, seed: int) -> Prop:
    """A "box", "cylinder" or "ball" of (3,) metres, painted by a seed."""
    if kind == "box":
        vertices, faces = _box()
    elif kind == "cylinder":
        vertices, faces = _cylinder()
    else:
        vertices, faces = icosphere(2)
        vertices = vertices / 2
    rng = np.random.default_rng([seed, 10])
    scaled = (vertices * size).astype(np.float32)
    resolution = 10 if kind == "box" else 3
    weights = lattice(resolution)
    corner = scaled[faces]
    at = np.einsum("nk,fkc->fnc", weights, corner).reshape(-1, 3)
    scale = 0.25 / max(float(np.max(size)), 0.1)
    cloth = Cloth(_color(rng), _color(rng), _PATTERNS[int(rng.integers(len(_PATTERNS)))])
    across = (at[:, 0] + 0.7 * at[:, 2]) * scale
    rgb = patterned(cloth, across, at[:, 1] * scale, ValueNoise(seed))
    rgb = rgb * (0.9 + 0.2 * ValueNoise(seed + 1).fractal(at[:, 0] * 30, at[:, 1] * 30, 3))[:, None]
    texels = np.empty((len(at), 4), np.uint8)
    texels[:, :3] = np.clip(rgb, 0, 1) * 255
    texels[:, 3] = int(255 * rng.uniform(0, 0.5))
    start = (np.arange(len(faces)) * len(weights)).astype(np.int32)
    colors = MeshColors(start, np.full(len(faces), resolution, np.uint8), texels)
    return Prop(scaled, faces.astype(np.int32), np.zeros(len(faces), np.uint8), colors)


def _color(rng: np.random.Generator) -> tuple[float, float, float]:
    r, g, b = np.clip(rng.uniform(0.05, 0.95) * rng.uniform(0.5, 1.1, 3), 0.03, 0.97)
    return float(r), float(g), float(b)


def _box() -> tuple[np.ndarray, np.ndarray]:
    """Unit box with its own corners on each side, so that its edges stay hard."""
    vertices: list[np.ndarray] = []
    faces: list[tuple[int, int, int]] = []
    for axis in range(3):
        for sign in (-0.5, 0.5):
            u, v = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
            middle = sign * np.eye(3)[axis]
            quad = [middle + 0.5 * (a * u + b * v) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            if sign < 0:
                quad.reverse()
            k = len(vertices)
            vertices += quad
            faces += [(k, k + 1, k + 2), (k, k + 2, k + 3)]
    return np.asarray(vertices), np.asarray(faces)


def _cylinder(sides: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Unit cylinder along y, with a slight neck at its top."""
    angle = np.arange(sides) * 2 * np.pi / sides
    ring = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], 1)
    rows = ((0.0, -0.5), (0.5, -0.5), (0.5, -0.46), (0.5, 0.2), (0.42, 0.34), (0.28, 0.4),
            (0.28, 0.5), (0.0, 0.5))  # fmt: skip
    vertices = np.concatenate([ring * r + [0, y, 0] for r, y in rows])
    k = np.arange(sides)
    faces = []
    for row in range(len(rows) - 1):
        a, b = row * sides + k, row * sides + (k + 1) % sides
        c, d = a + sides, b + sides
        faces += [np.stack([a, b, c], 1), np.stack([b, d, c], 1)]
    return vertices, np.concatenate(faces)
