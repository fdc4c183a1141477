"""A whole live run on a synthetic person, without a page and without a person's help."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from live_people import plain_avatar, standing_body

from pear_avatar.body import load_body
from pear_avatar.commands.live import LiveOptions, drive_live, live_source
from pear_avatar.errors import PearError
from pear_avatar.live.capture import LiveFrame, LiveSource
from pear_avatar.live.live_body import LiveBody
from pear_avatar.live.live_pictures import AvatarStage
from pear_avatar.live.live_session import LiveSession
from pear_avatar.live.puppet import DriveSettings, Puppet
from pear_avatar.live.recorder import MotionRecorder
from pear_avatar.motion.formats.registry import load_motion
from pear_avatar.synthesis import make_synthetic_clip


class Script:
    """A detector and reader in one that plays prepared bodies; None is an empty picture."""

    def __init__(self, bodies: list[LiveBody | None]) -> None:
        self._bodies = list(bodies)
        self.calibrated: list[LiveBody] = []

    def detect(self, rgb: np.ndarray, seconds: float) -> object | None:
        return (self._bodies[0] and object()) or self._bodies.pop(0)

    def read(self, seen: object, arrived: float) -> LiveBody | None:
        return self._bodies.pop(0)

    def calibrate(self, bodies: list[LiveBody]) -> None:
        self.calibrated = list(bodies)


def played(bodies: list[LiveBody | None], *listeners) -> tuple[LiveSession, Script]:  # type: ignore[no-untyped-def]
    script = Script(bodies)
    session = LiveSession([Puppet(plain_avatar())], script, DriveSettings(mirror=False), listeners)
    now = time.monotonic()
    for k in range(len(bodies)):
        frame = LiveFrame(k, k / 25, now + k / 25, np.zeros((8, 8, 3), np.uint8))
        session.observe(frame, script)
    return session, script


def test_before_a_person_came_there_is_no_pose() -> None:
    session, _ = played([None, None])
    assert session.poses(time.monotonic()) is None
    assert not session.stats().seen


def test_the_first_moment_calibrates_and_the_person_stands_at_the_origin() -> None:
    session, script = played([standing_body(k / 25, transl=(0.4, 0.1, -2.0)) for k in range(30)])
    assert session.calibrated
    assert len(script.calibrated) >= 20
    poses = session.poses(time.monotonic())
    assert poses is not None
    pelvis = poses[0].transl + plain_avatar().body.joint_template[0]
    assert pelvis[[0, 2]].norm() < 0.02


def test_freeze_holds_and_lets_go() -> None:
    session, _ = played([standing_body(k / 25) for k in range(5)])
    session.freeze(True)
    a = session.poses(time.monotonic())
    session.change(mirror=True, hands=False)
    assert session.poses(time.monotonic() + 5) is a
    session.freeze(False)
    assert session.poses(time.monotonic()) is not a


def test_recordings_carry_the_sources_times(tmp_path: Path) -> None:
    recorder = MotionRecorder(tmp_path)
    recorder.start()
    times = [0.0, 0.04, 0.2, 0.24]  # frames were dropped in between
    played([standing_body(t, transl=(t, 0.0, -3.0)) for t in times], recorder)
    path = recorder.stop()
    assert path is not None
    motion = load_motion(path)
    assert np.allclose(motion.time[-1] - motion.time[0], 0.24, atol=1e-2)
    assert path.with_suffix(".bvh").is_file()
    assert recorder.stop() is None


def test_two_avatars_stand_side_by_side() -> None:
    puppets = [Puppet(plain_avatar()), Puppet(plain_avatar(child=True))]
    stage = AvatarStage(puppets, (200, 240))
    body = standing_body()
    script = Script([body])
    session = LiveSession(puppets, script, DriveSettings())
    session.observe(LiveFrame(0, 0.0, time.monotonic(), np.zeros((8, 8, 3), np.uint8)), script)
    poses = session.poses(time.monotonic())
    assert poses is not None
    for framing in ("body", "bust"):
        picture = stage.draw(poses, framing)  # type: ignore[arg-type]
        assert picture.shape == (240, 200, 3)
        halves = picture[:, :100].astype(int), picture[:, 100:].astype(int)
        assert all(np.ptp(half) > 60 for half in halves)


@pytest.mark.slow
def test_a_video_drives_an_avatar_in_real_time(tmp_path: Path) -> None:
    clip = make_synthetic_clip(
        tmp_path / "clip", load_body(), num_frames=40, num_unseen=2, size=(240, 320)
    )
    torch.set_num_threads(1)
    summary = drive_live(
        [plain_avatar()],
        LiveSource("file", str(clip.video), loop=True),
        tmp_path / "out",
        LiveOptions(page=False, seconds=6.0, size=(96, 128)),
    )
    assert summary.seen
    assert summary.stats.read > 30
    assert len(summary.lags_ms) > 3
    # Frames are dropped rather than queued: the lag does not grow over the run.
    half = len(summary.lags_ms) // 2
    assert np.median(summary.lags_ms[half:]) < 3 * np.median(summary.lags_ms[:half]) + 200


def test_sources_are_known_by_their_look(tmp_path: Path) -> None:
    assert live_source("0").kind == "camera"
    assert live_source("rtsp://host/cam").kind == "stream"
    with pytest.raises(PearError):
        live_source(str(tmp_path / "none.mp4"))
