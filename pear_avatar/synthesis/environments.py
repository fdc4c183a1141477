"""Where pictures are taken: procedural skies, streets and rooms, and the user's own panoramas.

An environment carries its light: irradiance as nine spherical harmonics (Ramamoorthi and
Hanrahan, "An Efficient Representation for Irradiance Environment Maps", 2001) and a sun (or lamp)
that casts shadows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from pear_avatar.errors import PearError
from pear_avatar.geometry.native_mesh import Backdrop, Light
from pear_avatar.synthesis.noise import ValueNoise

_TEXTURE = 256
#: Cosine lobe over pi for the bands 0, 1, 2.
_LOBE = np.array([1.0, *[2 / 3] * 3, *[0.25] * 5], np.float32)
_PANORAMA = (192, 384)


@dataclass(frozen=True)
class Environment:
    """A place: what is seen of it and how it lights people; the floor is at y = 0."""

    backdrop: Backdrop
    light: Light


def make_environment(seed: int) -> Environment:
    """A random place, outdoors or a room; the same seed gives the same place."""
    rng = np.random.default_rng([seed, 8])
    noise = ValueNoise(seed)
    if rng.random() < 0.5:
        return _outdoors(rng, noise, _sky(rng, noise))
    return _room(rng, noise)


def read_environment(path: str | Path, seed: int = 0) -> Environment:
    """A panorama of the user's (equirectangular, HDR or not) as an outdoor place.

    Raises:
        PearError: the file cannot be read as a picture.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] < 3:
        raise PearError(f"{path} is not a colour picture that can be read")
    rgb: np.ndarray = picture[..., 2::-1].astype(np.float32)
    if picture.dtype == np.uint8:
        rgb = (rgb / 255) ** 2.2
    elif picture.dtype == np.uint16:
        rgb = (rgb / 65535) ** 2.2
    rgb = np.nan_to_num(rgb, posinf=1e3).clip(0, 1e3)
    rgb = cv2.resize(rgb, (512, 256), interpolation=cv2.INTER_AREA)
    rng = np.random.default_rng([seed, 9])
    rgb = (rgb * (0.4 / max(float(rgb.mean()), 1e-6))).astype(np.float32)
    return _outdoors(rng, ValueNoise(seed), rgb)


def irradiance_sh(panorama: np.ndarray) -> np.ndarray:
    """(9, 3) irradiance over pi of an equirectangular panorama (h, w, 3) of linear light."""
    small = cv2.resize(panorama, (64, 32), interpolation=cv2.INTER_AREA)
    directions, solid = _directions(*small.shape[:2])
    x, y, z = np.moveaxis(directions, -1, 0)
    basis = np.stack(
        [0 * x + 0.282095, 0.488603 * y, 0.488603 * z, 0.488603 * x, 1.092548 * x * y,
         1.092548 * y * z, 0.315392 * (3 * z * z - 1), 1.092548 * x * z,
         0.546274 * (x * x - y * y)]
    )  # fmt: skip
    sums: np.ndarray = np.einsum("bhw,hwc,hw->bc", basis, small, solid)
    return (sums * _LOBE[:, None]).astype(np.float32)


