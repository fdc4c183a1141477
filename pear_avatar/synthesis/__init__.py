"""A synthetic person on film: clips whose every pose, camera and silhouette is known."""

from pear_avatar.synthesis.attributes import CAST, Attributes, sample_attributes
from pear_avatar.synthesis.stage import draw_person
from pear_avatar.synthesis.synthetic_clip import (
    SceneTruth,
    SyntheticClip,
    load_synthetic_clip,
    load_truth,
    make_synthetic_clip,
    save_truth,
)
from pear_avatar.synthesis.tailor import dress_person

__all__ = [
    "CAST",
    "Attributes",
    "SceneTruth",
    "SyntheticClip",
    "draw_person",
    "dress_person",
    "load_synthetic_clip",
    "load_truth",
    "make_synthetic_clip",
    "sample_attributes",
    "save_truth",
]
