"""The avatar's mesh with baked colours, and the file that carries it."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pygltflib
import pytest
import torch
from PIL import Image

from pear_avatar.avatar.avatar import Avatar, SplatSet, personalise
from pear_avatar.avatar.binding import sample_surface
from pear_avatar.body import load_body
from pear_avatar.export import bake_texture, save_avatar_glb, vertex_colors
from pear_avatar.types import BodyParams, Motion

SIZE = 256


def paint(points: torch.Tensor) -> torch.Tensor:
    """(N, 3) a colour that runs smoothly over the body, and differs between front and back."""
    x, y, z = points.unbind(-1)
    front = torch.sigmoid(z * 40)
    return torch.stack([0.2 + 0.6 * front, 0.5 + 0.3 * x, 0.5 + 0.3 * y], -1)


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    """Twelve thousand flat, nearly opaque splats, painted by where they lie."""
    body = load_body()
    betas = torch.zeros(body.num_betas)
    betas[1] = 1.0
    own = personalise(body, betas, torch.zeros_like(body.v_template))
    binding = sample_surface(own.v_template, own.faces, torch.ones(len(own.faces)), 12000, 0)
    count = binding.count
    splats = SplatSet(
        torch.zeros(count, 3),
        torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        torch.tensor([0.009, 0.009, 0.002]).log().repeat(count, 1),
        torch.full((count,), 3.0),
        paint(binding.rest_points(own.v_template)),
    )
    return Avatar(own, binding, splats, betas)


@pytest.fixture(scope="module")
def texture(avatar: Avatar) -> np.ndarray:
    return bake_texture(avatar, SIZE)


def skin(avatar: Avatar) -> torch.Tensor:
    """(F,) bool: faces of the outer skin away from eyes and mouth, fingers and toes."""
    body = avatar.body
    outer = torch.tensor([name in ("body", "head") for name in body.part_names])
    return outer[body.face_part]


def test_texture_shows_the_splats_colors(avatar, texture):
    """At the middle of each larger triangle; splats of 9 mm blur the paint a little."""
    body = avatar.body
    uv = body.uv[body.uv_faces].mean(1).numpy()
    middle = body.v_template[body.faces].mean(1)
    column = (uv[:, 0] * SIZE).astype(int).clip(0, SIZE - 1)
    row = ((1 - uv[:, 1]) * SIZE).astype(int).clip(0, SIZE - 1)
    error = np.abs(texture[row, column] / 255 - paint(middle).numpy()).max(1)[skin(avatar).numpy()]
    assert np.median(error) < 0.02
    assert np.quantile(error, 0.95) < 0.08


def test_front_and_back_do_not_mix(avatar, texture):
    """The chest keeps the front's red, the back its own: no picture shines through the body."""
    body = avatar.body
    middle = body.v_template[body.faces].mean(1)
    trunk = (middle[:, 0].abs() < 0.08) & (middle[:, 1] > 0.1) & (middle[:, 1] < 0.3)
    uv = body.uv[body.uv_faces].mean(1).numpy()
    red = texture[((1 - uv[:, 1]) * SIZE).astype(int), (uv[:, 0] * SIZE).astype(int), 0] / 255
    front = (trunk & (middle[:, 2] > 0.06)).numpy()
    back = (trunk & (middle[:, 2] < -0.06)).numpy()
    assert front.sum() > 20
    assert back.sum() > 20
    assert red[front].min() > 0.6
    assert red[back].max() < 0.4


def test_texture_is_filled_beyond_its_islands(texture):
    assert texture.shape == (SIZE, SIZE, 3)
    assert texture.dtype == np.uint8
    assert (texture.max(-1) > 30).all()  # the paint is nowhere black


def test_vertex_colors_show_them_too(avatar):
    colors = vertex_colors(avatar)
    assert colors.shape == (avatar.body.num_vertices, 3)
    used = torch.zeros(avatar.body.num_vertices, dtype=torch.bool)
    used[avatar.body.faces[skin(avatar)]] = True
    error = np.abs(colors - paint(avatar.body.v_template).numpy()).max(1)[used.numpy()]
    assert np.median(error) < 0.02
    assert np.quantile(error, 0.95) < 0.08


def test_unseen_places_take_the_nearest_splats(avatar):
    """Without splats of their own the eyes still get a colour from their surroundings."""
    body = avatar.body
    hidden = ~skin(avatar)[avatar.binding.face_index]
    s = avatar.splats
    dim = replace(s, logit_opacities=torch.where(hidden, -20.0, s.logit_opacities))
    colors = vertex_colors(replace(avatar, splats=dim))
    assert np.isfinite(colors).all()
    assert np.quantile(np.abs(colors - paint(body.v_template).numpy()).max(1), 0.9) < 0.15


def test_file_holds_skeleton_actions_motion_and_picture(avatar, texture, tmp_path, node):
    count = 3
    params = BodyParams(
        torch.ones(10),  # somebody else's shape: not used
        torch.zeros(count, 10),
        torch.eye(3).expand(count, 55, 3, 3),
        torch.arange(count)[:, None] * torch.tensor([[0.0, 0.0, 0.5]]),
    )
    path = tmp_path / "a.glb"
    save_avatar_glb(
        path, avatar, Motion(params, np.arange(count) / 10.0, "walk"), texture_size=SIZE
    )
    gltf = pygltflib.GLTF2().load(str(path))
    assert len(gltf.skins[0].joints) == 56  # the root is one of them
    assert gltf.meshes[0].extras["targetNames"][:52] == list(avatar.body.arkit_names)
    assert gltf.extensionsUsed == ["KHR_materials_unlit"]
    view = gltf.bufferViews[gltf.images[0].bufferView]
    png = gltf.binary_blob()[view.byteOffset : view.byteOffset + view.byteLength]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png))), texture)
    info = node("read_gltf.mjs", path, tmp_path / "out.f32", 0, 0.2)
    points = np.fromfile(tmp_path / "out.f32", np.float32).reshape(2, -1, 3)
    assert np.abs(points[1] - points[0] - [0, 0, 1]).max() < 1e-5
    assert points[0, :, 1].min() == pytest.approx(0, abs=1e-4)  # stands on the floor
    assert info["textured"]
    issues = node("validate_gltf.mjs", path)["issues"]
    assert (issues["numErrors"], issues["numWarnings"]) == (0, 0)


def test_a_body_without_texture_coordinates_gets_vertex_colors(avatar, tmp_path):
    bare = replace(avatar.body, uv=avatar.body.uv[:0], uv_faces=avatar.body.uv_faces[:0])
    bare_avatar = replace(avatar, body=bare)
    with pytest.raises(ValueError, match="vertex_colors"):
        bake_texture(bare_avatar)
    save_avatar_glb(tmp_path / "a.glb", bare_avatar)
    primitive = pygltflib.GLTF2().load(str(tmp_path / "a.glb")).meshes[0].primitives[0]
    assert primitive.attributes.COLOR_0 is not None
    assert primitive.attributes.TEXCOORD_0 is None


def test_impossible_sizes_are_named(avatar):
    with pytest.raises(ValueError, match="16 to 8192"):
        bake_texture(avatar, 4)
