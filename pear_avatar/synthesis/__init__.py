"""A synthetic person on film: clips whose every pose, camera and silhouette is known."""

from pear_avatar.synthesis.synthetic_clip import (
    SceneTruth,
    SyntheticClip,
    load_synthetic_clip,
    load_truth,
    make_synthetic_clip,
    save_truth,
)

__all__ = [
    "SceneTruth",
    "SyntheticClip",
    "load_synthetic_clip",
    "load_truth",
    "make_synthetic_clip",
    "save_truth",
]
