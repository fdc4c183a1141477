"""Live drive: rendered pictures, fresh detections, lag and what each stage costs.

A video of 640 x 480 is played in real time, as a camera would give it; an avatar of 30,000 splats
follows and is drawn at 512 x 640. The peer is the plain sequence on one thread (whole detector,
lifter, drawing, then the next frame), on the same video in the same run.

``--quick`` plays 10 seconds; otherwise 60. Footage is looked for in ``PEAR_AVATAR_DATA`` or beside
the repository; without it a synthetic person is filmed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from benchmarks._footage import DATA
from benchmarks.framework import Options, Result
from pear_avatar.avatar.avatar import Avatar, SplatSet, personalise
from pear_avatar.avatar.binding import sample_surface
from pear_avatar.body import load_body
from pear_avatar.commands.live import LiveOptions, drive_live
from pear_avatar.live.capture import LiveCapture, LiveSource
from pear_avatar.live.live_body import LiveReader
from pear_avatar.live.live_pictures import AvatarStage
from pear_avatar.live.live_session import LiveSession
from pear_avatar.live.puppet import Puppet
from pear_avatar.perception.live import LiveDetector
from pear_avatar.perception.refreshing import RefreshingDetector
from pear_avatar.recovery.lifter.lifter import Lifter
from pear_avatar.synthesis import make_synthetic_clip
from pear_avatar.types import ClipDetections

_SPLATS, _PICTURE = 30_000, (512, 640)
_CLIP = "video/upper_hands_yellow_book.mkv"
_T = TypeVar("_T")


def run(options: Options) -> list[Result]:
    """Rates, lag, and the cost of the stages."""
    torch.set_num_threads(options.threads or 1)
    seconds = 10.0 if options.quick else 60.0
    avatar = _avatar()
    with tempfile.TemporaryDirectory() as folder:
        video = _video(Path(folder))
        source = LiveSource("file", str(video), loop=True)
        live = drive_live(
            [avatar], source, Path(folder), LiveOptions(page=False, seconds=seconds, size=_PICTURE)
        )
        plain = _sequence(avatar, source, min(seconds, 20.0))
        stages = _stages(avatar, video)
    lags = live.lags_ms
    peer = "plain sequence"
    return [
        Result.versus(
            "drawn pictures", live.stats.drawn, "1/s", "higher", peer, peer_value=plain.rate
        ),
        Result.versus(
            "fresh detections", live.stats.detections, "1/s", "higher", peer, peer_value=plain.rate
        ),
        Result.versus(
            "lag, median",
            float(np.median(lags)),
            "ms",
            "lower",
            peer,
            peer_value=float(np.median(plain.lags)),
        ),
        Result.versus(
            "lag, 95 %", float(np.percentile(lags, 95)), "ms", "lower", peer,
            peer_value=float(np.percentile(plain.lags, 95)),
        ),
        Result("frames skipped", live.stats.dropped / max(live.stats.read, 1), "share", "lower"),
        *(Result(f"stage: {name}", 1e3 * cost, "ms of CPU", "lower") for name, cost in stages),
    ]  # fmt: skip


@dataclass
class _Plain:
    """How the plain sequence went: rounds a second, and lags in ms."""

    rate: float = 0.0
    lags: list[float] = field(default_factory=list)


def _sequence(avatar: Avatar, source: LiveSource, seconds: float) -> _Plain:
    session, stage = _session(avatar)
    found = _Plain()
    with LiveDetector() as detector, LiveCapture(source) as capture:
        begin = time.monotonic()
        while (now := time.monotonic()) - begin < seconds:
            frame = capture.take()
            if frame is None:
                continue
            session.observe(frame, detector)
            poses = session.poses(now)
            if poses is not None:
                stage.draw(poses, "body")
            found.lags.append(1e3 * (time.monotonic() - frame.arrived))
    found.rate = len(found.lags) / seconds
    return found


def _stages(avatar: Avatar, video: Path) -> list[tuple[str, float]]:
    """CPU seconds a frame of each stage, one after the other on one thread."""
    session, stage = _session(avatar)
    spent: dict[str, list[float]] = {}

    def timed(name: str, call: Callable[[], _T]) -> _T:
        start = time.process_time()
        result = call()
        spent.setdefault(name, []).append(time.process_time() - start)
        return result

    lifter = Lifter.load()
    whole, refreshing = LiveDetector(), RefreshingDetector()
    with whole, LiveCapture(LiveSource("file", str(video))) as capture:
        while not capture.ended:
            frame = capture.take()
            if frame is None:
                continue
            timed("detect, whole", lambda f=frame: whole.detect(f.rgb, f.time))  # type: ignore[misc]
            seen = timed("detect, parts when due", lambda f=frame: refreshing.detect(f.rgb, f.time))  # type: ignore[misc]
            if seen is None:
                continue
            timed("lift", lambda s=seen: lifter.lift(s))  # type: ignore[misc]
            session.observe(frame, _Known(seen))
            poses = timed("pose", lambda: session.poses(time.monotonic()))
            if poses is not None:
                timed("draw", lambda p=poses: stage.draw(p, "body"))  # type: ignore[misc]
    refreshing.close()
    return [(name, float(np.mean(costs))) for name, costs in spent.items()]


class _Known:
    """A detector that returns what was found already."""

    def __init__(self, seen: ClipDetections) -> None:
        self._seen = seen

    def detect(self, rgb: np.ndarray, time: float) -> ClipDetections:
        return self._seen


def _session(avatar: Avatar) -> tuple[LiveSession, AvatarStage]:
    puppets: Sequence[Puppet] = [Puppet(avatar)]
    return LiveSession(puppets, LiveReader(Lifter.load())), AvatarStage(puppets, _PICTURE)


def _avatar() -> Avatar:
    """The average person under splats as large as their spacing."""
    body = load_body()
    own = personalise(body, torch.zeros(body.num_betas), torch.zeros(body.num_vertices, 3))
    binding = sample_surface(own.v_template, own.faces, torch.ones(len(own.faces)), _SPLATS, 0)
    generator = torch.Generator().manual_seed(0)
    splats = SplatSet(
        torch.zeros(_SPLATS, 3),
        torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(_SPLATS, 1),
        torch.tensor([-5.4, -5.4, -7.0]).repeat(_SPLATS, 1),
        torch.full((_SPLATS,), 3.0),
        torch.rand(_SPLATS, 3, generator=generator),
    )
    return Avatar(own, binding, splats, torch.zeros(body.num_betas), {"source": "benchmark"})


def _video(folder: Path) -> Path:
    if (DATA / _CLIP).is_file():
        return DATA / _CLIP
    return make_synthetic_clip(
        folder / "clip", load_body(), num_frames=90, num_unseen=2, size=(640, 480), fps=30.0
    ).video
