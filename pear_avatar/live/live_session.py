"""A live run: detection on one thread, drawing on another, and what both of them share.

Detection takes the newest frame, recovers the person, and hands the pose to a predictor.
Drawing asks the predictor where the person is now, poses every avatar and rasterises it. Neither
waits for the other, so the picture runs at its own rate.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch

from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.live.capture import LiveCapture, LiveFrame
from pear_avatar.live.live_body import LiveBody, LiveReader
from pear_avatar.live.pose_predictor import PosePredictor
from pear_avatar.live.puppet import DriveSettings, Neutral, Puppet
from pear_avatar.types import BodyParams, ClipDetections

__all__ = ["FrameDetector", "LiveSession", "LiveStats", "Observation"]

#: Seconds without a person after which the avatar no longer follows a guess.
_LOST = 1.0
#: Seconds of pose that calibration takes the mean of.
_CALIBRATION = 0.8
_RATE_SPAN = 2.0
_FORWARD = (0.0, 0.0, 1.0)


@dataclass(frozen=True)
class Observation:
    """One detected frame: the person, the landmarks, and the picture they were found in."""

    body: LiveBody | None
    detections: ClipDetections | None
    frame: LiveFrame
    done: float


@dataclass(frozen=True)
class LiveStats:
    """Rates over the last two seconds, and counts since the start.

    detections, drawn: a second. read, dropped: frames of the source.
    lag_ms: from a frame's arrival to the first picture that shows it, median.
    seen: whether a person is in sight.
    """

    detections: float = 0.0
    drawn: float = 0.0
    read: int = 0
    dropped: int = 0
    lag_ms: float = float("nan")
    seen: bool = False


class FrameDetector(Protocol):
    """Detects one person in successive frames."""

    def detect(self, rgb: np.ndarray, time: float) -> ClipDetections | None:
        """Landmarks of the next (H, W, 3) uint8 frame; None without a person."""


class _Rate:
    """Events a second over the last two seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def tick(self, now: float) -> None:
        self._times.append(now)

    def rate(self, now: float) -> float:
        while self._times and self._times[0] < now - _RATE_SPAN:
            self._times.popleft()
        if len(self._times) < 2:
            return 0.0
        return (len(self._times) - 1) / max(now - self._times[0], 1e-6)


