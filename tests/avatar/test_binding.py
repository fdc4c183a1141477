import pytest
import torch

from pear_avatar.avatar.binding import bind_splats, sample_surface, triangle_frames
from pear_avatar.geometry.rotations import axis_angle_to_matrix, quat_wxyz_to_matrix

VERTICES = torch.tensor(
    [[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [2, 0, 0.5]], dtype=torch.float64
)
FACES = torch.tensor([[0, 1, 2], [0, 1, 3], [1, 4, 2], [1, 5, 4]])


def random_splats(count=40, seed=0):
    g = torch.Generator().manual_seed(seed)
    binding = sample_surface(VERTICES, FACES, torch.ones(4), count, seed)
    offsets = 0.1 * torch.randn(count, 3, generator=g, dtype=torch.float64)
    quats = torch.randn(count, 4, generator=g, dtype=torch.float64)
    return binding, offsets, torch.nn.functional.normalize(quats, dim=-1)


def test_binding_equals_a_loop_over_splats():
    binding, offsets, quats = random_splats()
    means, world_quats = bind_splats(VERTICES, binding, offsets, quats)
    for k in range(binding.count):
        a, b, c = VERTICES[FACES[binding.face_index[k]]]
        e = (b - a) / (b - a).norm()
        n = torch.linalg.cross(b - a, c - a)
        n = n / n.norm()
        frame = torch.stack([e, torch.linalg.cross(n, e), n], -1)
        u = binding.barycentric[k]
        expected = u[0] * a + u[1] * b + u[2] * c + frame @ offsets[k]
        torch.testing.assert_close(means[k], expected)
        rotation = frame @ quat_wxyz_to_matrix(quats[k])
        torch.testing.assert_close(quat_wxyz_to_matrix(world_quats[k]), rotation)


def test_splats_follow_a_rigid_motion_exactly():
    binding, offsets, quats = random_splats(seed=3)
    R = axis_angle_to_matrix(torch.tensor([0.3, -1.2, 2.5], dtype=torch.float64))
    t = torch.tensor([0.5, -2.0, 3.0], dtype=torch.float64)
    means, q = bind_splats(VERTICES, binding, offsets, quats)
    moved, moved_q = bind_splats(VERTICES @ R.T + t, binding, offsets, quats)
    torch.testing.assert_close(moved, means @ R.T + t)
    torch.testing.assert_close(quat_wxyz_to_matrix(moved_q), R @ quat_wxyz_to_matrix(q))


def test_frames_are_rotations():
    frames = triangle_frames(VERTICES, FACES)
    torch.testing.assert_close(
        frames @ frames.transpose(1, 2), torch.eye(3, dtype=torch.float64).expand(4, 3, 3)
    )
    assert (torch.linalg.det(frames) > 0.999).all()


def test_sampling_follows_area_and_density():
    density = torch.tensor([1.0, 1, 0, 4])
    binding = sample_surface(VERTICES, FACES, density, 10_000, seed=1)
    corners = VERTICES[FACES]
    area = torch.linalg.cross(
        corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    ).norm(dim=-1) / 2  # fmt: skip
    share = area * density / (area * density).sum()
    counts = torch.bincount(binding.face_index, minlength=4) / 10_000
    torch.testing.assert_close(counts.double(), share, atol=2e-4, rtol=0)
    torch.testing.assert_close(binding.barycentric.sum(1), torch.ones(10_000).double())
    assert (binding.barycentric >= 0).all()


def test_sampling_repeats_for_a_seed():
    a = sample_surface(VERTICES, FACES, torch.ones(4), 50, seed=5)
    b = sample_surface(VERTICES, FACES, torch.ones(4), 50, seed=5)
    assert torch.equal(a.face_index, b.face_index)
    assert torch.equal(a.barycentric, b.barycentric)


def test_gradient_reaches_vertices_through_the_point_alone():
    binding, offsets, quats = random_splats(8)
    vertices = VERTICES.clone().requires_grad_()
    means, _ = bind_splats(vertices, binding, torch.zeros_like(offsets), quats)
    means.sum().backward()
    expected = torch.zeros_like(VERTICES)
    for k in range(8):
        for corner in range(3):
            expected[FACES[binding.face_index[k], corner]] += binding.barycentric[k, corner]
    torch.testing.assert_close(vertices.grad, expected)


def test_no_surface_is_refused():
    with pytest.raises(ValueError, match="zero area"):
        sample_surface(VERTICES, FACES, torch.zeros(4), 10, seed=0)
