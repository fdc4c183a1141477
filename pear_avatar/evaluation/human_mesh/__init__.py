"""How far recovered people are from the truth: joints, meshes, faces, keypoints, motion.

Pure functions on tensors, computed in float64, returning one figure for each leading batch entry
so that averages can be weighed as a protocol wants; lengths keep the unit they came in.
"""

from __future__ import annotations

from pear_avatar.evaluation.human_mesh.acceleration import acceleration_error, accelerations
from pear_avatar.evaluation.human_mesh.alignment import (
    Similarity,
    align_procrustes,
    align_root,
    best_similarity,
)
from pear_avatar.evaluation.human_mesh.distances import (
    lip_vertex_error,
    mean_distance,
    mean_landmark_error,
    mpjpe,
    pa_mpjpe,
    pa_pve,
    pve,
)
from pear_avatar.evaluation.human_mesh.keypoints import Score, box_length, pck, torso_length

__all__ = [
    "Score",
    "Similarity",
    "acceleration_error",
    "accelerations",
    "align_procrustes",
    "align_root",
    "best_similarity",
    "box_length",
    "lip_vertex_error",
    "mean_distance",
    "mean_landmark_error",
    "mpjpe",
    "pa_mpjpe",
    "pa_pve",
    "pck",
    "pve",
    "torso_length",
]