def _directions(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit directions (h, w, 3) of a panorama's pixels and their solid angles (h, w)."""
    latitude = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    longitude = ((np.arange(width) + 0.5) / width - 0.5) * 2 * np.pi
    lat, lon = np.meshgrid(latitude, longitude, indexing="ij")
    d = np.stack([np.cos(lat) * np.sin(lon), np.sin(lat), np.cos(lat) * np.cos(lon)], -1)
    solid = np.cos(lat) * (np.pi / height) * (2 * np.pi / width)
    return d.astype(np.float32), solid.astype(np.float32)


def _sun_direction(rng: np.random.Generator) -> np.ndarray:
    azimuth, height = rng.uniform(-np.pi, np.pi), np.radians(rng.uniform(18, 75))
    direction = [np.cos(height) * np.sin(azimuth), np.sin(height), np.cos(height) * np.cos(azimuth)]
    return np.asarray(direction, np.float32)


def _outdoors(rng: np.random.Generator, noise: ValueNoise, panorama: np.ndarray) -> Environment:
    panorama = np.ascontiguousarray(panorama, np.float32)
    ground = _ground_texture(rng, noise)
    sun = _sun_direction(rng)
    clear = rng.random() < 0.65
    warm = np.array([1.0, 0.93, 0.82], np.float32) ** rng.uniform(0, 2.0)
    strength = rng.uniform(0.5, 1.4) if clear else rng.uniform(0.0, 0.25)
    sh = irradiance_sh(panorama)
    sh *= rng.uniform(0.35, 0.6) / max(float(sh[0].mean()) * 0.282095, 1e-4)
    light = Light(sh, sun, (strength * warm).astype(np.float32), softness=rng.uniform(0.7, 2.0))
    backdrop = Backdrop(
        floor=0.0,
        room=None,
        panorama=panorama,
        ground=ground,
        wall=ground,
        ground_scale=rng.uniform(1.0, 4.0),
        wall_scale=1.0,
    )
    return Environment(backdrop, light)


def _sky(rng: np.random.Generator, noise: ValueNoise) -> np.ndarray:
    """Sky, clouds, and a horizon of hills, trees or houses."""
    height, width = _PANORAMA
    d, _ = _directions(height, width)
    up = d[..., 1]
    lon = np.arctan2(d[..., 0], d[..., 2])
    zenith = np.array([rng.uniform(0.1, 0.35), rng.uniform(0.3, 0.5), rng.uniform(0.6, 0.95)])
    rim = np.array([0.75, 0.82, 0.9]) * rng.uniform(0.7, 1.1)
    t = np.clip(up, 0, 1)[..., None] ** 0.6
    sky = rim * (1 - t) + zenith * t
    reach = 1.0 / np.maximum(up, 0.06)
    cloud = noise.fractal(np.sin(lon) * reach * 2 + 60, np.cos(lon) * reach * 2 + 60, 5)
    cover = np.clip((cloud - rng.uniform(0.35, 0.7)) * 4, 0, 1)[..., None]
    gray = rng.uniform(0.7, 1.1)
    sky = sky * (1 - cover) + gray * cover
    picture = np.where(up[..., None] > 0, sky, 0.25 * rim)
    for layer in range(int(rng.integers(1, 4))):
        picture = _skyline(picture, lon, up, rng, noise, layer=layer)
    return picture.astype(np.float32)


def _skyline(
    picture: np.ndarray,
    lon: np.ndarray,
    up: np.ndarray,
    rng: np.random.Generator,
    noise: ValueNoise,
    *,
    layer: int,
) -> np.ndarray:
    """One row of houses or trees before the horizon."""
    at = (lon + np.pi) * 6 + 19 * layer
    if rng.random() < 0.5:  # houses
        block = np.floor(at * rng.uniform(0.5, 1.5))
        tall = 0.05 + 0.45 * noise.value(block * 3.3 + layer, 0 * block) ** 1.5
        tint = noise.value(block * 1.7 + 5, 0 * block + 3)[..., None]
        color = (0.2 + 0.5 * tint) * np.array([1.0, 0.93, 0.86]) ** (3 * tint)
        window = (np.sin(at * 22) > 0.2) & (np.sin(up * 130) > 0.0)
        color = np.where(window[..., None], color * 0.45, color)
    else:
        tall = 0.04 + 0.3 * noise.fractal(at * 2, 0 * at + layer, 4)
        leaf = noise.fractal(at * 14, up * 90, 3)[..., None]
        color = (0.05 + 0.35 * leaf) * np.array([0.6, 0.85, 0.35])
    return np.where((up < tall)[..., None] & (up > -0.1)[..., None], color, picture)


def _ground_texture(rng: np.random.Generator, noise: ValueNoise) -> np.ndarray:
    """(S, S, 3) uint8 paving, grass, sand, asphalt, planks or carpet that repeats."""
    y, x = (np.mgrid[0:_TEXTURE, 0:_TEXTURE] / _TEXTURE).astype(np.float32)
    kind = rng.integers(5)
    base = np.asarray(
        [(0.55, 0.54, 0.52), (0.26, 0.40, 0.16), (0.70, 0.62, 0.46), (0.30, 0.30, 0.31),
         (0.52, 0.36, 0.22)][kind]
    ) * rng.uniform(0.75, 1.2) * rng.uniform(0.92, 1.08, 3)  # fmt: skip
    grain = _tiling(rng, 32, 3)
    coarse = _tiling(rng, 4, 3)
    color = base * (0.75 + 0.3 * grain + 0.25 * coarse)[..., None]
    if kind == 0:
        n = int(rng.integers(2, 9))
        edge = np.minimum(
            np.minimum((x * n) % 1, 1 - (x * n) % 1), np.minimum((y * n) % 1, 1 - (y * n) % 1)
        )
        color = color * (0.6 + 0.4 * np.clip(edge / 0.05, 0, 1))[..., None]
    elif kind == 4:
        n = int(rng.integers(4, 12))
        board = np.floor(x * n)
        tint = noise.value(board * 3.7, 0 * board)
        edge = np.minimum((x * n) % 1, 1 - (x * n) % 1)
        line = _tiling(rng, 16, 2)
        color = color * (0.75 + 0.35 * tint + 0.2 * line)[..., None]
        color = color * (0.5 + 0.5 * np.clip(edge / 0.04, 0, 1))[..., None]
    return np.ascontiguousarray((np.clip(color, 0, 1) * 255).astype(np.uint8))


def _wall_texture(rng: np.random.Generator, noise: ValueNoise) -> np.ndarray:
    """(S, S, 3) uint8 plaster, bricks, wallpaper, panels or shelves that repeat."""
    y, x = (np.mgrid[0:_TEXTURE, 0:_TEXTURE] / _TEXTURE).astype(np.float32)
    kind = rng.integers(5)
    base = rng.uniform(0.25, 0.95) * rng.uniform(0.75, 1.05, 3)
    accent = rng.uniform(0.1, 0.9, 3)
    grain = _tiling(rng, 32, 3)
    color = base * (0.88 + 0.16 * grain)[..., None]
    if kind == 1:
        row = np.floor(y * 16)
        u = (x * 6 + 0.5 * (row % 2)) % 1
        edge = np.minimum(np.minimum(u, 1 - u) / 6, np.minimum((y * 16) % 1, 1 - (y * 16) % 1) / 16)
        tint = noise.value(np.floor(x * 6 + 0.5 * (row % 2)) * 5.1, row * 3.3)
        brick = np.array([0.62, 0.40, 0.31]) * (0.7 + 0.4 * tint)[..., None]
        color = np.where((edge < 0.006)[..., None], base, brick * (0.85 + 0.3 * grain)[..., None])
    elif kind == 2:
        n = int(rng.integers(4, 20))
        stripe = ((x * n) % 1 < rng.uniform(0.2, 0.6))[..., None]
        color = np.where(stripe, accent * (0.9 + 0.2 * grain)[..., None], color)
    elif kind == 3:
        cell = (np.floor(x * 4) * 7.3, np.floor(y * 4) * 3.9)
        tint = noise.value(*cell)[..., None]
        edge = np.minimum((x * 4) % 1, (y * 4) % 1)
        color = (accent * tint + base * (1 - tint)) * (0.6 + 0.4 * np.clip(edge / 0.06, 0, 1))[
            ..., None
        ]
    elif kind == 4:  # books and boxes on shelves
        row = np.floor(y * 5)
        book = np.floor(x * 40 + 13 * row)
        hue = np.stack([noise.value(book * 1.9 + 3 * k, row * 2.3) for k in range(3)], -1)
        tall = (y * 5) % 1 > 0.15 + 0.3 * noise.value(book * 2.7, row + 0.5)
        color = np.where(tall[..., None], 0.15 + 0.7 * hue, 0.12)
        color = np.where(((y * 5) % 1 > 0.93)[..., None], base * 0.7, color)
    return np.ascontiguousarray((np.clip(color, 0, 1) * 255).astype(np.uint8))


def _tiling(rng: np.random.Generator, period: int, octaves: int) -> np.ndarray:
    """(S, S) float32 fractal noise that repeats without a seam, in [0, 1].

    ``period`` (lattice steps across the texture) is a power of two.
    """
    total, weight = np.zeros((_TEXTURE, _TEXTURE), np.float32), 0.0
    for k in range(octaves):
        n = min(period * 2**k, _TEXTURE)
        table = np.pad(rng.random((n, n)).astype(np.float32), 1, mode="wrap")
        step = _TEXTURE // n
        fine = cv2.resize(table, None, fx=step, fy=step, interpolation=cv2.INTER_LINEAR)
        total += fine[step : step + _TEXTURE, step : step + _TEXTURE] * 0.5**k
        weight += 0.5**k
    return total / weight


def _room(rng: np.random.Generator, noise: ValueNoise) -> Environment:
    """A room with four walls, a ceiling and a lamp or a window's light."""
    wide, deep, tall = rng.uniform(2.5, 7), rng.uniform(2.5, 7), rng.uniform(2.4, 3.6)
    wall, ground = _wall_texture(rng, noise), _ground_texture(rng, noise)
    d, _ = _directions(32, 64)
    side = _sun_direction(rng)
    bright = np.clip(d @ (side * [1, 0.4, 1]), 0, 1) ** 2
    tone = np.array([1.0, 0.92, 0.80]) ** rng.uniform(0, 1.6)
    glow = 0.25 + 0.9 * bright[..., None] + 0.25 * np.clip(d[..., 1:2], 0, 1)
    walls = wall.mean((0, 1)) / 255
    sh = irradiance_sh((glow * tone * (0.5 + 0.5 * walls)).astype(np.float32))
    sh *= rng.uniform(0.4, 0.75) / max(float(sh[0].mean()) * 0.282095, 1e-4)
    lamp = (rng.uniform(0.05, 0.6) * tone).astype(np.float32)
    light = Light(sh, side, lamp, softness=rng.uniform(1.5, 3.5))
    room = (-wide, wide, -deep, deep, tall)
    backdrop = Backdrop(
        floor=0.0,
        room=room,
        panorama=None,
        ground=ground,
        wall=wall,
        ground_scale=rng.uniform(0.8, 2.5),
        wall_scale=rng.uniform(1.2, 3.5),
    )
    return Environment(backdrop, light)
