"""Clips with several people: each is followed, and the one that is wanted is kept."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from pear_avatar.errors import ConfigError, MediaError
from pear_avatar.perception.appearance import NUM_COLOR_BINS
from pear_avatar.perception.detectors import FrameDetection
from pear_avatar.perception.following import Follower
from pear_avatar.perception.masks import PackedMask
from pear_avatar.perception.picture import PictureDetector
from pear_avatar.perception.raw import RawClip, RawFrame, stack_frames

if TYPE_CHECKING:
    from pear_avatar.perception.passes import PassContext

__all__ = ["FollowedPeople", "PersonChoice", "follow_everyone", "shows_several_people"]

#: Frames that are looked at to find out whether there are several people; in how many of them
#: there must be two; a bystander smaller than this share of the largest person is none of them.
_SAMPLES, _LEAST_SAMPLES, _BYSTANDER = 12, 2, 0.5
#: The tiles that people are searched in (see ``PeopleDetector.find``).
_LEVELS = 1
#: Someone who is seen in fewer frames, or in less than this share of the most seen person's,
#: is no person to choose.
_LEAST_FRAMES, _LEAST_PRESENCE = 3, 0.05


@dataclass(frozen=True)
class PersonChoice:
    """Which of a clip's people is wanted.

    number: 1 is the largest, most central and longest seen, 2 the next, and so on.
    at: x, y in pixels and the number of a frame of the video in which the person covers them.

    Raises:
        ConfigError: both are set, or one is out of its range.
    """

    number: int | None = None
    at: tuple[float, float, int] | None = None

    def __post_init__(self) -> None:
        if self.number is not None and self.at is not None:
            raise ConfigError("a person is chosen by a number or by a place, not by both")
        if self.number is not None and self.number < 1:
            raise ConfigError(f"people are counted from 1, got {self.number}")
        if self.at is not None and min(self.at) < 0:
            raise ConfigError(f"x, y and frame must not be negative, got {self.at}")

    @property
    def key(self) -> list[float]:
        """What distinguishes this choice, for the names of caches."""
        return [self.number] if self.number is not None else [float(v) for v in self.at or ()]


@dataclass(frozen=True)
class FollowedPeople:
    """All people of N frames: what was detected of each identity, and how sure that is theirs.

    rows: N dicts, identity -> detection. known_again: (row, identity, likeness) where a person
    who was away was known again by appearance. index, time: (N,) of the frames.
    """

    rows: list[dict[int, RawFrame]]
    known_again: list[tuple[int, int, float]]
    index: np.ndarray
    time: np.ndarray
    width: int
    height: int

    def people(self) -> list[int]:
        """Identities, the largest, most central and longest seen first."""
        weight: dict[int, float] = {}
        frames: dict[int, int] = {}
        size = np.array([self.width, self.height])
        for row in self.rows:
            for identity, frame in row.items():
                box = _box(frame)
                share = float(((box[2:] - box[:2]) / size).clip(0, 1).prod())
                off = float(np.linalg.norm((box[:2] + box[2:]) / 2 / size - 0.5))
                weight[identity] = weight.get(identity, 0.0) + np.sqrt(share) * (1 - off)
                frames[identity] = frames.get(identity, 0) + 1
        least = max(_LEAST_FRAMES, _LEAST_PRESENCE * max(frames.values(), default=0))
        real = [i for i in weight if frames[i] >= min(least, max(frames.values()))]
        return sorted(real, key=lambda i: -weight[i])

    def select(self, choice: PersonChoice | None) -> int:
        """The identity that a choice means; without one the first of :meth:`people`.

        Raises:
            MediaError: there is no person, or no person there.
        """
        people = self.people()
        if not people:
            raise MediaError("no person found: one person should be well lit and large")
        if choice is not None and choice.at is not None:
            return self._at(choice.at)
        number = 1 if choice is None or choice.number is None else choice.number
        if number > len(people):
            raise MediaError(
                f"there is no person {number}: {len(people)} were found in the clip; "
                "choose a smaller number, or a place and a frame"
            )
        return people[number - 1]

    def _at(self, at: tuple[float, float, int]) -> int:
        place, frame = np.array(at[:2]), at[2]
        row = int(np.abs(self.index - frame).argmin())
        boxes = {identity: _box(found) for identity, found in self.rows[row].items()}
        inside = {
            i: float(np.linalg.norm((b[:2] + b[2:]) / 2 - place))
            for i, b in boxes.items()
            if (b[:2] <= place).all() and (place <= b[2:]).all()
        }
        if not inside:
            seen = "; ".join(
                f"x {b[0]:.0f} to {b[2]:.0f}, y {b[1]:.0f} to {b[3]:.0f}" for b in boxes.values()
            )
            raise MediaError(
                f"no person is at {at[0]:.0f}, {at[1]:.0f} in frame {int(self.index[row])}: "
                + (f"people are at {seen}" if seen else "there are no people in it")
            )
        return min(inside, key=lambda i: inside[i])

    def clip_of(self, identity: int) -> tuple[RawClip, np.ndarray]:
        """The detections of one person, and (N,) bool frames that show only other people."""
        absent = RawFrame(
            frame_index=0,
            time=0.0,
            detection=FrameDetection(),
            colors=np.zeros(NUM_COLOR_BINS, np.float32),
            mask=PackedMask.pack(np.zeros((self.height, self.width), np.uint8)),
            width=self.width,
            height=self.height,
        )
        frames = [
            row.get(identity, replace(absent, frame_index=int(k), time=float(t)))
            for row, k, t in zip(self.rows, self.index, self.time, strict=True)
        ]
        other = np.array([bool(row) and identity not in row for row in self.rows])
        return stack_frames(frames), other

    def notes(self, identity: int) -> tuple[str, ...]:
        """What the user should know about keeping to one person."""
        people = self.people()
        number = people.index(identity) + 1 if identity in people else len(people)
        lines = []
        if len(people) > 1:
            lines.append(
                f"{len(people)} people are in the clip: this is number {number}; choose another "
                "with --person N or --at X,Y,FRAME"
            )
        for row, who, likeness in self.known_again:
            if who == identity:
                lines.append(
                    f"at {self.time[row]:.1f} s the person comes back and is known by appearance "
                    f"only ({100 * likeness:.0f} % alike)"
                )
        absent = sum(bool(r) and identity not in r for r in self.rows)
        if absent:
            lines.append(f"{absent} frames show only other people and are left out")
        return tuple(lines)


def shows_several_people(context: PassContext) -> bool:
    """Whether two people of like size are in several of a clip's frames together."""
    count = len(context.frames)
    rows = np.unique(np.linspace(0, count - 1, min(_SAMPLES, count)).round().astype(int))
    together = 0
    with contextlib.closing(context.detectors.people()) as finder:
        for _, _, _, rgb in context.frames.read(rows):
            radii = sorted((area.radius for area in finder.find(rgb, _LEVELS)), reverse=True)
            together += len(radii) > 1 and radii[1] > _BYSTANDER * radii[0]
    return together >= min(_LEAST_SAMPLES, len(rows))


