"""The C++ mesh drawing beside its slow twin, and what light and exposure must do."""

from __future__ import annotations

import numpy as np
import pytest

from pear_avatar.geometry.mesh_raster import rasterise_mesh
from pear_avatar.geometry.native_mesh import (
    Backdrop,
    Canvas,
    DepthBuffer,
    Light,
    MeshColors,
    ScreenMesh,
    Surface,
    develop,
    shade,
    vertex_normals,
)
from pear_avatar.synthesis import garments

WIDTH, HEIGHT = 61, 47


def scene(seed: int, count: int = 400) -> ScreenMesh:
    """Random triangles, some outside, behind the camera, or without area."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform(-8, 70, (count, 1, 2))
    points = (middle + rng.normal(0, 6, (count, 3, 2))).reshape(-1, 2).astype(np.float32)
    depth = rng.uniform(0.5, 4, 3 * count).astype(np.float32)
    depth[::97] = -1.0
    points[30:33] = points[30]
    faces = np.arange(3 * count, dtype=np.int32).reshape(-1, 3)
    return ScreenMesh(points, depth, faces, (rng.random(count) < 0.5).astype(np.uint8))


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("all_sides", [False, True])
def test_the_z_buffer_equals_its_slow_twin(seed: int, all_sides: bool) -> None:
    mesh = scene(seed)
    if all_sides:
        mesh = ScreenMesh(mesh.points, mesh.depth, mesh.faces, None)
    sides = None if mesh.two_sided is None else mesh.two_sided.astype(bool)
    twin = rasterise_mesh(mesh.points, mesh.depth, mesh.faces, WIDTH, HEIGHT, two_sided=sides)
    buffer = DepthBuffer(WIDTH, HEIGHT)
    buffer.draw(mesh)
    face = np.full(WIDTH * HEIGHT, -1)
    face[twin.pixel] = twin.face
    same = face == buffer.ids.ravel()
    assert same.mean() > 0.999  # rounding may move a pixel on an edge
    own = same & (face >= 0)
    depth = np.full(WIDTH * HEIGHT, np.inf, np.float32)
    depth[twin.pixel] = twin.depth
    assert np.allclose(depth[own], buffer.depth.ravel()[own], rtol=1e-4)
    weights = np.zeros((WIDTH * HEIGHT, 3), np.float32)
    weights[twin.pixel] = twin.barycentric
    found = buffer.weights(mesh).reshape(-1, 3)
    assert np.abs(weights[own] - found[own]).max() < 1e-3


def test_meshes_share_a_buffer_by_depth() -> None:
    square = np.array([[2, 2], [40, 2], [40, 40], [2, 40]], np.float32)
    faces = np.array([[0, 2, 1], [0, 3, 2]], np.int32)
    buffer = DepthBuffer(WIDTH, HEIGHT)
    for first, z in ((0, 2.0), (10, 1.0), (20, 3.0)):
        buffer.draw(ScreenMesh(square, np.full(4, z, np.float32), faces, None), first)
    shown = buffer.ids[5:35, 5:35]
    assert ((shown == 10) | (shown == 11)).all()
    assert np.allclose(buffer.depth[5:35, 5:35], 1.0, atol=1e-5)
    assert (buffer.ids[44:] == -1).all()


def test_wrong_types_are_refused() -> None:
    mesh = scene(0)
    bad = ScreenMesh(mesh.points.astype(np.float64), mesh.depth, mesh.faces, None)
    with pytest.raises(ValueError, match="points"):
        DepthBuffer(8, 8).draw(bad)


def test_normals_equal_the_numpy_ones() -> None:
    vertices, faces = garments.icosphere(2)
    ours = vertex_normals(vertices, faces.astype(np.int32))
    assert np.abs(ours - garments.vertex_normals(vertices, faces)).max() < 1e-5


def _lit_square(light: Light, samples: int = 2) -> Canvas:
    """A square that faces +z, seen from there, with a white and a black corner."""
    vertices = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
    size = 20
    points = np.stack([(vertices[:, 0] + 1), (1 - vertices[:, 1])], 1).astype(np.float32)
    mesh = ScreenMesh(
        np.ascontiguousarray(points * size / 2 * samples),
        np.full(4, 2.0, np.float32),
        np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        np.zeros(2, np.uint8),
    )
    texels = np.full((6, 4), 255, np.uint8)
    texels[:, 3] = 0
    colors = MeshColors(np.array([0, 3], np.int32), np.ones(2, np.uint8), texels)
    canvas, buffer = Canvas.empty(size, size), DepthBuffer(size * samples, size * samples)
    buffer.draw(mesh)
    normals = np.tile(np.array([0, 0, 1], np.float32), (4, 1))
    eye = np.array([0, 0, 2.0])
    shade(canvas, buffer, mesh, Surface(vertices, normals, colors), light, eye=eye)
    return canvas


def test_irradiance_and_sun_add_up_on_a_white_square() -> None:
    ambient = np.zeros((9, 3), np.float32)
    ambient[0] = 0.5 / 0.282095
    sun = np.array([0, 0, 1], np.float32)
    light = Light(ambient, sun, np.array([0.25, 0.2, 0.1], np.float32))
    canvas = _lit_square(light)
    assert canvas.alpha == pytest.approx(np.ones((20, 20)))
    assert np.allclose(canvas.rgb, [0.75, 0.7, 0.6], atol=1e-3)


def test_a_shadow_map_takes_the_sun_away() -> None:
    sun = np.array([0, 0, 1], np.float32)
    T = np.array([[4, 0, 0, 8], [0, 4, 0, 8], [0, 0, -1, 50]], np.float32)
    near = np.full((16, 16), 40.0, np.float32)
    dark = Light(np.zeros((9, 3), np.float32), sun, np.ones(3, np.float32), T, near)
    assert _lit_square(dark).rgb.max() < 1e-6
    far = np.full((16, 16), 60.0, np.float32)
    lit = Light(np.zeros((9, 3), np.float32), sun, np.ones(3, np.float32), T, far)
    assert _lit_square(lit).rgb.min() > 0.99


def test_colours_are_interpolated_in_a_face_s_lattice() -> None:
    """Texels that hold their own place are read back as the place that is looked up."""
    from pear_avatar.synthesis.mesh_colors import lattice

    r = 7
    weights = lattice(r)
    texels = np.zeros((len(weights), 4), np.uint8)
    texels[:, :3] = np.round(weights * 255)
    colors = MeshColors(np.zeros(1, np.int32), np.full(1, r, np.uint8), texels)
    points = np.array([[0, 0], [0, 30], [30, 0]], np.float32)
    mesh = ScreenMesh(points, np.ones(3, np.float32), np.array([[0, 1, 2]], np.int32), None)
    buffer, canvas = DepthBuffer(30, 30), Canvas.empty(30, 30)
    buffer.draw(mesh)
    ambient = np.zeros((9, 3), np.float32)
    ambient[0] = 1 / 0.282095
    light = Light(ambient, np.array([0, 1, 0], np.float32), np.zeros(3, np.float32))
    vertices = np.zeros((3, 3), np.float32)
    normals = np.tile(np.array([0, 0, 1], np.float32), (3, 1))
    shade(canvas, buffer, mesh, Surface(vertices, normals, colors), light, eye=np.array([0, 0, 1]))
    seen = buffer.ids >= 0
    display = np.where(
        canvas.rgb <= 0.0031308, 12.92 * canvas.rgb, 1.055 * canvas.rgb ** (1 / 2.4) - 0.055
    )
    # Between texels light is mixed linearly, display values are not: hence the tolerance.
    assert np.abs(display[seen] - buffer.weights(mesh)[seen]).max() < 0.08


def test_a_level_camera_sees_ground_below_and_sky_above() -> None:
    ground = np.full((8, 8, 3), (0, 255, 0), np.uint8)
    sky = np.full((8, 16, 3), (0.0, 0.0, 1.0), np.float32)
    place = Backdrop(
        floor=0.0,
        room=None,
        panorama=sky,
        ground=ground,
        wall=ground,
        ground_scale=1.0,
        wall_scale=1.0,
    )
    ambient = np.zeros((9, 3), np.float32)
    ambient[0] = 1 / 0.282095
    light = Light(ambient, np.array([0, 1, 0], np.float32), np.zeros(3, np.float32))
    K = np.array([[20, 0, 16], [0, 20, 16], [0, 0, 1]], np.float32)
    T = np.diag([1.0, -1, -1, 1]).astype(np.float32)
    T[:3, 3] = -T[:3, :3] @ [0, 1.5, 0]
    picture = place.draw(K, T, (32, 32), light)
    assert np.allclose(picture[:15], [0, 0, 1], atol=1e-4)
    assert np.allclose(picture[24:], [0, 1, 0], atol=1e-3)


def test_exposure_is_monotonic_noise_has_its_variance_and_its_seed() -> None:
    ramp = np.repeat(np.linspace(0, 1, 64, dtype=np.float32)[None, :, None], 3, axis=2)
    clean = develop(np.ascontiguousarray(ramp), np.ones(3), read=0.0, shot=0.0, seed=0)
    assert (np.diff(clean[0, :, 0].astype(int)) >= 0).all()
    assert clean[0, 0, 0] == 0
    flat = np.full((200, 200, 3), 0.2, np.float32)
    noisy = [develop(flat, np.ones(3), read=0.01, shot=0.0, seed=s) for s in (1, 1, 2)]
    assert np.array_equal(noisy[0], noisy[1])
    assert not np.array_equal(noisy[0], noisy[2])
    slope = 1.055 / 2.4 * 0.2 ** (1 / 2.4 - 1) * 255
    assert noisy[0].std() == pytest.approx(0.01 * slope, rel=0.1)
