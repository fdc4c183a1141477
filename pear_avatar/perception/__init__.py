"""One person in a video: landmarks, hands, face, mask, and which frames to trust."""

from pear_avatar.perception.clip import (
    detect_clip,
    detect_landmarks,
)
from pear_avatar.perception.detectors import Detectors, detector_names, load_detectors
from pear_avatar.perception.masks import PersonMasks
from pear_avatar.perception.overlay import write_overlay
from pear_avatar.perception.trust import Quality, summarise

__all__ = [
    "Detectors",
    "PersonMasks",
    "Quality",
    "detect_clip",
    "detect_landmarks",
    "detector_names",
    "load_detectors",
    "summarise",
    "write_overlay",
]
