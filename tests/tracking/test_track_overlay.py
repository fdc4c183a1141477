"""The overlay shows the body where it is, and says which frames are untrusted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tracking_people import detect, moving_person, tall_camera

from pear_avatar.body import load_body
from pear_avatar.geometry.cameras import project
from pear_avatar.io.video import VideoWriter, probe_video
from pear_avatar.tracking import write_track_overlay
from pear_avatar.tracking.overlay import draw_frames
from pear_avatar.types import Camera, Motion, Track

N = 3


@pytest.fixture(scope="module")
def track() -> Track:
    body = load_body()
    camera = tall_camera()
    return Track(
        Motion(moving_person(body, N), np.arange(N) / 24.0),
        Camera(camera.K.expand(N, 3, 3), camera.T_camera_world.expand(N, 4, 4), 720, 1280),
        np.arange(N),
        np.array([True, True, False]),
        np.zeros(N, np.float32),
    )


def test_the_drawn_body_covers_its_projected_joints(track: Track) -> None:
    body = load_body()
    blank = np.zeros((1280, 720, 3), np.uint8)
    pictures = draw_frames([(0, blank), (2, blank)], track, body)
    params = track.motion.params
    joints = body.shape(params.betas).pose(params.rotations, params.transl).joints
    px = project(track.camera, joints)[0][0, :22].round().long()
    assert (torch.from_numpy(pictures[0])[px[:, 1], px[:, 0]].sum(-1) > 0).all()
    assert blank.max() == 0  # the input is left alone
    assert not pictures[0][640, :4].any()
    assert pictures[1][640, :4, 0].min() > 200  # the red border of an untrusted frame


def test_the_video_has_every_frame(track: Track, tmp_path: Path) -> None:
    body = load_body()
    source = tmp_path / "clip.mp4"
    with VideoWriter(source, 24) as writer:
        for _ in range(N):
            writer.write(np.full((1280, 720, 3), 90, np.uint8))
    detections = detect(body, track.motion.params, tall_camera())
    seen: list[int] = []
    write_track_overlay(
        source,
        replace(track, trusted=np.ones(N, bool)),
        body,
        tmp_path / "out.mp4",
        detections=detections,
        progress=lambda stage, done, total: seen.append(done),
    )
    info = probe_video(tmp_path / "out.mp4")
    assert (info.num_frames, info.width, info.height) == (N, 720, 1280)
    assert seen[-1] == N
