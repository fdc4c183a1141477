"""Rendering motions: places, cameras, backgrounds, files."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pear_avatar.avatar.avatar import Avatar, SplatSet, personalise
from pear_avatar.avatar.binding import sample_surface
from pear_avatar.avatar.file_format import save_avatar
from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.errors import PearError
from pear_avatar.geometry.cameras import default_world_camera, intrinsics, project
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.io.video import probe_video
from pear_avatar.motion.track_file import save_track
from pear_avatar.motion.write_poses import save_motion_amass
from pear_avatar.rendering.render_motion import (
    Background,
    camera_path,
    facing_azimuth,
    fit_motion,
    parse_background,
    render_motion,
    render_motion_file,
)
from pear_avatar.types import BodyParams, Camera, Motion, Track


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    """A tall red person of 3000 round splats."""
    body = load_body()
    betas = torch.zeros(body.num_betas)
    betas[0] = -1.5
    own = personalise(body, betas, torch.zeros_like(body.v_template))
    binding = sample_surface(own.v_template, own.faces, torch.ones(len(own.faces)), 3000, 0)
    count = binding.count
    quats = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(count, 4)
    splats = SplatSet(
        torch.zeros(count, 3),
        quats.clone(),
        torch.full((count, 3), math.log(0.015)),
        torch.full((count,), 4.0),
        torch.tensor([0.9, 0.1, 0.1]).repeat(count, 1),
    )
    return Avatar(own, binding, splats, betas, {})


def _motion(num_frames: int = 4, betas: torch.Tensor | None = None, fps: float = 20.0) -> Motion:
    """Somebody who walks along x, turned a quarter to their left, and lifts an arm."""
    body = load_body()
    t = torch.linspace(0, 1, num_frames)
    axis_angle = torch.zeros(num_frames, 55, 3)
    axis_angle[:, 0, 1] = math.pi / 2
    axis_angle[:, JOINT_INDEX["left_shoulder"], 2] = -1.2 + t
    transl = torch.stack([t, 0.95 + 0 * t, 0 * t], 1)
    params = BodyParams(
        torch.zeros(body.num_betas) if betas is None else betas,
        torch.zeros(num_frames, body.num_expression),
        axis_angle_to_matrix(axis_angle),
        transl,
    )
    return Motion(params, np.arange(num_frames) / fps, "walk")


def test_a_motion_of_ones_own_comes_back_unchanged(avatar: Avatar) -> None:
    motion = _motion(betas=avatar.betas)
    assert fit_motion(avatar, motion) is motion


def test_anothers_steps_are_scaled_and_the_feet_stand_on_the_floor(avatar: Avatar) -> None:
    motion = _motion()
    fitted = fit_motion(avatar, motion)
    own, other = avatar.body.joint_template, load_body().joint_template
    legs = [(j[1] - j[4]).norm() + (j[4] - j[7]).norm() for j in (own, other)]
    way = fitted.params.transl[-1, 0] - fitted.params.transl[0, 0]
    assert float(way) == pytest.approx(float(legs[0] / legs[1]), rel=1e-3)
    assert float(way) > 1.02
    lowest = min(float(avatar.vertices(fitted.params[i])[:, 1].min()) for i in range(4))
    # The floor is found on every 12th vertex of the surface.
    assert lowest == pytest.approx(0.0, abs=0.01)


def test_about_a_camera_the_person_keeps_their_place_in_the_picture(avatar: Avatar) -> None:
    motion = _motion()
    params = motion.params
    motion = Motion(
        BodyParams(
            params.betas,
            params.expression,
            params.rotations,
            params.transl - torch.tensor([0, 0, 4.0]),
        ),
        motion.time,
    )
    camera = Camera(intrinsics(500.0, 400, 400), default_world_camera(), 400, 400)
    fitted = fit_motion(avatar, motion, about=torch.zeros(3))
    before = project(camera, motion.params.transl + load_body().joint_template[0])[0]
    after = project(camera, fitted.params.transl + avatar.body.joint_template[0])[0]
    assert torch.allclose(before, after, atol=0.02)
    assert (fitted.params.transl[:, 2] < motion.params.transl[:, 2]).all()


@pytest.mark.parametrize("name", ["fixed", "orbit", "turntable"])
def test_cameras_see_the_person_and_start_at_the_front(avatar: Avatar, name: str) -> None:
    motion = fit_motion(avatar, _motion())
    if name == "turntable":
        motion = Motion(motion.params[torch.zeros(4, dtype=torch.long)], motion.time)
    path = camera_path(avatar, motion, name, 200, 260)  # type: ignore[arg-type]
    for i in range(4):
        pixels, z = project(path[i], avatar.vertices(motion.params[i]))
        assert (z > 0).all()
        assert (pixels > -2).all()
        assert (pixels < torch.tensor([202, 262])).all()
    # The person faces +x, so the first camera's forward axis points along -x.
    assert path.T_camera_world[0, 2, 0] < -0.99


def test_facing_follows_the_root() -> None:
    angles = torch.tensor([[0.0, 0.3, 0.0], [0.0, 0.5, 0.0]])
    assert facing_azimuth(axis_angle_to_matrix(angles)) == pytest.approx(0.4, abs=1e-5)


def test_backgrounds() -> None:
    assert parse_background("#ff8000").color == pytest.approx((1.0, 128 / 255, 0.0))
    assert parse_background("White").color == (1.0, 1.0, 1.0)
    assert parse_background("transparent").transparent
    with pytest.raises(PearError, match="unknown background 'teel'"):
        parse_background("teel")


def test_pictures_with_alpha_replace_those_of_a_longer_run(avatar: Avatar, tmp_path: Path) -> None:
    out = tmp_path / "frames"
    for count in (3, 2):
        motion = _motion(count, betas=avatar.betas)
        cameras = camera_path(avatar, motion, "fixed", 96, 128)
        render_motion(avatar, motion, cameras, out, background=Background())
    assert sorted(p.name for p in out.iterdir()) == ["frame_00000.png", "frame_00001.png"]
    picture = np.asarray(Image.open(out / "frame_00000.png"))
    assert picture.shape == (128, 96, 4)
    alpha = picture[..., 3]
    assert (alpha[[0, -1]] == 0).all()
    assert (alpha > 250).mean() > 0.05
    solid = picture[alpha > 200][:, :3].astype(int)
    assert np.abs(solid - np.array([230, 26, 26])).max() < 12  # straight, not premultiplied


def test_a_picture_background_covers_the_frame(avatar: Avatar, tmp_path: Path) -> None:
    Image.new("RGB", (30, 90), (0, 0, 255)).save(tmp_path / "blue.png")
    motion = _motion(1, betas=avatar.betas)
    cameras = camera_path(avatar, motion, "fixed", 96, 96)
    behind = parse_background(str(tmp_path / "blue.png"))
    render_motion(avatar, motion, cameras, tmp_path / "out", background=behind)
    picture = np.asarray(Image.open(tmp_path / "out" / "frame_00000.png"))
    assert picture.shape == (96, 96, 3)
    assert (picture[0] == [0, 0, 255]).all()
    assert (picture[48, 40:56, 0] > 150).any()


def test_from_files_to_video(avatar: Avatar, tmp_path: Path) -> None:
    save_avatar(tmp_path / "avatar.safetensors", avatar)
    save_motion_amass(tmp_path / "walk.npz", _motion(5))
    calls: list[tuple[str, int, int]] = []
    out = render_motion_file(
        tmp_path / "avatar.safetensors",
        tmp_path / "walk.npz",
        tmp_path / "walk.mp4",
        size=(96, 128),
        fps=10.0,
        progress=lambda *a: calls.append(a),
    )
    info = probe_video(out)
    assert (info.width, info.height, info.num_frames) == (96, 128, 3)
    assert calls[-1] == ("render", 3, 3)


def test_a_clips_own_cameras(avatar: Avatar, tmp_path: Path) -> None:
    save_avatar(tmp_path / "avatar.safetensors", avatar)
    motion = _motion(3, betas=avatar.betas)
    params = motion.params
    back = params.transl + torch.tensor([-0.5, -1.0, -5.0])
    motion = Motion(
        BodyParams(params.betas, params.expression, params.rotations, back), motion.time
    )
    K = intrinsics(300.0, 160, 240).expand(3, 3, 3)
    camera = Camera(K, default_world_camera().expand(3, 4, 4), 160, 240)
    track = Track(motion, camera, np.arange(3), np.ones(3, bool), np.zeros(3))
    save_track(tmp_path / "track.npz", track)
    render_motion_file(
        tmp_path / "avatar.safetensors",
        tmp_path / "track.npz",
        tmp_path / "own",
        camera="clip",
        background="transparent",
    )
    alpha = np.asarray(Image.open(tmp_path / "own" / "frame_00001.png"))[..., 3] > 127
    assert alpha.shape == (240, 160)
    pixels, _ = project(camera[1], avatar.vertices(motion.params[1]))
    rows = np.nonzero(alpha.any(1))[0]
    assert rows[0] == pytest.approx(float(pixels[:, 1].min()), abs=4)
    assert rows[-1] == pytest.approx(float(pixels[:, 1].max()), abs=4)


def test_bad_requests_are_one_line(avatar: Avatar, tmp_path: Path) -> None:
    save_avatar(tmp_path / "avatar.safetensors", avatar)
    save_motion_amass(tmp_path / "walk.npz", _motion(2))
    files = (tmp_path / "avatar.safetensors", tmp_path / "walk.npz")
    for out, options, message in (
        ("a.mp4", {"background": "transparent"}, "no transparency"),
        ("a.gif", {}, "cannot write .gif"),
        ("a.mp4", {"camera": "clip"}, "holds no cameras"),
        ("a.mp4", {"camera": "drone"}, "unknown camera"),
        ("a.mp4", {"size": (4, 4)}, "16 to 8192 px"),
        ("walk.npz", {}, "cannot write .npz"),
    ):
        with pytest.raises(PearError, match=message):
            render_motion_file(*files, tmp_path / out, **options)
    motion = _motion(2, betas=avatar.betas)
    cameras = camera_path(avatar, motion, "fixed", 64, 64)
    with pytest.raises(ValueError, match="as many cameras"):
        render_motion(avatar, motion, cameras[:1], tmp_path / "x.mp4")


def test_a_motion_of_another_body_brings_its_actions_not_its_coefficients(avatar: Avatar) -> None:
    motion = replace(_motion(), body="smplx")
    params = replace(motion.params, expression=torch.full((4, 100), 9.0))
    fitted = fit_motion(avatar, replace(motion, params=params))
    assert fitted.body == "open"
    assert fitted.params.expression.shape == (4, avatar.body.num_expression)
    assert not fitted.params.expression.any()
    assert torch.equal(fitted.params.rotations, motion.params.rotations)
    # The steps are taken as they are: whose legs made them is not known.
    way = motion.params.transl[-1, 0] - motion.params.transl[0, 0]
    moved = fitted.params.transl[-1, 0] - fitted.params.transl[0, 0]
    assert float(moved) == pytest.approx(float(way), rel=1e-5)

    other = replace(avatar, metadata={"body": "smplx"})
    smile = torch.zeros(4, 52)
    names = list(avatar.body.arkit_names)
    for side in ("Left", "Right"):
        smile += load_body().arkit_coef[names.index(f"mouthSmile{side}")]
    told = replace(_motion(), params=replace(_motion().params, expression=smile))
    there = fit_motion(other, told).params.expression
    assert torch.allclose(there, smile, atol=0.02)  # both are the open face here
