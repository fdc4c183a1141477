"""Triangle meshes drawn by the C++ core: z-buffer, normals, light, backdrop, exposure.

:mod:`pear_avatar.geometry.mesh_raster` is the slow twin of the z-buffer. All arrays are NumPy,
C-contiguous, float32 unless said; pictures are linear light until :func:`develop`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from pear_avatar import _native

_LIGHT_SIZE = 47


@dataclass(frozen=True)
class ScreenMesh:
    """A mesh as one camera sees it.

    points: (V, 2) pixels. depth: (V,) camera-space z. faces: (F, 3) int32.
    two_sided: (F,) uint8, or None where both sides are drawn everywhere.
    """

    points: np.ndarray
    depth: np.ndarray
    faces: np.ndarray
    two_sided: np.ndarray | None


@dataclass(frozen=True)
class MeshColors:
    """Colours on a triangular lattice of (r + 1)(r + 2) / 2 texels for each face.

    Texel (i, j), i from corner 2 to corner 0 and j from corner 2 to corner 1, lies at barycentric
    (i, j, r - i - j) / r and comes ``i (2 r - i + 3) / 2 + j`` after the face's first.

    start: (F,) int32. resolution: (F,) uint8 r. texels: (T, 4) uint8 display RGB and gloss.
    """

    start: np.ndarray
    resolution: np.ndarray
    texels: np.ndarray


@dataclass(frozen=True)
class Light:
    """What shines.

    sh:        (9, 3) irradiance over pi as spherical harmonics.
    sun:       (3,) unit vector towards the sun. sun_rgb: (3,) its irradiance over pi.
    T_shadow_world: (3, 4) world to column, row and depth of the shadow map.
    shadow:    (S, S) depth of the nearest surface seen from the sun, or None for no shadows.
    bias:      metres. softness: texels.
    """

    sh: np.ndarray
    sun: np.ndarray
    sun_rgb: np.ndarray
    T_shadow_world: np.ndarray = field(default_factory=lambda: np.zeros((3, 4), np.float32))
    shadow: np.ndarray | None = None
    bias: float = 0.02
    softness: float = 1.0

    def packed(self) -> np.ndarray:
        """The numbers in the order of the C++ struct."""
        parts = (self.sh, self.sun, self.sun_rgb, self.T_shadow_world, [self.bias, self.softness])
        flat = np.concatenate([np.asarray(p, np.float32).ravel() for p in parts])
        if flat.size != _LIGHT_SIZE:
            raise ValueError(f"a light has {_LIGHT_SIZE} numbers, got {flat.size}")
        return flat


class DepthBuffer:
    """A z-buffer into which several meshes are drawn.

    depth: (H, W), infinite where nothing is. ids: (H, W) int32 first_id + face, -1 for nothing.
    """

    def __init__(self, width: int, height: int) -> None:
        self.depth = np.full((height, width), np.inf, np.float32)
        self.ids = np.full((height, width), -1, np.int32)

    def draw(self, mesh: ScreenMesh, first_id: int = 0) -> None:
        """Draw a mesh; its faces get the ids from ``first_id`` on."""
        _check(mesh)
        height, width = self.ids.shape
        _native.check(
            _native.mesh_library().pear_mesh_draw(
                *_mesh(mesh),
                len(mesh.faces),
                first_id,
                width,
                height,
                _at(self.depth),
                _at(self.ids),
            )
        )

    def weights(self, mesh: ScreenMesh, first_id: int = 0) -> np.ndarray:
        """(H, W, 3) perspective-correct corner weights where this mesh is seen; else zero."""
        height, width = self.ids.shape
        out = np.zeros((height, width, 3), np.float32)
        _native.check(
            _native.mesh_library().pear_mesh_weights(
                *_mesh(mesh)[:3], len(mesh.faces), first_id, width, height, _at(self.ids), _at(out)
            )
        )
        return out


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals (V, 3) of vertices (V, 3) and faces (F, 3) int32."""
    out = np.empty_like(vertices)
    _native.check(
        _native.mesh_library().pear_mesh_normals(
            _at(vertices), len(vertices), _at(faces), len(faces), _at(out)
        )
    )
    return out


@dataclass(frozen=True)
class Canvas:
    """A picture in linear light, added to: rgb (H, W, 3) premultiplied, alpha (H, W)."""

    rgb: np.ndarray
    alpha: np.ndarray

    @classmethod
    def empty(cls, width: int, height: int) -> Canvas:
        """Nothing yet."""
        return cls(np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32))


@dataclass(frozen=True)
class Surface:
    """What shading needs of a mesh beside its screen geometry; vertices, normals (V, 3), world."""

    vertices: np.ndarray
    normals: np.ndarray
    colors: MeshColors


