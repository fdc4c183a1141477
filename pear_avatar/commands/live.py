"""``pear-avatar live``: a camera, stream or video drives avatars on a page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

import numpy as np

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.avatar.file_format import load_avatar
from pear_avatar.commands.find_avatars import find_avatars
from pear_avatar.commands.recover_inputs import resolve_input
from pear_avatar.errors import MediaError, PearError
from pear_avatar.live.capture import LiveCapture, LiveSource
from pear_avatar.live.live_body import Legs, LiveReader
from pear_avatar.live.live_page import LivePage
from pear_avatar.live.live_pictures import AvatarStage, Framing, camera_picture
from pear_avatar.live.live_session import LiveSession, LiveStats
from pear_avatar.live.puppet import DriveSettings, Puppet
from pear_avatar.live.recorder import MotionRecorder
from pear_avatar.live.senders import PoseSender, Senders, SentPose, VirtualCamera
from pear_avatar.perception.refreshing import RefreshingDetector
from pear_avatar.recovery.lifter.lifter import Lifter
from pear_avatar.types import BodyParams, Camera
from pear_avatar.viewer.open_page import open_page

__all__ = ["LiveOptions", "LiveSummary", "drive_live", "live_avatars", "live_source"]

#: Pictures a second that are drawn at most, and of the camera that are sent to the page.
_MOST_PICTURES, _CAMERA_PICTURES = 60.0, 15.0
_SWITCHES = ("mirror", "body", "hands", "face", "lock_feet")


@dataclass(frozen=True)
class LiveOptions:
    """How a live run goes.

    size:       (width, height) of the drawn picture.
    draw:       False poses and sends only.
    browser:    open the page.
    page:       serve the page at all.
    seconds:    stop after so long.
    camera:     calibration of the camera; None takes a usual lens.
    virtual_camera: show the picture as a camera of the system.
    settings:   what follows at the start.
    framing:    "body" or "bust".
    """

    size: tuple[int, int] = (512, 640)
    draw: bool = True
    browser: bool = True
    page: bool = True
    seconds: float | None = None
    camera: Camera | None = None
    virtual_camera: bool = False
    settings: DriveSettings = field(default_factory=DriveSettings)
    framing: Framing = "body"


@dataclass(frozen=True)
class LiveSummary:
    """How a run went.

    stats: at its end. lags_ms: from arrival to picture. recordings: files that were written.
    seen: whether a person was ever in sight.
    """

    stats: LiveStats
    lags_ms: np.ndarray
    recordings: tuple[Path, ...]
    seen: bool


def drive_live(
    avatars: Sequence[Avatar],
    source: LiveSource,
    out: Path,
    options: LiveOptions | None = None,
    *,
    senders: Sequence[PoseSender] = (),
    say: Callable[[str], None] = lambda _: None,
) -> LiveSummary:
    """Drive avatars until the source ends, ``seconds`` are over, or Ctrl-C.

    Args:
        avatars: one or more; all follow the same person.
        source: camera, stream or file.
        out: folder of recordings.
        options: how it goes.
        senders: outputs besides the page; closed at the end.
        say: gets one line each on where to look and what is sent.

    Raises:
        MediaError: the source cannot be opened or decoded.
        PearError: the page or the virtual camera cannot be started.
    """
    options = options or LiveOptions()
    run = _Run(avatars, out, options, senders)
    with ExitStack() as stack:
        stack.callback(run.close)
        detector = RefreshingDetector()
        stack.callback(detector.close)
        capture = stack.enter_context(LiveCapture(source))
        if options.page:
            run.page = stack.enter_context(LivePage(run.status, run.control))
            say(f"live page: {run.page.url} (Ctrl-C ends)")
            if options.browser:
                open_page(run.page.url)
        for line in run.descriptions:
            say(line)
        run.go(capture, detector, say)
    return run.summary(capture)


class _Run:
    """One run: the session, its pictures and its outputs."""

    def __init__(
        self,
        avatars: Sequence[Avatar],
        out: Path,
        options: LiveOptions,
        senders: Sequence[PoseSender],
    ) -> None:
        puppets = [Puppet(avatar) for avatar in avatars]
        self._recorder = MotionRecorder(out)
        reader = LiveReader(Lifter.load(), options.camera)
        self.session = LiveSession(puppets, reader, options.settings, (self._recorder,))
        self._stage = AvatarStage(puppets, options.size)
        self._options, self._framing, self._overlay = options, options.framing, True
        members = list(senders)
        if options.virtual_camera:
            members.append(VirtualCamera(self._stage.size, 30.0))
        self.descriptions = [member.description for member in members]
        self._senders = Senders(members)
        self.page: LivePage | None = None
        self._capture: LiveCapture | None = None
        self._recordings: list[Path] = []
        self._failure: Exception | None = None
        self._number, self._seen, self._camera_due = 0, False, 0.0

    def go(
        self, capture: LiveCapture, detector: RefreshingDetector, say: Callable[[str], None]
    ) -> None:
        """Detect on a thread, draw on this one."""
        self._capture = capture
        work = threading.Thread(
            target=self._detect, args=(capture, detector), name="live-detect", daemon=True
        )
        work.start()
        begin = time.monotonic()
        try:
            while work.is_alive():
                self._tick()
                if (limit := self._options.seconds) is not None and (
                    time.monotonic() - begin >= limit
                ):
                    break
        except KeyboardInterrupt:
            say("stopped")
        self.session.stopping.set()
        work.join(timeout=5.0)
        if self._failure is not None:
            raise self._failure

    def _detect(self, capture: LiveCapture, detector: RefreshingDetector) -> None:
        try:
            self.session.detect_until_end(capture, detector)
        except Exception as error:  # raised again in the thread that can report it
            self._failure = error

    def _tick(self) -> None:
        begin = time.monotonic()
        poses = self.session.poses(begin)
        picture = None
        if poses is not None:
            self._seen = True
            if self._options.draw:
                picture = self._stage.draw(poses, self._framing)
                if self.page is not None and self.page.avatar.watched:
                    self.page.avatar.show(picture)
            self.session.note_drawn(time.monotonic())
            self._send(poses[0], picture)
        self._show_camera(begin)
        time.sleep(max(0.0005, 1.0 / _MOST_PICTURES - (time.monotonic() - begin)))

    def _send(self, params: BodyParams, picture: np.ndarray | None) -> None:
        if not self._senders.wanted:
            return
        body = self.session.body
        if body is None:
            return
        avatar = self.session.puppets[0].avatar
        names = avatar.body.arkit_names
        actions = {n: float(v) for n, v in zip(names, body.actions.tolist(), strict=False)}
        self._senders.send(
            SentPose(params, avatar.body.joint_template, actions, self._number, body.time, picture)
        )
        self._number += 1

    def _show_camera(self, now: float) -> None:
        if self.page is None or not self.page.camera.watched or now < self._camera_due:
            return
        newest = self.session.newest
        if newest is None:
            return
        self._camera_due = now + 1.0 / _CAMERA_PICTURES
        seen = newest.detections if self._overlay else None
        self.page.camera.show(camera_picture(newest.frame.rgb, seen))

    def status(self) -> dict[str, Any]:
        """What the page shows."""
        stats = self.session.stats(self._capture)
        settings = self.session.settings
        return {
            **{name: getattr(settings, name) for name in _SWITCHES},
            "legs": settings.legs,
            "framing": self._framing,
            "overlay": self._overlay,
            "frozen": self.session.frozen,
            "recording": self._recorder.recording,
            "notice": self._notice(stats),
            **{f.name: getattr(stats, f.name) for f in fields(stats)},
        }

    def _notice(self, stats: LiveStats) -> str:
        if not stats.seen:
            return "No person in sight: step back until head and shoulders are in the picture."
        if self._recorder.recording:
            return "Recording."
        return "" if self.session.calibrated else "Stand still for a moment."

    def control(self, wanted: Mapping[str, Any]) -> None:
        """What the user switched.

        Raises:
            PearError: an unknown switch or value.
        """
        for name, value in wanted.items():
            if name in _SWITCHES and isinstance(value, bool):
                self.session.change(**{name: value})
            elif name == "legs" and value in get_args(Legs):
                self.session.change(legs=value)
            elif name == "framing" and value in get_args(Framing):
                self._framing = value
            elif name == "overlay" and isinstance(value, bool):
                self._overlay = value
            elif name == "frozen" and isinstance(value, bool):
                self.session.freeze(value)
            elif name == "calibrate" and value is True:
                self.session.calibrate()
            elif name == "recording" and isinstance(value, bool):
                self._record(value)
            else:
                raise PearError(f"{name!r} cannot be set to {value!r}")

    def _record(self, on: bool) -> None:
        if on:
            self._recorder.start()
        elif (path := self._recorder.stop()) is not None:
            self._recordings.append(path)

    def close(self) -> None:
        """End what is open; a recording that runs is written."""
        self._record(False)
        self._senders.close()

    def summary(self, capture: LiveCapture) -> LiveSummary:
        """How it went."""
        if not self._seen and self.session.newest is None:
            raise MediaError("the source gave no frame: check the camera or the address")
        return LiveSummary(
            self.session.stats(capture),
            self.session.lags() * 1000.0,
            tuple(self._recordings),
            self._seen,
        )


def live_source(text: str, *, loop: bool = False) -> LiveSource:
    """What ``--camera`` names: a camera's number, a stream's address, or a video file.

    Raises:
        PearError: nothing that can be read.
    """
    found = resolve_input(text)
    if found.kind == "camera":
        return LiveSource("camera", found.source)
    if found.kind == "stream":
        return LiveSource("stream", found.source)
    if found.kind == "video":
        return LiveSource("file", found.source, loop)
    raise PearError(f"{text} is a {found.kind}: name a camera, a stream or a video")


def live_avatars(paths: Sequence[Path]) -> list[Avatar]:
    """The avatars of files and result folders.

    Raises:
        PearError: there is none, or one of them is damaged.
    """
    return [load_avatar(file) for path in paths for file in find_avatars(path)]
