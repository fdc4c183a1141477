"""The mesh z-buffer against a loop over triangles and pixels."""

from __future__ import annotations

import numpy as np
import pytest

from pear_avatar.geometry.mesh_raster import rasterise_mesh


def _slow(points: np.ndarray, depth: np.ndarray, faces: np.ndarray, width: int, height: int):  # type: ignore[no-untyped-def]
    face_at = -np.ones((height, width), int)
    depth_at = np.full((height, width), np.inf)
    for f, (a, b, c) in enumerate(faces):
        pa, pb, pc = points[[a, b, c]].astype(np.float64)
        area = np.cross(pb - pa, pc - pa)
        for row in range(height):
            for column in range(width):
                p = np.array([column + 0.5, row + 0.5])
                w = np.array([np.cross(pb - p, pc - p), np.cross(pc - p, pa - p), 0]) / area
                w[2] = 1 - w[0] - w[1]
                if (w > 0).all():
                    z = 1 / (w / depth[[a, b, c]]).sum()
                    if z < depth_at[row, column]:
                        depth_at[row, column], face_at[row, column] = z, f
    return face_at, depth_at


def test_equals_the_slow_twin() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-4, 28, (30, 2)).astype(np.float32)
    depth = rng.uniform(1, 3, 30).astype(np.float32)
    faces = rng.integers(0, 30, (25, 3))
    faces = faces[(faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2])]
    faces = faces[faces[:, 0] != faces[:, 2]]
    expected_face, expected_depth = _slow(points, depth, faces, 24, 20)
    seen = rasterise_mesh(points, depth, faces, 24, 20)
    face = -np.ones(24 * 20, int)
    face[seen.pixel] = seen.face
    assert (face.reshape(20, 24) == expected_face).all()
    # float32 edge functions on coordinates of about 30 px.
    assert np.allclose(seen.depth, expected_depth.ravel()[seen.pixel], atol=1e-4)
    corner = depth[faces[seen.face]]
    assert np.allclose((seen.barycentric * corner).sum(1), seen.depth, atol=1e-4)
    assert np.allclose(seen.barycentric.sum(1), 1, atol=1e-5)


def test_a_quad_has_no_crack_along_its_diagonal() -> None:
    points = np.array([[0, 0], [16, 0], [16, 16], [0, 16]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    seen = rasterise_mesh(points, np.ones(4), faces, 16, 16)
    assert len(seen.pixel) == len(np.unique(seen.pixel)) == 256


def test_backs_are_dropped_unless_two_sided() -> None:
    points = np.array([[0, 0], [8, 0], [0, 8]], np.float32)
    clockwise_on_screen = np.array([[0, 1, 2]])  # y points down: this is the back
    for two_sided, count in ((False, 0), (True, 36)):
        seen = rasterise_mesh(
            points, np.ones(3), clockwise_on_screen, 8, 8, two_sided=np.array([two_sided])
        )
        assert len(seen.pixel) == pytest.approx(count, abs=8 if count else 0)
        assert not seen.facing.any()
    front = rasterise_mesh(points, np.ones(3), clockwise_on_screen[:, ::-1], 8, 8)
    assert front.facing.all()


def test_what_lies_behind_the_camera_is_dropped() -> None:
    points = np.array([[0, 0], [8, 0], [0, 8]], np.float32)
    seen = rasterise_mesh(points, np.array([1.0, -1.0, 1.0]), np.array([[0, 2, 1]]), 8, 8)
    assert len(seen.pixel) == 0
