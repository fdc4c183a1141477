"""Recover the person in front of a camera, frame by frame, with a live picture of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from pear_avatar.body import BodyModel
from pear_avatar.commands.recover import RecoverOptions, RecoverSummary
from pear_avatar.commands.recover_inputs import MediaInput
from pear_avatar.commands.recover_outputs import PersonTrack, draw_people, write_person
from pear_avatar.errors import MediaError
from pear_avatar.live.capture import LiveCapture, LiveFrame, LiveSource, SourceKind
from pear_avatar.live.live_page import LivePage
from pear_avatar.perception.live import LiveDetector
from pear_avatar.recovery.lens import guess_camera
from pear_avatar.recovery.recovered import PoseEstimate
from pear_avatar.recovery.recoverer import Recoverer
from pear_avatar.recovery.smoothing import BodyFilterState, one_euro_body
from pear_avatar.tracking.clip_camera import clip_cameras
from pear_avatar.types import BodyParams, Camera, ClipDetections, Motion, Proportions, Track
from pear_avatar.viewer.open_page import open_page

__all__ = ["recover_live"]

#: The person's shape is a running mean over about so many frames.
_SHAPE_MEMORY = 60
#: Frames after which the body that is drawn takes over the mean shape; making it takes a moment.
_NEW_BODY_AT = (5, 20, 59)
_RATE_MEMORY = 0.9
_INK = (235, 235, 235)
_WINDOW = "pear-avatar live (q ends)"


def recover_live(
    source: MediaInput,
    out: Path,
    options: RecoverOptions,
    recoverer: Recoverer,
    *,
    window: bool = False,
    browser: bool = True,
    seconds: float | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> RecoverSummary:
    """Recover the largest person of a camera or stream until it ends, or Ctrl-C.

    The motion is written to ``out`` at the end, also after Ctrl-C.

    Args:
        source: a camera's number or a stream's address.
        out: folder of the results.
        options: of the results; live input is always of the largest person.
        recoverer: whose source recovers the parameters.
        window: show the picture in a window instead of on a page.
        browser: open the page in a browser.
        seconds: stop after so long.
        log: called with one line of text for the page's address and each change of state.

    Raises:
        MediaError: the camera or stream cannot be opened, or no person was seen.
    """
    session = _Session(recoverer, options)
    if source.kind == "stream":
        log(f"reading {source.source} over the network")
    with ExitStack() as stack:
        detector = stack.enter_context(LiveDetector(recoverer.detector.detectors))
        show = _preview(stack, window, browser, log)
        kind: SourceKind = "camera" if source.kind == "camera" else "stream"
        capture = stack.enter_context(LiveCapture(LiveSource(kind, source.source)))
        started = time.monotonic()
        try:
            while not capture.ended:
                frame = capture.take()
                if frame is not None and not show(session.look(frame, detector)):
                    break
                if seconds is not None and time.monotonic() - started >= seconds:
                    break
        except KeyboardInterrupt:
            log("stopped; writing the motion")
    person = session.result(source.name)
    write_person(out / source.name, person, options.mesh)
    return RecoverSummary(out, 1, 1)


def _preview(
    stack: ExitStack, window: bool, browser: bool, log: Callable[[str], None]
) -> Callable[[np.ndarray], bool]:
    """A function that shows a picture and says whether to go on."""
    if window:
        try:
            cv2.namedWindow(_WINDOW, cv2.WINDOW_AUTOSIZE)
        except cv2.error:
            raise MediaError(
                "this machine can show no window: leave --window out for a page in the browser"
            ) from None
        stack.callback(cv2.destroyWindow, _WINDOW)

        def in_window(rgb: np.ndarray) -> bool:
            cv2.imshow(_WINDOW, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
            return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)

        return in_window
    page = stack.enter_context(LivePage())
    log(f"live picture: {page.url} (Ctrl-C ends)")
    if browser:
        open_page(page.url)

    def on_page(rgb: np.ndarray) -> bool:
        page.camera.show(rgb)
        return True

    return on_page


@dataclass
class _Shape:
    """The running mean of a person's betas and scales."""

    betas: Tensor | None = None
    proportions: Proportions | None = None
    count: int = 0

    def update(self, found: PoseEstimate) -> tuple[Tensor, Proportions]:
        """Take in one frame; the mean so far."""
        betas, new = found.params.betas[0], found.proportions
        head, hand = new.head_scale[0], new.hand_scale[0]
        self.count = min(self.count + 1, _SHAPE_MEMORY)
        share = 1.0 / self.count
        if self.betas is None or self.proportions is None:
            self.betas, self.proportions = betas, Proportions(head, hand)
        else:
            old = self.proportions
            self.betas = self.betas + share * (betas - self.betas)
            self.proportions = Proportions(
                old.head_scale + share * (head - old.head_scale),
                old.hand_scale + share * (hand - old.hand_scale),
            )
        return self.betas, self.proportions


