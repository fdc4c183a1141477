"""Where the synthetic person is filmed: camera, light, ground, wall, shadow, and the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from pear_avatar.geometry.cameras import camera_center, project
from pear_avatar.geometry.mesh_raster import Fragments, rasterise_mesh
from pear_avatar.synthesis.garments import vertex_normals
from pear_avatar.synthesis.noise import ValueNoise
from pear_avatar.synthesis.paint import paint
from pear_avatar.synthesis.person import Person
from pear_avatar.types import Camera

_SUPERSAMPLE = 2
_SUN = np.array([0.42, 0.74, 0.52], np.float32) / np.float32(np.sqrt(0.42**2 + 0.74**2 + 0.52**2))
_ORIGIN = np.zeros(3, np.float32)
_WALL_Z, _WALL_TOP = -6.2, 2.1


@dataclass(frozen=True)
class Stage:
    """A level camera at the world's origin looking along -z, above a floor.

    focal: pixels. width, height: of the picture. floor: world y of the ground in metres.
    background: (height, width, 3) float32 RGB in [0, 1], the empty set.
    """

    focal: float
    width: int
    height: int
    floor: float
    background: np.ndarray

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World points (V, 3) -> pixels (V, 2) and depth (V,)."""
        depth = -points[:, 2]
        safe = np.maximum(depth, 1e-3)
        u = points[:, 0] / safe * self.focal + self.width / 2
        v = -points[:, 1] / safe * self.focal + self.height / 2
        return np.stack([u, v], 1).astype(np.float32), depth.astype(np.float32)


def make_stage(width: int, height: int, person_height: float, seed: int) -> Stage:
    """A set in which a person of ``person_height`` metres fills most of the picture's height."""
    focal = 1.15 * max(width, height)
    floor = -0.525 * person_height
    return Stage(focal, width, height, floor, _backdrop(width, height, focal, floor, seed))


def person_distance(stage: Stage, person_height: float) -> float:
    """Metres from the camera at which the person takes 79 % of the picture's height."""
    return stage.focal * person_height / (0.79 * stage.height)


