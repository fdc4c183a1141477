"""Live landmarks at twice the rate: the body every frame, hands and face when they are due.

Between two looks at a hand or the face, its landmarks ride on the body's: a hand on the way of
its wrist, a face on the similarity that the head's pose points make. Hands are due sooner when
their wrists move; parts out of sight are looked for now and then only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from pear_avatar.body.topology import HEAD_POINTS, LEFT_WRIST, RIGHT_WRIST
from pear_avatar.perception.appearance import NUM_COLOR_BINS
from pear_avatar.perception.assemble import judged_detections
from pear_avatar.perception.detectors import FrameDetection
from pear_avatar.perception.detectors.mediapipe import HolisticDetector
from pear_avatar.perception.judged import JudgedClip
from pear_avatar.perception.masks import PackedMask
from pear_avatar.perception.measure import SEEN, inside_image
from pear_avatar.perception.raw import RawFrame, stack_frames
from pear_avatar.types import ClipDetections

__all__ = ["PartsDetector", "RefreshPlan", "RefreshingDetector"]


class PartsDetector(Protocol):
    """Follows one person; detects hands and face only on request."""

    def detect(self, rgb: np.ndarray, *, hands: bool, face: bool, mask: bool) -> FrameDetection:
        """Look at one (H, W, 3) uint8 frame."""

    def close(self) -> None:
        """Free the networks."""


@dataclass(frozen=True)
class RefreshPlan:
    """When parts are looked at again.

    face:      every so many frames.
    hands:     every so many frames while a wrist is in sight.
    moving:    likewise while a wrist moves.
    absent:    likewise while no wrist is in sight.
    motion:    a wrist moves if it goes this share of the picture's longer side in a frame.
    blur:      a hand whose gradient energy falls below this share of its usual one is blurred,
               and not believed.
    """

    face: int = 2
    hands: int = 4
    moving: int = 2
    absent: int = 12
    motion: float = 0.01
    blur: float = 0.25


@dataclass(frozen=True)
class _Held:
    """A part as last found, with the pose points that carry it on, and frames since then."""

    points: np.ndarray
    anchor: np.ndarray
    age: int


class RefreshingDetector:
    """Follows the person in front of a camera; a ``with`` block frees the networks.

    Args:
        plan: when parts are looked at again.
        detector: made by default from mediapipe's networks.
    """

    #: Frames for which a part that was not looked at again is carried on.
    _LONGEST = 12
    #: Memory of a hand's usual sharpness, in looks.
    _MEMORY = 0.9

    def __init__(
        self, plan: RefreshPlan | None = None, detector: PartsDetector | None = None
    ) -> None:
        self.plan = plan or RefreshPlan()
        self._detector = detector or HolisticDetector()
        self._frame = 0
        self._since_hands = self._since_face = 10**6
        self._held: dict[str, _Held] = {}
        self._usual: dict[str, float] = {}
        self._wrists: np.ndarray | None = None
        self._wrists_seen, self._moving = False, 0.0

    def close(self) -> None:
        """Free the networks."""
        self._detector.close()

    def detect(self, rgb: np.ndarray, time: float) -> ClipDetections | None:
        """The person in the next (H, W, 3) uint8 frame, as detections of one frame.

        Args:
            rgb: the frame. time: seconds since the first one.

        Returns:
            None where no person is seen.
        """
        index, self._frame = self._frame, self._frame + 1
        want_hands, want_face = self._due(rgb)
        found = self._detector.detect(rgb, hands=want_hands, face=want_face, mask=False)
        self._since_hands = 1 if want_hands else self._since_hands + 1
        self._since_face = 1 if want_face else self._since_face + 1
        if found.pose is None:
            self._held.clear()
            self._wrists = None
            return None
        self._note_wrists(found.pose, rgb)
        whole = self._complete_detection(rgb, found, want_hands, want_face)
        colors = np.zeros(NUM_COLOR_BINS, np.float32)
        blank = PackedMask.pack(np.zeros(rgb.shape[:2], np.uint8))
        height, width = rgb.shape[:2]
        raw = stack_frames(
            [
                RawFrame(
                    frame_index=index,
                    time=time,
                    detection=whole,
                    colors=colors,
                    mask=blank,
                    width=width,
                    height=height,
                )
            ]
        )
        return judged_detections(JudgedClip(raw))

    def _due(self, rgb: np.ndarray) -> tuple[bool, bool]:
        plan = self.plan
        every = plan.hands if self._wrists_seen else plan.absent
        if self._wrists_seen and self._moving > plan.motion * max(rgb.shape[:2]):
            every = plan.moving
        return self._since_hands >= every, self._since_face >= plan.face

    def _note_wrists(self, pose: np.ndarray, rgb: np.ndarray) -> None:
        wrists = pose[[LEFT_WRIST, RIGHT_WRIST]]
        inside = inside_image(wrists[:, :2], rgb.shape[1], rgb.shape[0])
        seen = (wrists[:, 2] > SEEN) & inside
        self._wrists_seen = bool(seen.any())
        if self._wrists is None or not self._wrists_seen:
            self._moving = 0.0
        else:
            gone = np.linalg.norm(wrists[:, :2] - self._wrists, axis=1)
            self._moving = float(gone[seen].max())
        self._wrists = wrists[:, :2].copy()

    def _complete_detection(
        self, rgb: np.ndarray, found: FrameDetection, hands: bool, face: bool
    ) -> FrameDetection:
        """The frame's detections; parts that were skipped are carried over from earlier frames."""
        assert found.pose is not None
        pose = found.pose[:, :2]
        head = pose[list(HEAD_POINTS)]
        parts = {
            "left_hand": (found.left_hand, pose[LEFT_WRIST : LEFT_WRIST + 1], hands),
            "right_hand": (found.right_hand, pose[RIGHT_WRIST : RIGHT_WRIST + 1], hands),
            "face": (found.face, head, face),
        }
        result: dict[str, np.ndarray | None] = {}
        for name, (points, anchor, looked) in parts.items():
            if points is not None and name != "face" and self._blur(name, rgb, points):
                points = None
            if looked and points is None:
                self._held.pop(name, None)
            elif points is not None:
                self._held[name] = _Held(points, anchor.copy(), 0)
            result[name] = self._carry_over(name, anchor)
        return FrameDetection(
            found.pose, found.pose_world, result["left_hand"], result["right_hand"], result["face"]
        )

    def _carry_over(self, name: str, anchor: np.ndarray) -> np.ndarray | None:
        held = self._held.get(name)
        if held is None:
            return None
        if held.age >= self._LONGEST:
            del self._held[name]
            return None
        self._held[name] = _Held(held.points, held.anchor, held.age + 1)
        return held.points if held.age == 0 else _move(held.points, held.anchor, anchor)

    def _blur(self, name: str, rgb: np.ndarray, points: np.ndarray) -> bool:
        """Whether a hand's picture has lost the detail that it usually has."""
        sharpness = _gradient_energy(rgb, points)
        usual = self._usual.get(name)
        if usual is None or sharpness > usual:
            self._usual[name] = sharpness
            return False
        if sharpness < self.plan.blur * usual:
            return True
        self._usual[name] = self._MEMORY * usual + (1.0 - self._MEMORY) * sharpness
        return False


