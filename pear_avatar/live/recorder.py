"""Recording of a live run: the person's motion at the source's times, as npz and BVH."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import torch

from pear_avatar.body import load_body
from pear_avatar.live.live_body import LiveBody
from pear_avatar.live.live_session import Observation
from pear_avatar.motion.write_bvh import save_bvh
from pear_avatar.motion.write_poses import save_motion_amass
from pear_avatar.recovery.smoothing import one_euro_both_ways
from pear_avatar.types import BodyParams, Motion

__all__ = ["MotionRecorder"]

#: Longest recording, seconds; a forgotten one does not fill the memory.
_MOST_SECONDS = 3600.0


class MotionRecorder:
    """Collects recovered bodies between :meth:`start` and :meth:`stop`.

    Args:
        folder: where files go; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._bodies: list[LiveBody] | None = None

    @property
    def recording(self) -> bool:
        """Whether it is collecting."""
        with self._lock:
            return self._bodies is not None

    def start(self) -> None:
        """Begin a new recording; one that runs goes on."""
        with self._lock:
            if self._bodies is None:
                self._bodies = []

    def __call__(self, seen: Observation) -> None:
        """Take in one observation."""
        with self._lock:
            bodies = self._bodies
            if bodies is None or seen.body is None:
                return
            if bodies and not seen.body.time > bodies[-1].time:
                return
            if not bodies or seen.body.time - bodies[0].time < _MOST_SECONDS:
                bodies.append(seen.body)

    def stop(self) -> Path | None:
        """End the recording and write it.

        Returns:
            the npz (the BVH lies beside it); None where fewer than two frames were collected.
        """
        with self._lock:
            bodies, self._bodies = self._bodies, None
        if bodies is None or len(bodies) < 2:
            return None
        motion = motion_of(bodies)
        stem = time.strftime("live-%Y%m%d-%H%M%S")
        path = _free_path(self._folder, stem)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_motion_amass(path, motion)
        save_bvh(path.with_suffix(".bvh"), motion, load_body())
        return path


def motion_of(bodies: list[LiveBody]) -> Motion:
    """The motion of N recovered frames, of one shape, steadied without lag."""
    time_of = np.array([b.time for b in bodies]) - bodies[0].time
    params = BodyParams(
        bodies[-1].params.betas,
        torch.stack([b.params.expression for b in bodies]),
        torch.stack([b.params.rotations for b in bodies]),
        torch.stack([b.params.transl for b in bodies]),
    )
    return Motion(one_euro_both_ways(params, time_of), time_of, "live")


def _free_path(folder: Path, stem: str) -> Path:
    """A name that no file has: nothing is overwritten."""
    path, number = folder / f"{stem}.npz", 1
    while path.exists():
        path, number = folder / f"{stem}-{number}.npz", number + 1
    return path
