"""The avatar in poses, and its file: round trip and refusals."""

from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pear_avatar.avatar.avatar import Avatar, SplatSet, personalise
from pear_avatar.avatar.binding import sample_surface
from pear_avatar.avatar.file_format import (
    load_avatar,
    save_avatar,
)
from pear_avatar.body import load_body
from pear_avatar.errors import AvatarFileError
from pear_avatar.geometry.rotations import axis_angle_to_matrix, quat_wxyz_to_matrix
from pear_avatar.types import BodyParams


def small_avatar(count=200) -> Avatar:
    body = load_body()
    g = torch.Generator().manual_seed(0)
    betas = 0.5 * torch.randn(body.num_betas, generator=g)
    offsets = 0.01 * torch.randn(body.num_vertices, 3, generator=g)
    own = personalise(body, betas, offsets)
    binding = sample_surface(own.v_template, own.faces, torch.ones(len(own.faces)), count, 0)
    splats = SplatSet(
        0.01 * torch.randn(count, 3, generator=g),
        torch.nn.functional.normalize(torch.randn(count, 4, generator=g), dim=-1),
        torch.randn(count, 3, generator=g) - 5,
        torch.randn(count, generator=g),
        torch.rand(count, 3, generator=g),
    )
    return Avatar(own, binding, splats, betas, {"source": "test"})


def random_params(seed=0, batch=()) -> BodyParams:
    g = torch.Generator().manual_seed(seed)
    body = load_body()
    return BodyParams(
        torch.zeros(0),
        0.3 * torch.randn(*batch, body.num_expression, generator=g),
        axis_angle_to_matrix(0.3 * torch.randn(*batch, 55, 3, generator=g)),
        torch.randn(*batch, 3, generator=g),
    )


def test_personal_template_equals_the_shaped_body():
    body, p = load_body(), random_params(1)
    g = torch.Generator().manual_seed(2)
    betas = torch.randn(20, generator=g)
    offsets = 0.02 * torch.randn(body.num_vertices, 3, generator=g)
    own = personalise(body, betas, offsets)
    expected = body.shape(betas, p.expression, vertex_offsets=offsets)
    expected = expected.pose(p.rotations, p.transl).vertices()
    found = own.shape(None, p.expression).pose(p.rotations, p.transl).vertices()
    assert (found - expected).norm(dim=-1).max() < 1e-5  # 10 um: float32 sums in another order


def test_file_round_trip(tmp_path):
    avatar, p = small_avatar(), random_params(3)
    save_avatar(tmp_path / "a.safetensors", avatar)
    loaded = load_avatar(tmp_path / "a.safetensors")
    before, after = avatar.gaussians(p), loaded.gaussians(p)
    # Expression directions are stored in half precision: at 0.3 sd well under 0.05 mm.
    assert (before.means - after.means).norm(dim=-1).max() < 5e-5
    assert torch.equal(before.colors, after.colors)
    assert torch.equal(before.log_scales, after.log_scales)
    assert loaded.metadata == {"source": "test"}
    assert loaded.body.part_names == avatar.body.part_names
    assert not list(tmp_path.glob(".*partial*"))


def test_pose_correctives_and_moving_joints_survive_the_file(tmp_path):
    """SMPL-X's kind of body: half precision costs less than 0.02 mm of millimetre correctives."""
    avatar, p = small_avatar(), random_params(3)
    g = torch.Generator().manual_seed(5)
    body = replace(
        avatar.body,
        pose_dirs=1e-3 * torch.randn(avatar.body.num_vertices, 3, 486, generator=g),
        joint_expression_dirs=1e-3 * torch.randn(55, 3, avatar.body.num_expression, generator=g),
    )
    changed = replace(avatar, body=body, metadata={"body": "smplx"})
    save_avatar(tmp_path / "a.safetensors", changed)
    loaded = load_avatar(tmp_path / "a.safetensors")
    assert loaded.metadata["body"] == "smplx"
    means = changed.gaussians(p).means
    assert (means - avatar.gaussians(p).means).norm(dim=-1).max() > 1e-3
    assert (loaded.gaussians(p).means - means).norm(dim=-1).max() < 7e-5
    wrong = {"template.pose_dirs": torch.zeros(3, 3, 486)}
    with pytest.raises(AvatarFileError, match=r"pose_dirs should be .*found \(3, 3, 486\)"):
        load_avatar(broken(tmp_path, lambda t: t.update(wrong)))