@dataclass
class _Session:
    """One live run: the person's shape so far, the filters, and what was recovered."""

    recoverer: Recoverer
    options: RecoverOptions
    shape: _Shape = field(default_factory=_Shape)
    filter: BodyFilterState | None = None
    frames: list[BodyParams] = field(default_factory=list)
    detections: list[ClipDetections] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    camera: Camera | None = None
    body: BodyModel | None = None
    rate: float = 0.0
    last: float | None = None

    def look(self, frame: LiveFrame, detector: LiveDetector) -> np.ndarray:
        """Recover from one frame and draw it, with the frame rate; its time is the source's."""
        rgb, now = frame.rgb, frame.time
        if self.last is not None:
            rate = 1.0 / max(now - self.last, 1e-4)
            self.rate += (1.0 - _RATE_MEMORY) * (rate - self.rate) if self.rate else rate
        self.last = now
        seen = detector.detect(rgb, now)
        drawn = rgb.copy() if seen is None else self._recovered(rgb, now, seen)
        text = f"{self.rate:.1f} frames/s" + ("" if seen is not None else "  no person in sight")
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(drawn, text, (10, 24), font, 0.6, _INK, thickness=1, lineType=cv2.LINE_AA)
        return drawn

    def _recovered(self, rgb: np.ndarray, now: float, seen: ClipDetections) -> np.ndarray:
        camera = self.camera = self.options.camera or guess_camera(seen.width, seen.height)
        with torch.no_grad():
            found = self.recoverer.source.recover(repeat(rgb, 1), seen, camera)
            params = found.params[0]
            if self.options.smooth != "off":
                self.filter, params = one_euro_body(self.filter, params, now)
        betas, proportions = self.shape.update(found)
        self.frames.append(params)
        self.detections.append(seen)
        self.times.append(now)
        track = self._track([params], [now], betas, found.camera, "live")
        if self.body is None or self.shape.count in _NEW_BODY_AT:
            self.body = self.recoverer.source.body.person(proportions)
        person = PersonTrack(0, track, self.body, np.ones(1), seen.box_xyxy)
        return draw_people(rgb, [person], 0, mesh=self.options.mesh != "none")

    def _track(
        self,
        frames: list[BodyParams],
        times: list[float],
        betas: Tensor,
        camera: Camera,
        name: str,
    ) -> Track:
        count = len(frames)
        params = BodyParams(
            betas,
            torch.stack([p.expression for p in frames]),
            torch.stack([p.rotations for p in frames]),
            torch.stack([p.transl for p in frames]),
        )
        one = camera if camera.K.dim() == 2 else camera[0]
        cameras = clip_cameras(one, count, 0.0)
        index = np.arange(count, dtype=np.int64)
        motion = Motion(params, np.array(times), name)
        return Track(motion, cameras, index, np.ones(count, bool), np.full(count, np.nan))

    def result(self, name: str) -> PersonTrack:
        """The whole motion, with the mean shape."""
        if not self.frames or self.shape.betas is None or self.shape.proportions is None:
            raise MediaError("no person was seen: stand a few steps from the camera, in good light")
        assert self.camera is not None
        track = self._track(self.frames, self.times, self.shape.betas, self.camera, name)
        boxes = np.concatenate([d.box_xyxy for d in self.detections])
        body = self.recoverer.source.body.person(self.shape.proportions)
        return PersonTrack(0, track, body, np.ones(len(self.frames)), boxes)
