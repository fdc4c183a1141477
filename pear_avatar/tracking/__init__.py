"""One person's motion, shape and camera from the detections of a whole clip."""

from pear_avatar.tracking.calibration import load_camera
from pear_avatar.tracking.track import track_clip
from pear_avatar.tracking.track_config import TrackConfig
from pear_avatar.tracking.track_report import track_report

__all__ = ["TrackConfig", "load_camera", "track_clip", "track_report"]
