"""Meshes that are their own mirror image pair up; others say that they do not."""

import torch

from pear_avatar.body import load_body
from pear_avatar.geometry.symmetry import mesh_mirror


def test_the_open_body_is_its_own_mirror_image() -> None:
    body = load_body()
    mirror = mesh_mirror(body.v_template, body.faces)
    assert mirror is not None
    flip = torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(body.v_template[mirror.vertex], body.v_template * flip)
    torch.testing.assert_close(mirror.vertex[mirror.vertex], torch.arange(body.num_vertices))
    torch.testing.assert_close(mirror.face[mirror.face], torch.arange(len(body.faces)))


def test_points_land_on_their_mirror_image() -> None:
    body = load_body()
    mirror = mesh_mirror(body.v_template, body.faces)
    assert mirror is not None
    generator = torch.Generator().manual_seed(0)
    face = torch.randint(0, len(body.faces), (500,), generator=generator)
    weights = torch.rand(500, 3, generator=generator)
    weights = weights / weights.sum(1, keepdim=True)
    other, mirrored = mirror.points(face, weights)

    def at(face: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return (body.v_template[body.faces[face]] * weights[..., None]).sum(1)

    flip = torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(at(other, mirrored), at(face, weights) * flip)


def test_a_lopsided_mesh_has_no_mirror() -> None:
    body = load_body()
    moved = body.v_template.clone()
    moved[int(moved[:, 0].argmax())] += 0.05
    assert mesh_mirror(moved, body.faces) is None
    assert mesh_mirror(body.v_template, body.faces[:-1]) is None
