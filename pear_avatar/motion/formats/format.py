"""What a format is, and what reading a file of one gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pear_avatar.motion.formats.content import Content
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.retarget.retarget_report import RetargetReport
from pear_avatar.types import Motion, Proportions, Track

__all__ = ["Format", "MotionFile"]


@dataclass(frozen=True)
class MotionFile:
    """A pose file's content in this package's terms.

    motion:      the motion; ``transl`` is where the pelvis is, on a body whose rest pelvis lies
                 at the origin.
    layout:      name of the file's :class:`Format`.
    report:      how a capture's skeleton was mapped; None for files of the SMPL family.
    intrinsics:  (N, 3, 3) the clip's camera in pixels, where the file holds it.
    proportions: scales and joint offsets of the person, from files of the EHM tracker.
    own_shape:   betas and expression are those of the open body.
    track:       the person with the clip's cameras, from our own ``track.npz``; its motion is in
                 the terms of the body that was tracked.
    pelvis_rest: (3,) metres, where the pelvis of a track's body rests.
    warnings:    what had to be assumed or converted, one sentence each.
    """

    motion: Motion
    layout: str
    report: RetargetReport | None = None
    intrinsics: np.ndarray | None = None
    proportions: Proportions | None = None
    own_shape: bool = False
    track: Track | None = None
    pelvis_rest: np.ndarray | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """One layout of pose files; every module of :mod:`.layouts` defines one as ``FORMAT``.

    name:    short name, shown by ``convert`` and in the documentation.
    files:   which files have this layout, for people to read.
    notes:   how they are understood: axes, units, rates.
    endings: usual endings of the files, with the dot; content decides, not the ending.
    sniff:   whether a content has this layout; must not raise.
    read:    the motion of a content for which ``sniff`` is true; raises MotionFileError.
    rank:    formats with a lower rank are asked first; a layout whose names are a subset of
             another's has the higher rank.
    """

    name: str
    files: str
    notes: str
    endings: tuple[str, ...]
    sniff: Callable[[Content], bool]
    read: Callable[[Content, ReadOptions], MotionFile]
    rank: int = 50

    def matches(self, contents: Iterator[Content]) -> Content | None:
        """The first of several views of a file that has this layout."""
        return next((content for content in contents if self.sniff(content)), None)