class LiveSession:
    """The shared state of one run; all methods may be called from any thread.

    Args:
        puppets: the avatars that follow.
        reader: recovers the person; owned by the detecting thread.
        settings: what follows at the start.
        listeners: called with every observation in the detecting thread: recording, OSC, ...
    """

    def __init__(
        self,
        puppets: Sequence[Puppet],
        reader: LiveReader,
        settings: DriveSettings | None = None,
        listeners: Sequence[Callable[[Observation], None]] = (),
    ) -> None:
        self.puppets = tuple(puppets)
        self._reader = reader
        self._listeners = tuple(listeners)
        self._lock = threading.Lock()
        self._settings = settings or DriveSettings()
        self._predictor = PosePredictor()
        self._newest: Observation | None = None
        self._body: LiveBody | None = None
        self._offset = 0.0
        self._neutral: Neutral | None = None
        self._calibrating: list[LiveBody] | None = []
        self._frozen: tuple[BodyParams, ...] | None = None
        self._detect_rate, self._draw_rate = _Rate(), _Rate()
        self._lags: deque[float] = deque(maxlen=240)
        self._shown = -1
        self.stopping = threading.Event()

    @property
    def settings(self) -> DriveSettings:
        """What follows."""
        with self._lock:
            return self._settings

    def change(self, **changes: object) -> DriveSettings:
        """Change some settings; the new ones."""
        with self._lock:
            self._settings = replace(self._settings, **changes)  # type: ignore[arg-type]
            return self._settings

    @property
    def newest(self) -> Observation | None:
        """The newest observation."""
        with self._lock:
            return self._newest

    @property
    def body(self) -> LiveBody | None:
        """The newest recovered person."""
        with self._lock:
            return self._body

    def calibrate(self) -> None:
        """Take the next moment for the person's neutral stance and face."""
        with self._lock:
            self._calibrating = []

    @property
    def calibrated(self) -> bool:
        """Whether a neutral stance is known."""
        with self._lock:
            return self._neutral is not None

    def freeze(self, frozen: bool) -> None:
        """Hold the avatars as they are, or let them follow again."""
        poses = self.poses(time.monotonic()) if frozen else None
        with self._lock:
            self._frozen = poses

    @property
    def frozen(self) -> bool:
        """Whether the avatars are held."""
        with self._lock:
            return self._frozen is not None

    def detect_until_end(self, capture: LiveCapture, detector: FrameDetector) -> None:
        """The detecting thread's work, until the source ends or the session stops.

        Raises:
            MediaError: of the source.
        """
        while not self.stopping.is_set() and not capture.ended:
            frame = capture.take(0.2)
            if frame is not None:
                self.observe(frame, detector)

    def observe(self, frame: LiveFrame, detector: FrameDetector) -> Observation:
        """Recover one frame and hand it on."""
        seen = detector.detect(frame.rgb, frame.time)
        body = None if seen is None else self._reader.read(seen, frame.arrived)
        now = time.monotonic()
        seen_now = Observation(body, seen, frame, now)
        with self._lock:
            self._newest = seen_now
            self._offset = frame.time - frame.arrived
            self._detect_rate.tick(now)
            if body is not None:
                self._body = body
                self._predictor.push(body.params, body.time)
                self._learn_neutral(body)
        for listener in self._listeners:
            listener(seen_now)
        return seen_now

    def poses(self, now: float) -> tuple[BodyParams, ...] | None:
        """Parameters of every avatar at ``now`` (:func:`time.monotonic`); None before a person
        was seen."""
        with self._lock:
            if self._frozen is not None:
                return self._frozen
            body, settings = self._body, self._settings
            moment = now + self._offset
            params = self._predictor.at(moment)
            neutral = self._neutral
        if body is None or params is None:
            return None
        neutral = neutral or _neutral_of([body])
        there = replace(body, params=params)
        return tuple(p.pose(there, settings, neutral, moment) for p in self.puppets)

    def note_drawn(self, now: float) -> None:
        """Count a picture that was drawn, and how old its newest observation is."""
        with self._lock:
            self._draw_rate.tick(now)
            newest = self._newest
            if newest is not None and newest.frame.number != self._shown:
                self._shown = newest.frame.number
                self._lags.append(now - newest.frame.arrived)

    def lags(self) -> np.ndarray:
        """Seconds from arrival to picture of the last frames."""
        with self._lock:
            return np.array(self._lags)

    def stats(self, capture: LiveCapture | None = None) -> LiveStats:
        """Rates and counts now."""
        now = time.monotonic()
        counts = capture.counts if capture is not None else None
        lags = self.lags()
        with self._lock:
            newest = self._newest
            return LiveStats(
                self._detect_rate.rate(now),
                self._draw_rate.rate(now),
                counts.read if counts else 0,
                counts.dropped if counts else 0,
                float(np.median(lags)) * 1000 if len(lags) else float("nan"),
                newest is not None and newest.body is not None and now - newest.done < _LOST,
            )

    def _learn_neutral(self, body: LiveBody) -> None:
        if self._calibrating is None:
            return
        self._calibrating.append(body)
        first = self._calibrating[0]
        if self._neutral is None:
            self._neutral = _neutral_of(self._calibrating)
        if body.time - first.time >= _CALIBRATION:
            self._neutral = _neutral_of(self._calibrating)
            self._reader.calibrate(self._calibrating)
            self._calibrating = None


def _neutral_of(bodies: Sequence[LiveBody]) -> Neutral:
    """The mean stance of a moment: its heading, and where its pelvis is."""
    pelvis = torch.stack([b.params.transl + b.rest_pelvis for b in bodies]).median(0).values
    forward = torch.stack([b.params.rotations[0] @ torch.tensor(_FORWARD) for b in bodies]).mean(0)
    yaw = torch.atan2(forward[0], forward[2])
    return Neutral(axis_angle_to_matrix(torch.stack([yaw * 0, yaw, yaw * 0])), pelvis)
