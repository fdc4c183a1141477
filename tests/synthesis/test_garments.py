"""Cutting and lifting garments."""

from __future__ import annotations

import numpy as np
import pytest

from pear_avatar.synthesis.garments import (
    cut_mesh,
    icosphere,
    lift,
    neighbour_mean,
    shrink_wrap,
    vertex_normals,
)


def _area(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def test_icosphere_is_closed_and_faces_outward() -> None:
    vertices, faces = icosphere(2)
    assert vertices.shape == (162, 3)
    assert faces.shape == (320, 3)
    normals = vertex_normals(vertices, faces)
    assert ((normals * vertices).sum(1) > 0.99).all()
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


@pytest.mark.parametrize("height", [-0.6, 0.1, 0.85])
def test_a_cut_ends_on_the_line_and_keeps_the_area(height: float) -> None:
    vertices, faces = icosphere(3)
    field = vertices[:, 1] - height
    upper, lower = cut_mesh(faces, field), cut_mesh(faces, -field)
    piece = upper.carry(vertices)
    assert piece[:, 1].min() == pytest.approx(height, abs=1e-6)
    total = _area(piece, upper.faces) + _area(lower.carry(vertices), lower.faces)
    assert total == pytest.approx(_area(vertices, faces), rel=1e-5)
    normals = vertex_normals(piece, upper.faces)
    assert ((normals * piece).sum(1) > 0).all()  # no triangle was turned inside out
    corner = piece[upper.faces].mean(1)
    source = vertices[faces[upper.source_face]].mean(1)
    assert np.linalg.norm(corner - source, axis=1).max() < 0.2


def test_a_cut_through_nothing_is_an_error() -> None:
    _, faces = icosphere(0)
    with pytest.raises(ValueError, match="nowhere"):
        cut_mesh(faces, -np.ones(12))


def test_lifted_cloth_stays_off_the_skin_and_keeps_its_hem() -> None:
    vertices, faces = icosphere(3)
    cut = cut_mesh(faces, vertices[:, 1] + 0.2)
    skin = cut.carry(vertices)
    amount = np.full(len(skin), 0.1, np.float32)
    cloth = lift(skin, vertex_normals(skin, cut.faces), cut.faces, amount, 12)
    height = np.linalg.norm(cloth, axis=1) - 1
    assert height.min() > 0.04
    assert height.max() < 0.13
    rim = np.isclose(skin[:, 1], -0.2, atol=1e-5)
    assert np.ptp(cloth[rim, 1]) < 0.04  # the hem stays a line


def test_neighbours_of_a_rim_lie_on_the_rim() -> None:
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1]])  # a fan about vertex 0
    mean = neighbour_mean(faces, 5).toarray()
    assert np.allclose(mean.sum(1), 1)
    assert np.allclose(mean[0, 1:], 0.25)
    assert np.allclose(mean[1:, 0], 0)


def test_shrink_wrap_of_a_box_is_close_to_the_box() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (400, 3)) * [1, 0.4, 2]
    corners = np.array(np.meshgrid([-1, 1], [-0.4, 0.4], [-2, 2])).reshape(3, -1).T
    shell, faces = shrink_wrap(np.concatenate([points, corners]), levels=4)
    assert (np.abs(shell) <= np.array([1, 0.4, 2]) + 1e-5).all()
    assert _area(shell, faces) == pytest.approx(2 * (2 * 0.8 + 2 * 4 + 0.8 * 4), rel=0.08)