def film(
    stage: Stage, person: Person, vertices: np.ndarray, noise: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One frame.

    Args:
        stage: the set.
        person: who stands in it.
        vertices: (V, 3) posed in the world.
        noise: the sensor's.

    Returns:
        RGB (H, W, 3) uint8 and the person's coverage (H, W) float32 in [0, 1].
    """
    points, depth = stage.project(vertices)
    picture = stage.background * (1 - _ground_shadow(stage, person, vertices))[..., None]
    alpha = np.zeros((stage.height, stage.width), np.float32)
    x0, y0, x1, y1 = _box(points, stage.width, stage.height)
    if x1 > x0 and y1 > y0:
        color, coverage = _person_layer(
            person, vertices, points - [x0, y0], depth, _View(_ORIGIN, x1 - x0, y1 - y0)
        )
        window = picture[y0:y1, x0:x1]
        picture[y0:y1, x0:x1] = color + (1 - coverage[..., None]) * window
        alpha[y0:y1, x0:x1] = coverage
    grain = noise.standard_normal(picture.shape[:2], np.float32)[..., None]
    rgb = np.clip(picture + 0.006 * grain, 0, 1)
    return (rgb * 255 + 0.5).astype(np.uint8), alpha


def draw_person(
    person: Person, vertices: np.ndarray, camera: Camera
) -> tuple[np.ndarray, np.ndarray]:
    """A person alone, seen by any camera: the truth of a novel view.

    Args:
        person: who is drawn.
        vertices: (V, 3) posed in the world, metres.
        camera: one camera, no batch axes.

    Returns:
        RGB (H, W, 3) float32 in [0, 1], premultiplied by the coverage (H, W) float32 in [0, 1].
    """
    points, depth = project(camera, torch.from_numpy(np.asarray(vertices, np.float32)))
    view = _View(camera_center(camera).numpy(), camera.width, camera.height)
    rgb = np.zeros((camera.height, camera.width, 3), np.float32)
    alpha = np.zeros((camera.height, camera.width), np.float32)
    in_front = depth.numpy() > 1e-3
    if in_front.any():
        x0, y0, x1, y1 = _box(points.numpy()[in_front], camera.width, camera.height)
        if x1 > x0 and y1 > y0:
            window = _View(view.eye, x1 - x0, y1 - y0)
            color, coverage = _person_layer(
                person, vertices, points.numpy() - [x0, y0], depth.numpy(), window
            )
            rgb[y0:y1, x0:x1], alpha[y0:y1, x0:x1] = color, coverage
    return rgb, alpha


@dataclass(frozen=True)
class _View:
    """Where the camera stands (3,) and the size of the window that is drawn."""

    eye: np.ndarray
    width: int
    height: int


def _box(points: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    low = np.clip(np.floor(points.min(0)) - 2, 0, [width, height]).astype(int)
    high = np.clip(np.ceil(points.max(0)) + 2, 0, [width, height]).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _person_layer(
    person: Person, vertices: np.ndarray, points: np.ndarray, depth: np.ndarray, view: _View
) -> tuple[np.ndarray, np.ndarray]:
    """Premultiplied color (height, width, 3) and coverage (height, width) of a window."""
    s = _SUPERSAMPLE
    wide, high = view.width * s, view.height * s
    fragments = rasterise_mesh(
        points * s, depth, person.faces, wide, high, two_sided=person.two_sided
    )
    color = np.zeros((high * wide, 3), np.float32)
    coverage = np.zeros(high * wide, np.float32)
    color[fragments.pixel] = _shade(person, vertices, fragments, view.eye)
    coverage[fragments.pixel] = 1.0
    return _average(color.reshape(high, wide, 3)), _average(coverage.reshape(high, wide))


def _average(fine: np.ndarray) -> np.ndarray:
    """Mean of each 2 x 2 block of (2 H, 2 W, ...)."""
    coarse: np.ndarray = 0.25 * (
        fine[::2, ::2] + fine[1::2, ::2] + fine[::2, 1::2] + fine[1::2, 1::2]
    )
    return coarse


def _unit(v: np.ndarray) -> np.ndarray:
    """(M, 3) scaled to unit length."""
    unit: np.ndarray = v / np.sqrt(np.maximum(np.einsum("mc,mc->m", v, v), 1e-12))[:, None]
    return unit


def _shade(
    person: Person, vertices: np.ndarray, fragments: Fragments, eye: np.ndarray
) -> np.ndarray:
    """RGB (M, 3): sky from above, a soft sun, bounce from the ground, a little gloss."""
    corner = person.faces[fragments.face]
    weight = fragments.barycentric
    normals = vertex_normals(vertices, person.faces)
    carried = np.concatenate(
        [normals, vertices, person.paint_xyz, person.paint_inset[:, None]], 1
    ).astype(np.float32)
    at = (
        carried[corner[:, 0]] * weight[:, :1]
        + carried[corner[:, 1]] * weight[:, 1:2]
        + carried[corner[:, 2]] * weight[:, 2:]
    )
    n = at[:, :3] * np.where(fragments.facing, 1, -1)[:, None]
    n = _unit(n)
    coat = paint(person, person.material[fragments.face], at[:, 6:9], at[:, 9])
    sun = np.clip((n @ _SUN + 0.45) / 1.45, 0, None)
    light = 0.60 + 0.14 * n[:, 1] + 0.36 * sun
    light = np.where(fragments.facing, light, 0.45 * light)
    warm = np.array([1.02, 1.0, 0.97], np.float32)
    half = _unit(_SUN - _unit(at[:, 3:6] - eye))
    shine = coat.gloss * np.clip(np.einsum("mc,mc->m", n, half), 0, 1) ** 24
    lit: np.ndarray = np.clip(coat.albedo * light[:, None] * warm + 0.5 * shine[:, None], 0, 1)
    return lit


def _ground_shadow(stage: Stage, person: Person, vertices: np.ndarray) -> np.ndarray:
    """(H, W) darkness of the person's shadow on the floor: sharp at the feet, soft further off."""
    height = np.maximum(vertices[:, 1] - stage.floor, 0)
    fallen = vertices - _SUN * (height / _SUN[1])[:, None]
    fallen[:, 1] = stage.floor
    points, depth = stage.project(fallen.astype(np.float32))
    w, h = stage.width // 2, stage.height // 2
    fragments = rasterise_mesh(points / 2, depth, person.faces, w, h)
    mask = np.zeros(w * h, np.float32)
    mask[fragments.pixel] = 1.0
    soft = gaussian_filter(mask.reshape(h, w), 1.5)
    contact = gaussian_filter(mask.reshape(h, w), (2.5, 8.0))
    dark = np.kron(0.30 * soft + 0.15 * contact, np.ones((2, 2), np.float32))
    full = np.zeros((stage.height, stage.width), np.float32)
    full[: dark.shape[0], : dark.shape[1]] = dark[: stage.height, : stage.width]
    return full * _floor_mask(stage)


def _floor_mask(stage: Stage) -> np.ndarray:
    """(H, 1) 1 on rows that show the floor in front of the wall."""
    row = np.arange(stage.height) + 0.5
    wall_foot = stage.height / 2 - stage.floor * stage.focal / -_WALL_Z
    return (row > wall_foot).astype(np.float32)[:, None]


def _backdrop(width: int, height: int, focal: float, floor: float, seed: int) -> np.ndarray:
    """(H, W, 3) the empty set: paving, a rendered brick wall, sky above it; 2x supersampled."""
    s = _SUPERSAMPLE
    v, u = np.mgrid[0 : height * s, 0 : width * s].astype(np.float32)
    right = ((u + 0.5) / s - width / 2) / focal
    up = -((v + 0.5) / s - height / 2) / focal
    noise = ValueNoise(seed)
    wall_x, wall_y = right * -_WALL_Z, up * -_WALL_Z
    picture = _wall(wall_x, wall_y - floor, noise)
    sky = np.stack([0.70 - 0.25 * up, 0.79 - 0.15 * up, 0.90 - 0.05 * up], -1)
    cloud = np.clip(noise.fractal(wall_x * 0.4, wall_y * 0.9, 4) * 1.6 - 0.5, 0, 1)[..., None]
    sky = sky * (1 - 0.5 * cloud) + 0.5 * 0.95 * cloud
    picture = np.where((wall_y - floor > _WALL_TOP)[..., None], sky, picture)
    distance = np.where(up < -1e-3, floor / np.minimum(up, -1e-3), 1e3)
    ground = _paving(right * distance, distance, noise)
    picture = np.where((distance < -_WALL_Z)[..., None], ground, picture)
    return np.clip(_average(picture), 0, 1).astype(np.float32)


def _wall(x: np.ndarray, y: np.ndarray, noise: ValueNoise) -> np.ndarray:
    """Bricks with mortar below a band of plaster."""
    row = np.floor(y / 0.09)
    shifted = x / 0.26 + 0.5 * (row % 2)
    brick = np.floor(shifted)
    edge_x = np.minimum(shifted - brick, brick + 1 - shifted) * 0.26
    edge_y = np.minimum(y / 0.09 - row, row + 1 - y / 0.09) * 0.09
    mortar = np.clip((0.009 - np.minimum(edge_x, edge_y)) / 0.004, 0, 1)[..., None]
    tint = noise.value(brick * 7.3, row * 3.1)[..., None]
    grain = noise.fractal(x * 6, y * 6, 4)[..., None]
    color = np.array([0.64, 0.50, 0.43]) * (0.82 + 0.25 * tint + 0.12 * grain)
    color = color * (1 - mortar) + np.array([0.72, 0.69, 0.65]) * mortar
    plaster = np.array([0.80, 0.77, 0.70]) * (0.92 + 0.12 * grain)
    return np.where((y > 1.75)[..., None], plaster, color)


def _paving(x: np.ndarray, z: np.ndarray, noise: ValueNoise) -> np.ndarray:
    """Square slabs with joints."""
    tile = 0.5
    i, j = np.floor(x / tile), np.floor(z / tile)
    edge = np.minimum.reduce([x / tile - i, i + 1 - x / tile, z / tile - j, j + 1 - z / tile])
    joint = np.clip((0.018 - edge) / 0.012, 0, 1)[..., None]
    tint = noise.value(i * 5.7, j * 9.1)[..., None]
    grain = noise.fractal(x * 9, z * 9, 4)[..., None]
    color = np.array([0.60, 0.59, 0.56]) * (0.84 + 0.16 * tint + 0.18 * grain)
    return color * (1 - 0.35 * joint)
