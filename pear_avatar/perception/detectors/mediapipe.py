"""mediapipe's networks: holistic for whole people, face mesh and hands for crops."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pear_avatar.errors import MissingPackageError
from pear_avatar.perception.detectors import Detector, Detectors, FrameDetection

_log = logging.getLogger(__name__)

#: Weights of the "full" pose network are the only ones inside mediapipe's wheel.
_MODEL_COMPLEXITY = 1
_MIN_CONFIDENCE = 0.5


class _Graph:
    """One mediapipe graph; the lines its networks log are kept off stderr.

    ``found`` names the result that is not None once a person was detected: each landmark network
    logs one line at its first person, and nothing after it.
    """

    def __init__(self, graph: Any, found: str, **options: Any) -> None:
        with silent_stderr():
            self._graph = graph(**options)
            _warm_up(self._graph)
        self._found, self._quiet = found, False

    def _process(self, rgb: np.ndarray) -> Any:
        with contextlib.nullcontext() if self._quiet else silent_stderr():
            result = self._graph.process(rgb)
        self._quiet = self._quiet or getattr(result, self._found) is not None
        return result

    def close(self) -> None:
        """Free the network."""
        self._graph.close()


class HolisticDetector(_Graph):
    """mediapipe's holistic network: pose, hands, refined face (with irises), person mask.

    Args:
        follow: look near the last frame's person (quick, steady); False treats every frame as
            a picture of its own.
    """

    def __init__(self, *, follow: bool = True) -> None:
        super().__init__(
            import_mediapipe().solutions.holistic.Holistic,
            "pose_landmarks",
            static_image_mode=not follow,
            model_complexity=_MODEL_COMPLEXITY,
            smooth_landmarks=False,
            enable_segmentation=True,
            smooth_segmentation=False,
            refine_face_landmarks=True,
            min_detection_confidence=_MIN_CONFIDENCE,
        )

    def detect(self, rgb: np.ndarray) -> FrameDetection:
        """Detect in one (H, W, 3) uint8 frame."""
        found = self._process(rgb)
        detection = detection_of_landmarks(found, rgb.shape[1], rgb.shape[0])
        mask = found.segmentation_mask
        if mask is None or detection.pose is None:
            return detection
        return replace(detection, mask=(mask * 255.0 + 0.5).astype(np.uint8))

    def reset(self) -> None:
        """Forget the frames seen so far."""
        with silent_stderr():
            self._graph.reset()
            _warm_up(self._graph)


class FaceMeshDetector(_Graph):
    """mediapipe's face mesh on a crop: for faces too small in the whole frame."""

    def __init__(self) -> None:
        super().__init__(
            import_mediapipe().solutions.face_mesh.FaceMesh,
            "multi_face_landmarks",
            static_image_mode=True,
            max_num_faces=1,
            refine_landmarks=True,
            min_detection_confidence=_MIN_CONFIDENCE,
        )

    def find(self, rgb: np.ndarray) -> tuple[np.ndarray, float, str] | None:
        """(478, 2) pixels of the crop; the score is 1, since the mesh gives none."""
        found = self._process(rgb)
        if not found.multi_face_landmarks:
            return None
        points = _pixels(found.multi_face_landmarks[0], rgb.shape[1], rgb.shape[0])
        return None if points is None else (points, 1.0, "")


class HandCropDetector(_Graph):
    """mediapipe's hands on a crop around a wrist."""

    def __init__(self) -> None:
        super().__init__(
            import_mediapipe().solutions.hands.Hands,
            "multi_hand_landmarks",
            static_image_mode=True,
            max_num_hands=2,
            model_complexity=_MODEL_COMPLEXITY,
            min_detection_confidence=_MIN_CONFIDENCE,
        )

    def find(self, rgb: np.ndarray) -> tuple[np.ndarray, float, str] | None:
        """The hand whose wrist lies nearest to the crop's centre."""
        found = self._process(rgb)
        if not found.multi_hand_landmarks:
            return None
        height, width = rgb.shape[:2]
        hands = [_pixels(hand, width, height) for hand in found.multi_hand_landmarks]
        centre = np.array([width, height], np.float32) / 2
        nearest = int(np.argmin([np.linalg.norm(h[0] - centre) for h in hands if h is not None]))
        label = found.multi_handedness[nearest].classification[0]
        # mediapipe names hands as in a mirror (selfie view); this picture is not mirrored.
        side = "right" if label.label == "Left" else "left"
        points = hands[nearest]
        return None if points is None else (points, float(label.score), side)


def _holistic(follow: bool) -> Detector:
    return HolisticDetector(follow=follow)


DETECTORS = Detectors(
    name="mediapipe-0.10.21-holistic-1",
    person=_holistic,
    face=FaceMeshDetector,
    hand=HandCropDetector,
)


def import_mediapipe() -> Any:
    """mediapipe, without the log lines of its C++ parts.

    Raises:
        MissingPackageError: with the command that installs it.
    """
    os.environ.setdefault("GLOG_minloglevel", "2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        with silent_stderr():
            import mediapipe
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"{error.name} is not installed: pip install 'mediapipe==0.10.21'"
        ) from error
    return mediapipe


def _warm_up(graph: Any) -> None:
    """Run a blank picture: the networks load, and announce themselves, on their first frame."""
    graph.process(np.zeros((64, 64, 3), np.uint8))


def detection_of_landmarks(found: Any, width: int, height: int) -> FrameDetection:
    """The landmark lists of a holistic graph as arrays in pixels, without a mask."""
    if found.pose_landmarks is None:
        return FrameDetection()
    pose = np.array(
        [(p.x * width, p.y * height, p.visibility) for p in found.pose_landmarks.landmark],
        np.float32,
    )
    world = np.array([(p.x, p.y, p.z) for p in found.pose_world_landmarks.landmark], np.float32)
    return FrameDetection(
        pose=pose,
        pose_world=world,
        left_hand=_pixels(found.left_hand_landmarks, width, height),
        right_hand=_pixels(found.right_hand_landmarks, width, height),
        face=_pixels(found.face_landmarks, width, height),
    )


def _pixels(landmarks: Any, width: int, height: int) -> np.ndarray | None:
    """(L, 2) pixels of a normalised landmark list, None where there is none."""
    if landmarks is None:
        return None
    return np.array([(p.x * width, p.y * height) for p in landmarks.landmark], np.float32)


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Keep what C++ libraries write to the process's stderr out of the terminal.

    Their messages bypass Python and cannot be switched off; they go to the debug log.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as sink:
        saved = os.dup(2)
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            sink.seek(0)
            text = sink.read().decode("utf-8", "replace").strip()
            if text:
                _log.debug("%s", text)
