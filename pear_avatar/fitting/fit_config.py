"""What the joint fit does, in numbers. Lengths are metres unless said otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class RatesConfig:
    """Adam learning rates: how far a first step moves each number.

    What moves in the picture has its rate in pixels of the crop (``_px``), whatever the distance
    and the crop: :mod:`pear_avatar.fitting.step_sizes` converts them.
    """

    #: splat centres against their triangles
    offsets_px: float = 0.05
    #: clothes: the largest vertex offset a step
    vertex_offsets_px: float = 0.25
    #: shape: root mean square over the body's vertices
    betas_px: float = 0.02
    #: per-frame correction of the tracked pose, translation and each joint alike
    pose_px: float = 0.8
    #: the same for the pose fitted to a held-out picture alone
    refit_px: float = 1.0
    #: largest step about any joint (rad): a finger's pixel would be a tenth of a turn
    rotation_max: float = 0.02
    #: change of the focal length, at the crop's corner; only when the camera was not given
    log_focal_px: float = 0.12
    local_quats: float = 4e-3
    log_scales: float = 1e-2
    logit_opacities: float = 2e-2
    colors: float = 1e-2
    #: per-frame correction of the tracked expression, coefficients
    expression: float = 2e-2


@dataclass
class LossConfig:
    """Weights of the joint objective."""

    l1: float = 0.8
    ssim: float = 0.2
    alpha: float = 0.6
    perceptual: float = 0.05
    keypoints: float = 0.02
    #: the face's landmarks, which shape the face and drive its expression; off: they cost .1
    #: to .3 dB and sharpness on the clip they were tried on
    face_keypoints: float = 0.0
    #: deviation of a frame's pose from the tracked one, and from its neighbours' deviation
    pose_prior: float = 0.003
    pose_smooth: float = 0.02
    #: the same for the expression
    expression_prior: float = 3e-4
    expression_smooth: float = 1e-3
    betas_prior: float = 1e-4
    #: mean square of the vertex offsets, per square metre
    vertex_offsets: float = 4.0
    #: mean squared splat offset per square metre
    splat_offsets: float = 20.0


@dataclass
class LimitsConfig:
    """Hard bounds that keep splats flat and near the skin."""

    #: largest splat offset
    offset: float = 0.01
    offset_head_hands: float = 0.005
    #: largest growth and shrinkage of the in-plane scale against the one at the start, natural
    #: log. A splat that grows blurs every side; one that thins to a needle sticks out of the others
    log_scale_up: float = 0.3
    log_scale_down: float = 0.8
    #: thickness along the normal as a share of the spacing
    thickness_max: float = 0.35
    #: how far a splat's colour may lie from the mean of its eight neighbours before it is drawn
    #: back, and the share of the excess taken off each time
    color_contrast: float = 0.18
    color_pull: float = 0.15
    #: |x|, |y| of the local quaternion: how far a splat may tip out of the surface
    tilt: float = 0.18
    #: largest clothing offset
    vertex_offset: float = 0.12


@dataclass
class SidesConfig:
    """What is made up for the sides that the video hardly shows."""

    #: splats lie in mirror pairs, and the hardly seen one takes after the well seen one
    mirror: bool = True
    #: unseen cloth, skin and hair take after what is seen of them
    materials: bool = True


@dataclass
class FittingConfig:
    """The joint fit of geometry, appearance, pose and camera to the frames of one clip."""

    #: longest side of the person's crop in pixels
    crop_size: int = 512
    num_splats: int = 40000
    #: share of the splats that lie as dense as the pixels of the views; the rest are spread over
    #: the whole body
    pixel_density: float = 0.0
    num_betas: int = 20
    #: silhouettes first: shape, clothes and pose, no colours; then everything together
    silhouette_steps: int = 1000
    joint_steps: int = 6000
    #: a short clip gets at most this many joint steps a fitted frame (and a base of 1500): more
    #: of them only carve the splats to the few pictures there are
    steps_per_frame: int = 40
    #: every n-th frame is left out of the appearance fit and measured
    holdout_every: int = 8
    #: at most this many frames are fitted (evenly spread)
    max_frames: int = 400
    #: every n-th joint step also looks at the head or a hand of some frame at the video's own
    #: resolution, through a window of this side (px), at this weight a pixel; 0 never does
    detail_every: int = 2
    detail_size: int = 256
    detail_weight: float = 1.5
    perceptual_every: int = 16
    perceptual_crop: int = 96
    refine_pose: bool = True
    refine_focal: bool = True
    #: pose steps on each held-out picture for the "heldout_refit" figures
    refit_steps: int = 100
    #: held-out frames used for "heldout_refit" at most
    refit_frames: int = 8
    #: held-out frames that get the (slow) perceptual metric at most
    perceptual_frames: int = 5
    #: find things in front of the person and leave them out
    find_occluders: bool = True
    max_excluded_share: float = 0.10
    checkpoint_seconds: float = 20.0
    seed: int = 0
    rates: RatesConfig = field(default_factory=RatesConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    sides: SidesConfig = field(default_factory=SidesConfig)
