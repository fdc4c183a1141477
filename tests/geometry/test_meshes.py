"""Meshes: normals, areas, edges and the Laplacian against slow twins."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pear_avatar.geometry import meshes

FACES = torch.tensor(
    [[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1], [5, 2, 1], [5, 3, 2], [5, 4, 3], [5, 1, 4]]
)
OCTAHEDRON = torch.tensor(
    [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, -1], [-1, 0, 0], [0, -1, 0]], dtype=torch.float64
)


def slow_vertex_normals(vertices, faces):
    out = torch.zeros_like(vertices)
    for f in faces.tolist():
        a, b, c = (vertices[i] for i in f)
        for i in f:
            out[i] = out[i] + torch.linalg.cross(b - a, c - a)
    return out / out.norm(dim=-1, keepdim=True)


def test_octahedron_normals_point_outward():
    assert torch.allclose(meshes.vertex_normals(OCTAHEDRON, FACES), OCTAHEDRON)
    areas = meshes.face_areas(OCTAHEDRON, FACES)
    assert torch.allclose(areas, torch.full((8,), math.sqrt(3) / 2).double())


@settings(max_examples=15, deadline=None)
@given(batch=st.sampled_from([(), (1,), (2, 3)]), seed=st.integers(0, 1000))
def test_vertex_normals_equal_the_slow_twin(batch, seed):
    noise = torch.randn(*batch, 6, 3, generator=torch.Generator().manual_seed(seed)).double()
    vertices = OCTAHEDRON + 0.3 * noise
    fast = meshes.vertex_normals(vertices, FACES)
    for one, normals in zip(vertices.reshape(-1, 6, 3), fast.reshape(-1, 6, 3), strict=True):
        assert torch.allclose(normals, slow_vertex_normals(one, FACES), atol=1e-10)


def test_normals_gradcheck():
    vertices = (OCTAHEDRON + 0.1 * torch.randn(6, 3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: meshes.vertex_normals(v, FACES), vertices)
    assert torch.autograd.gradcheck(lambda v: meshes.face_areas(v, FACES), vertices)


def test_degenerate_faces_and_lone_vertices_give_zero_normals():
    vertices = torch.zeros(4, 3, requires_grad=True)
    normals = meshes.vertex_normals(vertices, torch.tensor([[0, 1, 2]]))
    normals.sum().backward()
    assert bool((normals == 0).all())
    assert bool(vertices.grad.isfinite().all())


def test_edges_are_unique():
    edges = meshes.mesh_edges(FACES)
    assert edges.shape == (12, 2)  # Euler: V - E + F = 6 - 12 + 8 = 2
    assert bool((edges[:, 0] < edges[:, 1]).all())