def test_file_layout_is_the_documented_one(tmp_path):
    save_avatar(tmp_path / "a.safetensors", small_avatar(64))
    with safe_open(str(tmp_path / "a.safetensors"), framework="pt") as f:
        meta = f.metadata()
        shapes = {k: (tuple(f.get_tensor(k).shape), f.get_tensor(k).dtype) for k in f.keys()}  # noqa: SIM118
    assert (meta["format"], meta["version"]) == ("pear-avatar", "1")
    assert shapes["splat.quats_wxyz"] == ((64, 4), torch.float32)
    assert shapes["splat.face"] == ((64,), torch.int32)
    assert shapes["template.joints"] == ((55, 3), torch.float32)
    assert shapes["template.skin_joints"][1] == torch.uint8


def broken(tmp_path, change, metadata=None):
    path = tmp_path / "a.safetensors"
    save_avatar(path, small_avatar(32))
    with safe_open(str(path), framework="pt") as f:
        header = f.metadata()
    tensors = load_file(str(path))
    change(tensors)
    save_file(tensors, str(path), metadata={**header, **(metadata or {})})
    return path


@pytest.mark.parametrize(
    ("change", "metadata", "message"),
    [
        (lambda t: t.pop("splat.colors"), None, r"splat\.colors should be"),
        (lambda t: t.pop("template.uv"), None, "missing"),
        (lambda t: t["splat.face"].fill_(10**6), None, "index outside"),
        (lambda t: t["template.skin_joints"].fill_(55), None, "index outside"),
        (lambda t: t["splat.offsets"].fill_(float("nan")), None, "NaN"),
        (lambda t: t.update({"splat.colors": torch.zeros(32, 4)}), None, r"\(32, 3\)"),
        (lambda t: None, {"version": "99"}, "version '99'"),
        (lambda t: None, {"format": "other"}, "not a pear-avatar"),
    ],
)
def test_broken_files_are_named(tmp_path, change, metadata, message):
    with pytest.raises(AvatarFileError, match=message):
        load_avatar(broken(tmp_path, change, metadata))


def test_truncated_and_foreign_files(tmp_path):
    path = tmp_path / "a.safetensors"
    save_avatar(path, small_avatar(32))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(AvatarFileError, match="not a readable"):
        load_avatar(path)
    path.write_bytes(b"hello")
    with pytest.raises(AvatarFileError, match="not a readable"):
        load_avatar(path)
    with pytest.raises(FileNotFoundError):
        load_avatar(tmp_path / "none.safetensors")


def test_gaussians_are_differentiable_in_the_pose():
    avatar, p = small_avatar(), random_params(4)
    transl = p.transl.clone().requires_grad_()
    avatar.gaussians(replace(p, transl=transl)).means.sum().backward()
    torch.testing.assert_close(transl.grad, torch.full((3,), 200.0))


def test_splats_follow_a_rigid_motion_exactly():
    avatar, p = small_avatar(), random_params(5)
    turn = axis_angle_to_matrix(torch.tensor([0.3, -1.2, 2.5]))
    root = avatar.body.joint_template[0]
    moved = replace(
        p,
        rotations=torch.cat([(turn @ p.rotations[0])[None], p.rotations[1:]]),
        transl=turn @ (root + p.transl) - root,
    )
    before, after = avatar.gaussians(p), avatar.gaussians(moved)
    torch.testing.assert_close(after.means, before.means @ turn.T, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        quat_wxyz_to_matrix(after.quats_wxyz),
        turn @ quat_wxyz_to_matrix(before.quats_wxyz),
        atol=1e-4,
        rtol=0,
    )
