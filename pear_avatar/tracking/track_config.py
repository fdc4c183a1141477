"""Settings of the tracker."""

from __future__ import annotations

from dataclasses import dataclass

from pear_avatar.errors import ConfigError


@dataclass
class TrackConfig:
    """How a clip's detections become a track. Defaults suit hand-held and fixed video.

    The weights multiply squared, sigma-normalised residuals: 1 trusts the noise figures of
    :mod:`pear_avatar.tracking.priors` as they stand.
    """

    #: shape and expression coefficients that are solved for; the rest stay 0
    num_betas: int = 24
    num_expression: int = 52
    #: most Levenberg-Marquardt steps: body only on few frames, then everything on all frames
    #: (of a clip below 240 frames up to five times as many, for the same work)
    coarse_steps: int = 30
    fine_steps: int = 16
    #: frames of the coarse stage, evenly spread
    coarse_frames: int = 60
    #: focal length guess over the longer image side, where there is no camera
    focal_guess: float = 1.1
    #: standard deviation of the natural log of the focal length; 0 keeps the guess
    focal_sigma: float = 0.12
    #: the body's standing height, metres: monocular video does not reveal scale
    height_mean: float = 1.70
    height_sigma: float = 0.10
    #: standard deviations of the scales of head and hands around one; 0 keeps one (they are
    #: solved for only where the body is EHM-s)
    head_scale_sigma: float = 0.1
    hand_scale_sigma: float = 0.1
    smoothness: float = 1.0
    pose_prior: float = 0.4
    #: trust in the detector's own 3D bone directions once the pose has settled (1 before)
    world_directions: float = 0.5
    #: how far a clip's landmarks may lie off the body's own points, in their expected errors;
    #: free ones take up lean and leg length, so 0 keeps the body's own
    landmark_offsets: float = 0.0
    #: trust in the balance of a standing person, and in a level floor with feet that stay put
    balance: float = 1.0
    ground: float = 1.0
    #: degrees, spread of an unknown camera's pitch, which is found from how the person stands;
    #: 0 takes the camera as level
    level_sigma: float = 12.0
    #: confidence that a hand or the face must reach in some frame to be solved at all
    min_part_confidence: float = 0.3

    def validate(self) -> None:
        """Raise ``ConfigError`` where a setting makes no sense."""
        for name in ("num_betas", "num_expression", "coarse_steps", "fine_steps"):
            if getattr(self, name) < 0:
                raise ConfigError(f"tracking.{name} must be at least 0, got {getattr(self, name)}")
        for name in ("head_scale_sigma", "hand_scale_sigma"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"tracking.{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in ("focal_guess", "height_mean", "height_sigma", "coarse_frames"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"tracking.{name} must be positive, got {getattr(self, name)}")
