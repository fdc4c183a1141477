"""What a video shows of one person: landmarks, hands, face, mask, and which frames to trust."""

from pear_avatar.perception.clip import (
    detect_clip,
    detect_landmarks,
    load_detections,
    save_detections,
)
from pear_avatar.perception.masks import PersonMasks
from pear_avatar.perception.overlay import write_overlay
from pear_avatar.perception.trust import Quality, summarise

__all__ = [
    "PersonMasks",
    "Quality",
    "detect_clip",
    "detect_landmarks",
    "load_detections",
    "save_detections",
    "summarise",
    "write_overlay",
]
