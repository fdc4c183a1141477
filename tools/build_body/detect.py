"""mediapipe's landmarks on a render (the legacy solutions, as the perception package uses)."""

from __future__ import annotations

from typing import Any

import numpy as np

_MIN_CONFIDENCE = 0.3


class Detectors:
    """The pose, hand and face networks, a context manager; every image is detected afresh."""

    def __init__(self) -> None:
        from mediapipe.python import solutions

        self._pose = solutions.pose.Pose(
            static_image_mode=True, model_complexity=1, min_detection_confidence=_MIN_CONFIDENCE
        )
        self._hands = solutions.hands.Hands(
            static_image_mode=True,
            max_num_hands=2,
            model_complexity=1,
            min_detection_confidence=_MIN_CONFIDENCE,
        )
        self._face = solutions.face_mesh.FaceMesh(
            static_image_mode=True,
            refine_landmarks=True,
            max_num_faces=1,
            min_detection_confidence=_MIN_CONFIDENCE,
        )

    def __enter__(self) -> Detectors:
        return self

    def __exit__(self, *exc: object) -> None:
        for solution in (self._pose, self._hands, self._face):
            solution.close()

    def pose(self, rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Pixels (33, 2) and visibility (33,), or None."""
        found = self._pose.process(rgb).pose_landmarks
        if found is None:
            return None
        return _pixels(found, rgb), np.array([p.visibility for p in found.landmark])

    def hand_nearest(self, rgb: np.ndarray, pixel: np.ndarray) -> np.ndarray | None:
        """Pixels (21, 2) of the hand centred nearest to ``pixel``; its label is not looked at."""
        found = self._hands.process(rgb).multi_hand_landmarks
        if not found:
            return None
        hands = [_pixels(hand, rgb) for hand in found]
        return min(hands, key=lambda h: float(np.linalg.norm(h.mean(axis=0) - pixel)))

    def face(self, rgb: np.ndarray) -> np.ndarray | None:
        """Pixels (478, 2), or None."""
        found = self._face.process(rgb).multi_face_landmarks
        return None if not found else _pixels(found[0], rgb)


def _pixels(landmarks: Any, rgb: np.ndarray) -> np.ndarray:
    size = np.array([rgb.shape[1], rgb.shape[0]])
    return np.array([[p.x, p.y] for p in landmarks.landmark]) * size
