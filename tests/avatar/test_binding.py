import pytest
import torch

from pear_avatar.avatar.binding import sample_surface

VERTICES = torch.tensor(
    [[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [2, 0, 0.5]], dtype=torch.float64
)
FACES = torch.tensor([[0, 1, 2], [0, 1, 3], [1, 4, 2], [1, 5, 4]])


def test_sampling_follows_area_and_density():
    density = torch.tensor([1.0, 1, 0, 4])
    binding = sample_surface(VERTICES, FACES, density, 10_000, seed=1)
    corners = VERTICES[FACES]
    area = (
        torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(
            dim=-1
        )
        / 2
    )
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


def test_rest_points_are_barycentric():
    binding = sample_surface(VERTICES, FACES, torch.ones(4), 20, seed=2)
    k = 7
    corners = VERTICES[FACES[binding.face_index[k]]]
    expected = (binding.barycentric[k][:, None] * corners).sum(0)
    torch.testing.assert_close(binding.rest_points(VERTICES)[k], expected)


def test_no_surface_is_refused():
    with pytest.raises(ValueError, match="zero area"):
        sample_surface(VERTICES, FACES, torch.zeros(4), 10, seed=0)