def follow_everyone(context: PassContext) -> FollowedPeople:
    """Detect and follow all people of a clip, frame by frame."""
    rows: list[dict[int, RawFrame]] = []
    again: list[tuple[int, int, float]] = []
    indices: list[int] = []
    times: list[float] = []
    size = (0, 0)
    with PictureDetector(context.detectors, parts=False, levels=_LEVELS) as detector:
        follower = Follower(detector)
        frames = context.frames.read(np.arange(len(context.frames)))
        for row, (_, index, time, rgb) in enumerate(frames):
            seen = follower.update(rgb)
            found = {s.identity: s.person.frame for s in seen}
            rows.append(
                {
                    i: replace(frame, frame_index=index, time=time)
                    for i, frame in found.items()
                    if frame is not None
                }
            )
            again += [(row, s.identity, s.known_again) for s in seen if s.known_again is not None]
            indices.append(index)
            times.append(time)
            size = (rgb.shape[1], rgb.shape[0])
            context.progress("follow people", row + 1, len(context.frames))
    return FollowedPeople(rows, again, np.array(indices), np.array(times), *size)


def _box(frame: RawFrame) -> np.ndarray:
    """(4,) around the landmarks that are in the picture."""
    pose = frame.detection.pose
    if pose is None:
        return np.zeros(4)
    points = pose[:, :2].clip((0, 0), (frame.width, frame.height))
    return np.concatenate([points.min(0), points.max(0)])