def shade(
    canvas: Canvas,
    buffer: DepthBuffer,
    mesh: ScreenMesh,
    surface: Surface,
    light: Light,
    *,
    eye: np.ndarray,
    first_id: int = 0,
    share: float = 1.0,
) -> None:
    """Add what is seen of a mesh to a canvas; the buffer may be a whole multiple of its size.

    Args:
        canvas: added to.
        buffer: all meshes have been drawn into it.
        mesh, first_id: as they were drawn.
        surface: of the mesh.
        light: shines on it.
        eye: (3,) the camera's place in the world.
        share: of the exposure, for pictures that are sums.
    """
    height, width = buffer.ids.shape
    colors, eye = surface.colors, np.ascontiguousarray(eye, np.float32)
    packed, shadow = light.packed(), light.shadow
    _native.check(
        _native.mesh_library().pear_mesh_shade(
            *_mesh(mesh),
            len(mesh.faces),
            first_id,
            width,
            height,
            _at(buffer.ids),
            _at(surface.vertices),
            _at(surface.normals),
            _at(colors.start),
            _at(colors.resolution),
            _at(colors.texels),
            _at(packed),
            _at(shadow),
            0 if shadow is None else len(shadow),
            _at(eye),
            height // len(canvas.alpha),
            share,
            _at(canvas.rgb),
            _at(canvas.alpha),
        )
    )


@dataclass(frozen=True)
class Backdrop:
    """What is behind all people.

    floor:      world y of the ground.
    room:       x0, x1, z0, z1 of the walls and the ceiling's y, or None outdoors.
    panorama:   (h, w, 3) linear light all round, longitude 0 (+z) in the middle; None: the light.
    ground, wall: (S, S, 3) uint8 display RGB, repeated every so many metres (the scales).
    """

    floor: float
    room: tuple[float, float, float, float, float] | None
    panorama: np.ndarray | None
    ground: np.ndarray
    wall: np.ndarray
    ground_scale: float
    wall_scale: float

    def draw(
        self, K: np.ndarray, T_camera_world: np.ndarray, size: tuple[int, int], light: Light
    ) -> np.ndarray:
        """(H, W, 3) linear light of a picture of ``size`` (width, height)."""
        width, height = size
        R = T_camera_world[:3, :3]
        eye = -R.T @ T_camera_world[:3, 3]
        camera = np.concatenate([[K[0, 0], K[1, 1], K[0, 2], K[1, 2]], R.T.ravel(), eye])
        camera = np.ascontiguousarray(camera, np.float32)
        room = self.room if self.room is not None else (1.0, -1.0, 0.0, 0.0, 0.0)
        place = np.array([self.floor, *room, self.ground_scale, self.wall_scale], np.float32)
        pano, shadow, packed = self.panorama, light.shadow, light.packed()
        out = np.empty((height, width, 3), np.float32)
        _native.check(
            _native.mesh_library().pear_backdrop(
                width,
                height,
                _at(camera),
                _at(place),
                _at(pano),
                0 if pano is None else pano.shape[1],
                0 if pano is None else pano.shape[0],
                _at(self.ground),
                _at(self.wall),
                len(self.ground),
                _at(packed),
                _at(shadow),
                0 if shadow is None else len(shadow),
                _at(out),
            )
        )
        return out


def develop(
    linear: np.ndarray, gains: np.ndarray, *, read: float, shot: float, seed: int
) -> np.ndarray:
    """A sensor and its tone curve: (H, W, 3) linear light to uint8 display RGB.

    Args:
        linear: the picture.
        gains: (3,) exposure and white balance.
        read, shot: noise of variance ``read**2 + shot * light``.
        seed: of the noise.
    """
    out = np.empty(linear.shape, np.uint8)
    gains = np.ascontiguousarray(gains, np.float32)
    _native.check(
        _native.mesh_library().pear_develop(
            _at(linear), linear.size // 3, _at(gains), read, shot, seed & 0xFFFFFFFF, _at(out)
        )
    )
    return out


def _at(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


def _mesh(mesh: ScreenMesh) -> tuple[int | None, ...]:
    return _at(mesh.points), _at(mesh.depth), _at(mesh.faces), _at(mesh.two_sided)


def _check(mesh: ScreenMesh) -> None:
    """The core reads plain memory, so types must be right and indices in range.

    Raises:
        ValueError: an array has another type or layout.
    """
    for name, array, dtype in (
        ("points", mesh.points, np.float32),
        ("depth", mesh.depth, np.float32),
        ("faces", mesh.faces, np.int32),
        ("two_sided", mesh.two_sided, np.uint8),
    ):
        if array is not None and (array.dtype != dtype or not array.flags.c_contiguous):
            raise ValueError(f"{name} must be contiguous {np.dtype(dtype)}, got {array.dtype}")