def _gradient_energy(rgb: np.ndarray, points: np.ndarray) -> float:
    """Mean squared gradient inside the points' box, brought to one size so that distance does
    not count."""
    low = np.clip(points.min(0), 0, [rgb.shape[1] - 2, rgb.shape[0] - 2]).astype(int)
    high = np.maximum(np.clip(points.max(0), 1, rgb.shape[1::-1]).astype(int), low + 2)
    crop = rgb[low[1] : high[1], low[0] : high[0]]
    grey = cv2.cvtColor(np.ascontiguousarray(crop), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (48, 48), interpolation=cv2.INTER_AREA).astype(np.float32)
    return float(np.mean(np.diff(small, axis=0) ** 2) + np.mean(np.diff(small, axis=1) ** 2))


def _move(points: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Points carried by the similarity that takes old anchors (A, 2) to new ones; by their shift
    where there is only one."""
    a, b = old.mean(0), new.mean(0)
    if len(old) == 1:
        return points + (b - a)
    p = (old - a) @ np.array([1.0, 1.0j])
    q = (new - b) @ np.array([1.0, 1.0j])
    turn = np.vdot(p, q) / max(float(np.vdot(p, p).real), 1e-9)
    moved = ((points - a) @ np.array([1.0, 1.0j])) * turn
    return np.stack([moved.real, moved.imag], 1).astype(np.float32) + b.astype(np.float32)
