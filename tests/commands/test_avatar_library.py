"""Finding avatars, their motions, videos and pictures for the viewer."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pear_avatar.avatar.avatar import Avatar, SplatSet, personalise
from pear_avatar.avatar.binding import sample_surface
from pear_avatar.avatar.file_format import (
    save_avatar,
)
from pear_avatar.body import load_body
from pear_avatar.commands.avatar_library import (
    cache_folder,
    find_video,
    open_library,
    read_header,
    short_facts,
)
from pear_avatar.commands.find_avatars import find_avatars
from pear_avatar.errors import AvatarFileError, MotionFileError, PearError
from pear_avatar.geometry.cameras import default_world_camera, intrinsics
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.io.video import VideoWriter, probe_video, read_frames
from pear_avatar.motion.track_file import save_track
from pear_avatar.motion.write_poses import save_motion_amass
from pear_avatar.rendering.portrait import portrait_azimuth
from pear_avatar.types import BodyParams, Camera, Motion, Track
from pear_avatar.viewer.browser_video import plays_in_browsers, write_browser_video
from pear_avatar.viewer.tensor_file import unpack


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    body = load_body()
    betas = torch.zeros(body.num_betas)
    own = personalise(body, betas, torch.zeros_like(body.v_template))
    binding = sample_surface(own.v_template, own.faces, torch.ones(len(own.faces)), 500, 0)
    quats = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(500, 1)
    splats = SplatSet(
        torch.zeros(500, 3),
        quats,
        torch.full((500, 3), -4.0),
        torch.ones(500),
        torch.full((500, 3), 0.5),
    )
    info = {"source": "clip.mp4", "steps": "7000", "heldout": json.dumps({"psnr_masked": 24.123})}
    return Avatar(own, binding, splats, betas, info)


def still(frames: int, fps: float = 30.0) -> Motion:
    params = BodyParams(
        torch.zeros(100),
        torch.zeros(frames, 52),
        torch.eye(3).expand(frames, 55, 3, 3).clone(),
        torch.zeros(frames, 3),
    )
    return Motion(params, np.arange(frames) / fps, "still")


def make_result(folder: Path, avatar: Avatar, *, video: bool = True) -> Path:
    """A result folder as a fit leaves it."""
    folder.mkdir(parents=True)
    save_avatar(folder / "avatar.safetensors", avatar)
    camera = Camera(
        intrinsics(100.0, 64, 48).expand(4, 3, 3), default_world_camera().expand(4, 4, 4), 64, 48
    )
    frames = np.arange(4)
    motion = still(4, 10.0)
    save_track(folder / "track.npz", Track(motion, camera, frames, frames > -1, 0.0 * frames))
    if video:
        write_clip(folder / "clip.mp4")
    return folder


def write_clip(path: Path) -> None:
    with VideoWriter(path, 10.0) as writer:
        for shade in range(4):
            writer.write(np.full((48, 64, 3), 60 * shade, np.uint8))


def test_a_result_folder_stands_for_its_avatar(avatar: Avatar, tmp_path: Path) -> None:
    folder = make_result(tmp_path / "ann-avatar", avatar)
    assert find_avatars(folder) == [folder / "avatar.safetensors"]
    assert find_avatars(folder / "avatar.safetensors") == [folder / "avatar.safetensors"]
    library = open_library(folder)
    assert (library.title, len(library.avatars)) == ("ann", 1)
    shown = library.avatars[0]
    assert shown.details == "500 splats · clip.mp4"
    assert shown.video is not None
    assert (shown.video.width, shown.video.height, shown.video.frames) == (64, 48, 4)
    assert shown.video.load() == folder / "clip.mp4"
    tensors, meta = unpack(shown.motions[0].load().plain)
    assert np.allclose(tensors["video_time"], np.arange(4) / 10)
    assert meta["name"] == "clip.mp4"


def test_another_folder_is_a_gallery(avatar: Avatar, tmp_path: Path) -> None:
    for name in ("zoe-avatar", "ann-avatar", "deep/ann-avatar"):
        make_result(tmp_path / name, avatar, video=False)
    library = open_library(tmp_path)
    assert sorted((a.id, a.name) for a in library.avatars) == [
        ("ann", "ann"),
        ("ann-2", "ann"),
        ("zoe", "zoe"),
    ]
    assert library.title == tmp_path.name
    with pytest.raises(PearError, match="3 avatars"):
        open_library(tmp_path, video=tmp_path / "x.mp4")


def test_links_that_lead_out_of_the_folder_are_not_followed(
    avatar: Avatar, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside = make_result(tmp_path / "elsewhere" / "eve-avatar", avatar)
    folder = tmp_path / "mine"
    make_result(folder / "ann-avatar", avatar)
    (folder / "eve-avatar").symlink_to(outside)
    (folder / "bob").mkdir()
    (folder / "bob" / "avatar.safetensors").symlink_to(outside / "avatar.safetensors")
    with caplog.at_level(logging.WARNING):
        assert [a.id for a in open_library(folder).avatars] == ["ann"]
    assert caplog.text.count("leads out of") == 2


def test_a_track_or_video_linked_from_elsewhere_is_not_used(avatar: Avatar, tmp_path: Path) -> None:
    outside = make_result(tmp_path / "elsewhere" / "eve-avatar", avatar)
    folder = make_result(tmp_path / "mine" / "ann-avatar", avatar)
    for name in ("track.npz", "clip.mp4"):
        (folder / name).unlink()
        (folder / name).symlink_to(outside / name)
    shown = open_library(folder).avatars[0]
    assert shown.motions[0].id != "clip"
    assert shown.video is None


@pytest.mark.parametrize(
    "source", ["../../secret.mp4", "/etc/passwd", "..\\secret.mp4", "", "x.txt"]
)
def test_the_avatar_file_cannot_choose_a_video(avatar: Avatar, tmp_path: Path, source: str) -> None:
    write_clip(tmp_path / "secret.mp4")
    folder = make_result(tmp_path / "a" / "b" / "ann-avatar", avatar, video=False)
    file = folder / "avatar.safetensors"
    named = Avatar(avatar.body, avatar.binding, avatar.splats, avatar.betas, {"source": source})
    save_avatar(file, named)
    assert find_video(read_header(file)) is None


def test_the_video_may_lie_one_folder_up(avatar: Avatar, tmp_path: Path) -> None:
    folder = make_result(tmp_path / "clip-avatar", avatar, video=False)
    write_clip(tmp_path / "clip.mp4")
    assert find_video(read_header(folder / "avatar.safetensors")) == tmp_path / "clip.mp4"


def test_broken_avatars_are_left_out_of_a_gallery_but_told_alone(
    avatar: Avatar, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_result(tmp_path / "ann-avatar", avatar)
    for name, data in (("cut", b"\x10\x00"), ("text", b"hello" * 100), ("empty", b"")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "avatar.safetensors").write_bytes(data)
    with caplog.at_level(logging.WARNING):
        assert len(open_library(tmp_path).avatars) == 1
    assert caplog.text.count("is left out") == 3
    with pytest.raises(AvatarFileError, match="avatar"):
        open_library(tmp_path / "text")


def test_an_avatar_whose_numbers_are_wrong_is_told_at_once(avatar: Avatar, tmp_path: Path) -> None:
    folder = make_result(tmp_path / "ann-avatar", avatar)
    file = folder / "avatar.safetensors"
    tensors = load_file(file)
    tensors["template.vertices"][0, 0] = float("nan")
    save_file(tensors, file, metadata={"format": "pear-avatar", "version": "1"})
    with pytest.raises(AvatarFileError, match="NaN"):
        open_library(folder)


def test_damaged_headers_never_crash(avatar: Avatar, tmp_path: Path) -> None:
    """Bytes of the header changed at random: read, or refused in one line."""
    folder = make_result(tmp_path / "ann-avatar", avatar, video=False)
    file = folder / "avatar.safetensors"
    good = file.read_bytes()
    end = 8 + int.from_bytes(good[:8], "little")
    random_source = random.Random(6)
    refused = 0
    for _ in range(60):
        data = bytearray(good)
        for _ in range(random_source.randint(1, 4)):
            data[random_source.randrange(end)] = random_source.choice(b'0123456789{}[]",:x')
        file.write_bytes(data)
        try:
            library = open_library(folder)
            library.avatars[0].load()
        except ValueError:
            refused += 1
    assert refused > 20


def test_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(PearError, match="pear-avatar fit"):
        open_library(tmp_path)
    with pytest.raises(PearError, match="no avatar at"):
        open_library(tmp_path / "nowhere")


def test_given_motions_come_before_the_built_in_ones(avatar: Avatar, tmp_path: Path) -> None:
    folder = make_result(tmp_path / "ann-avatar", avatar)
    save_motion_amass(tmp_path / "Idle.npz", still(240, 120.0))
    shown = open_library(folder, motions=[tmp_path / "Idle.npz"]).avatars[0]
    assert [m.id for m in shown.motions] == ["clip", "idle", "idle-2", "wave", "walk", "faces"]
    given = shown.motions[1]
    assert (given.name, given.fps, given.frames) == ("Idle", 60.0, 120)  # thinned out
    assert len(unpack(given.load().plain)[0]["time"]) == 120


def test_a_motion_that_is_none_is_told_before_anything_is_served(
    avatar: Avatar, tmp_path: Path
) -> None:
    folder = make_result(tmp_path / "ann-avatar", avatar)
    (tmp_path / "bad.npz").write_bytes(b"no")
    with pytest.raises(MotionFileError, match="bad"):
        open_library(folder, motions=[tmp_path / "bad.npz"])


def test_a_broken_track_leaves_the_avatar_usable(
    avatar: Avatar, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = make_result(tmp_path / "ann-avatar", avatar)
    (folder / "track.npz").write_bytes(b"no")
    with caplog.at_level(logging.WARNING):
        shown = open_library(folder).avatars[0]
    assert shown.motions[0].id == "idle"
    assert "track.npz" in caplog.text


def test_portraits_are_drawn_once(avatar: Avatar, tmp_path: Path) -> None:
    folder = make_result(tmp_path / "ann-avatar", avatar)
    (folder / "cache").mkdir()
    picture = open_library(folder).avatars[0].thumbnail()
    (kept,) = (folder / "cache").glob("portrait*.webp")
    assert kept.read_bytes() == picture
    kept.write_bytes(b"kept")
    assert open_library(folder).avatars[0].thumbnail() == b"kept"
    os.utime(folder / "avatar.safetensors", (1, 1))
    assert open_library(folder).avatars[0].thumbnail() == picture


def test_without_a_cache_beside_it_the_users_is_taken(
    avatar: Avatar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    folder = make_result(tmp_path / "ann-avatar", avatar)
    assert cache_folder(folder / "avatar.safetensors").is_relative_to(tmp_path / "mine")
    open_library(folder).avatars[0].thumbnail()
    assert not (folder / "cache").exists()


def test_facts_for_people(avatar: Avatar, tmp_path: Path) -> None:
    folder = make_result(tmp_path / "ann-avatar", avatar)
    assert short_facts(read_header(folder / "avatar.safetensors")) == {
        "Source": "clip.mp4",
        "Fit": "7000 steps",
        "Held-out PSNR": "24.12 dB",
    }


def test_a_video_that_browsers_cannot_play_is_encoded_once_with_its_own_times(
    avatar: Avatar, tmp_path: Path
) -> None:
    folder = make_result(tmp_path / "ann-avatar", avatar)
    (folder / "cache").mkdir()
    # The same frames in a container that browsers do not open.
    shutil.copy(folder / "clip.mp4", folder / "clip.mkv")
    shown = open_library(folder, video=folder / "clip.mkv").avatars[0]
    assert shown.video is not None
    copy = shown.video.load()
    assert copy.parent == folder / "cache"
    assert plays_in_browsers(copy)
    assert [round(t, 6) for _, t, _ in read_frames(copy)] == [0.0, 0.1, 0.2, 0.3]
    before = copy.stat().st_mtime_ns
    again = open_library(folder, video=folder / "clip.mkv").avatars[0]
    assert again.video is not None
    assert again.video.load().stat().st_mtime_ns == before


def test_small_copies_keep_frames_and_shape(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4")
    info = probe_video(write_browser_video(tmp_path / "clip.mp4", tmp_path / "s.mp4", max_side=32))
    assert (info.width, info.height, info.num_frames) == (32, 24, 4)
    assert not plays_in_browsers(tmp_path / "nothing.mp4")
    (tmp_path / "no.mp4").write_bytes(b"no")
    assert not plays_in_browsers(tmp_path / "no.mp4")


@pytest.mark.parametrize(
    ("turn", "expected"), [(0.0, 18.0), (30.0, 18.0), (180.0, 180.0), (-90.0, 90.0)]
)
def test_portraits_show_a_side_that_was_filmed(turn: float, expected: float) -> None:
    """Somebody who always stands with their back to the camera is shown from behind."""
    frames = np.arange(20)
    motion = still(20)
    angle = torch.zeros(20, 3)
    angle[:, 1] = np.deg2rad(turn)
    motion.params.rotations[:, 0] = axis_angle_to_matrix(angle)
    motion.params.transl[:, 2] = -3
    camera = Camera(
        intrinsics(100.0, 64, 48).expand(20, 3, 3), default_world_camera().expand(20, 4, 4), 64, 48
    )
    track = Track(motion, camera, frames, frames > -1, 0.0 * frames)
    assert abs(np.rad2deg(portrait_azimuth(track))) == pytest.approx(expected, abs=0.1)


def test_a_glance_at_the_camera_does_not_count() -> None:
    frames = np.arange(20)
    motion = still(20)
    angle = torch.zeros(20, 3)
    angle[2:, 1] = np.pi
    motion.params.rotations[:, 0] = axis_angle_to_matrix(angle)
    motion.params.transl[:, 2] = -3
    camera = Camera(
        intrinsics(100.0, 64, 48).expand(20, 3, 3), default_world_camera().expand(20, 4, 4), 64, 48
    )
    track = Track(motion, camera, frames, frames > -1, 0.0 * frames)
    assert abs(np.rad2deg(portrait_azimuth(track))) == pytest.approx(180.0, abs=0.1)
