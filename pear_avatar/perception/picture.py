"""People in single pictures: the largest, the one in a given box, or all of them.

A single picture offers no neighbouring frames, so each person is detected in a separate crop, and
faces and hands that are too small there in crops once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pear_avatar.io.closing import Closing
from pear_avatar.perception.assemble import judged_detections
from pear_avatar.perception.detectors import Detectors, FrameDetection, load_detectors
from pear_avatar.perception.judged import JudgedClip
from pear_avatar.perception.measure import SEEN, box_overlap
from pear_avatar.perception.parts import detect_in_box, search_parts
from pear_avatar.perception.passes import missing_parts, with_parts
from pear_avatar.perception.raw import RawFrame, raw_frame, stack_frames
from pear_avatar.types import ClipDetections

__all__ = ["DetectedPerson", "PictureDetector"]

#: Two detections whose visible landmarks are this close (mean, share of the box) are one person.
_SAME_LANDMARKS = 0.08
#: A find must overlap so much with the area it was looked for in.
_MIN_OVERLAP = 0.1


@dataclass(frozen=True)
class DetectedPerson:
    """One person in one picture.

    detections: of this picture alone (one frame). colors: (256,) colour histogram of the person,
    by which they are known again. frame: the raw detection, where it was made of pixels.
    """

    detections: ClipDetections
    colors: np.ndarray
    frame: RawFrame | None = None

    @property
    def box_xyxy(self) -> np.ndarray:
        """(4,) px."""
        box: np.ndarray = self.detections.box_xyxy[0]
        return box

    @property
    def area(self) -> float:
        """Of the box, px^2."""
        x0, y0, x1, y1 = self.box_xyxy
        return float((x1 - x0) * (y1 - y0))


class PictureDetector(Closing):
    """Detects people in pictures; the networks are loaded once and kept until ``close``.

    Args:
        detectors: the networks; those of ``load_detectors()`` by default.
        parts: whether faces and hands that were missed are searched for in crops.
        levels: tiles in which :meth:`everyone` searches (see ``PeopleDetector.find``).
    """

    def __init__(
        self, detectors: Detectors | None = None, *, parts: bool = True, levels: int = 2
    ) -> None:
        self._parts, self._levels = parts, levels
        self.detectors = networks = detectors or load_detectors()
        self._person = networks.person(False)
        self._face, self._hand = networks.face(), networks.hand()
        self._people = networks.people()

    def close(self) -> None:
        """Free the networks."""
        for network in (self._person, self._face, self._hand, self._people):
            network.close()

    def everyone(self, rgb: np.ndarray) -> list[DetectedPerson]:
        """All people in an (H, W, 3) uint8 picture, largest first."""
        boxes = [area.box_xyxy for area in self._people.find(rgb, self._levels)]
        people = [p for box in boxes if (p := self.in_box(rgb, box)) is not None]
        if not people:
            whole = self.in_box(rgb, _whole_box(rgb))
            people = [whole] if whole is not None else []
        return _distinct(sorted(people, key=lambda p: -p.area))

    def largest(self, rgb: np.ndarray) -> DetectedPerson | None:
        """The person who fills most of the picture; None if there is none."""
        areas = sorted(self._people.find(rgb, levels=1), key=lambda a: -a.radius)
        if len(areas) > 1:
            for area in areas:
                person = self.in_box(rgb, area.box_xyxy)
                if person is not None:
                    return person
        whole = self.in_box(rgb, _whole_box(rgb))
        if whole is None and areas:
            return self.in_box(rgb, areas[0].box_xyxy)
        return whole

    def in_box(
        self, rgb: np.ndarray, box_xyxy: Sequence[float] | np.ndarray
    ) -> DetectedPerson | None:
        """The person in a (4,) box of the picture; None if there is none."""
        area = np.asarray(box_xyxy, np.float32)
        found = detect_in_box(rgb, area, self._person)
        if found.pose is None:
            return None
        person = self._judge(rgb, found)
        if person.area <= 0 or not _overlaps(person.box_xyxy, area):
            return None
        return person

    def _judge(self, rgb: np.ndarray, found: FrameDetection) -> DetectedPerson:
        row = raw_frame(0, 0.0, rgb, found)
        clip = JudgedClip(stack_frames([row]))
        areas = missing_parts(clip) if self._parts else {}
        if areas:
            parts = search_parts(rgb, areas[0], self._face, self._hand)
            clip = JudgedClip(with_parts(clip.raw, {0: parts}))
        return DetectedPerson(judged_detections(clip), row.colors, row)


def _whole_box(rgb: np.ndarray) -> np.ndarray:
    return np.array([0, 0, rgb.shape[1], rgb.shape[0]], np.float32)


def _overlaps(box: np.ndarray, area: np.ndarray) -> bool:
    """A person is smaller than the area they were looked for in; most of them must be in it."""
    width = min(box[2], area[2]) - max(box[0], area[0])
    height = min(box[3], area[3]) - max(box[1], area[1])
    own = float((box[2] - box[0]) * (box[3] - box[1]))
    inside = float(width * height) / own if width > 0 and height > 0 else 0.0
    return inside > 0.5 or box_overlap(box, area) > _MIN_OVERLAP


def _distinct(people: list[DetectedPerson]) -> list[DetectedPerson]:
    """Each person once: of two detections the larger is kept."""
    kept: list[DetectedPerson] = []
    for person in people:
        if not any(_same(person.detections, other.detections) for other in kept):
            kept.append(person)
    return kept


def _same(a: ClipDetections, b: ClipDetections) -> bool:
    both = (a.pose_confidence[0] > SEEN) & (b.pose_confidence[0] > SEEN)
    if not both.any():
        return box_overlap(a.box_xyxy[0], b.box_xyxy[0]) > 0.5
    gap = np.linalg.norm(a.pose_px[0, both] - b.pose_px[0, both], axis=-1).mean()
    box = a.box_xyxy[0]
    return bool(gap < _SAME_LANDMARKS * max(box[2] - box[0], box[3] - box[1]))


def at_time(person: DetectedPerson, frame_index: int, time: float) -> DetectedPerson:
    """The same find as a frame of a video."""
    detections = replace(
        person.detections,
        frame_index=np.array([frame_index], np.int64),
        time=np.array([time], np.float64),
    )
    return replace(person, detections=detections)
