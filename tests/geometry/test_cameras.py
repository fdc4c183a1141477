"""Cameras: conventions that every projection in the package relies on."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pear_avatar.geometry import cameras as cam
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import Camera

DTYPE = torch.float64


def a_camera(batch=()):
    T = torch.eye(4, dtype=DTYPE).expand(*batch, 4, 4).clone()
    T[..., :3, :3] = axis_angle_to_matrix(0.3 * torch.randn(*batch, 3, dtype=DTYPE))
    T[..., :3, 3] = torch.tensor([0.1, -0.2, 4.0])
    K = cam.intrinsics(500.0, 640, 480, dtype=DTYPE).expand(*batch, 3, 3)
    return Camera(K, T, 640, 480)


@settings(max_examples=15, deadline=None)
@given(batch=st.sampled_from([(), (1,), (2, 3)]), num=st.integers(1, 7))
def test_project_and_unproject_are_inverse(batch, num):
    camera = a_camera(batch)
    points = torch.randn(*batch, num, 3, dtype=DTYPE)
    px, z = cam.project(camera, points)
    assert px.shape == (*batch, num, 2)
    assert z.shape == (*batch, num)
    assert torch.allclose(cam.unproject(camera, px, z), points, atol=1e-9)


def test_projection_is_the_homogeneous_one():
    camera = a_camera()
    points = torch.randn(9, 3, dtype=DTYPE)
    homogeneous = torch.cat([points, torch.ones(9, 1, dtype=DTYPE)], dim=-1)
    image = (camera.K @ camera.T_camera_world[:3] @ homogeneous.mT).mT
    px, z = cam.project(camera, points)
    assert torch.allclose(px, image[:, :2] / image[:, 2:])
    assert torch.allclose(z, image[:, 2])


def test_points_behind_the_camera_stay_finite_and_are_told():
    camera = Camera(cam.intrinsics(500.0, 64, 64), torch.eye(4), 64, 64)
    points = torch.tensor([[0.1, 0.0, 0.0], [0.1, 0.0, -2.0]], requires_grad=True)
    px, z = cam.project(camera, points)
    px.sum().backward()
    assert bool(px.isfinite().all())
    assert bool(points.grad.isfinite().all())
    assert z.tolist() == [0.0, -2.0]


def test_crop_moves_pixels_as_promised():
    camera = a_camera()
    points = torch.randn(5, 3, dtype=DTYPE)
    full, _ = cam.project(camera, points)
    crop, _ = cam.project(cam.crop_camera(camera, 0.5, 30.0, -10.0, 100, height=90), points)
    assert torch.allclose(crop, (full - torch.tensor([30.0, -10.0])) * 0.5)


def test_default_world_faces_the_camera():
    T = cam.default_world_camera()
    above_in_front = torch.tensor([[0.0, 1.0, -3.0]])
    x, y, z = cam.transform_points(T, above_in_front)[0].tolist()
    assert (x, y, z) == (0.0, -1.0, 3.0)  # up is -y of the image, in front is +z


@pytest.mark.parametrize("up", [None, torch.tensor([0.0, 0.0, 1.0])])
def test_look_at_is_rigid_and_centres_the_target(up):
    eye, target = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-1.0, 0.5, 0.0])
    T = cam.look_at(eye, target, up)
    assert torch.allclose(T[:3, :3] @ T[:3, :3].T, torch.eye(3), atol=1e-6)
    assert torch.linalg.det(T[:3, :3]).item() == pytest.approx(1.0, abs=1e-6)
    distance = float((target - eye).norm())
    seen = cam.transform_points(T, target[None])[0]
    assert torch.allclose(seen, torch.tensor([0.0, 0.0, distance]), atol=1e-5)
    lifted = cam.transform_points(T, target[None] + (up if up is not None else torch.eye(3)[1]))
    assert lifted[0, 1] < 0  # the world's up points up in the image


def test_look_at_along_up_still_gives_a_rotation():
    T = cam.look_at(torch.tensor([0.0, 5.0, 0.0]), torch.zeros(3))
    assert torch.allclose(T[:3, :3] @ T[:3, :3].T, torch.eye(3), atol=1e-6)


def test_orbit_shows_the_front_and_the_left_side():
    azimuth = torch.tensor([0.0, math.pi / 2])
    camera = cam.orbit_cameras(
        torch.zeros(3), 3.0, azimuth, focal=500.0, width=100, height=200, elevation=0.1
    )
    assert camera.T_camera_world.shape == (2, 4, 4)
    centers = cam.camera_center(camera)
    assert centers[0, 2] > 2.9
    assert centers[1, 0] > 2.9
    px, _ = cam.project(camera, torch.zeros(2, 1, 3))
    assert torch.allclose(px, torch.tensor([50.0, 100.0]).expand(2, 1, 2), atol=1e-3)
    left, _ = cam.project(camera[0], torch.tensor([[0.5, 0.0, 0.0]]))
    assert left[0, 0] > 50  # facing us, the person's left is at our right


def test_invert_rigid():
    T = a_camera((4,)).T_camera_world
    assert torch.allclose(cam.invert_rigid(T) @ T, torch.eye(4, dtype=DTYPE).expand(4, 4, 4))


def test_bad_values_are_named():
    with pytest.raises(ValueError, match="scale must be positive, got 0"):
        cam.crop_camera(a_camera(), 0.0, 0, 0, 10, height=10)
    with pytest.raises(ValueError, match="coincide"):
        cam.look_at(torch.zeros(3), torch.zeros(3))
