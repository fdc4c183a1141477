"""COCO-17 and COCO-WholeBody-133 landmarks.

Body and feet come from anny's own keypoint definitions, dense averages over skin patches that are
thinned here to a few vertices. Face and hands reuse mediapipe's landmarks in COCO's order.
"""

from __future__ import annotations

import numpy as np

from tools.build_body.anny_source import Source
from tools.build_body.regressor import farthest_points, solve_convex

COCO_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
FOOT_NAMES = (
    "left_big_toe", "left_small_toe", "left_heel",
    "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip

#: The 68 iBUG face points as mediapipe face mesh indices: contour, then brows to inner lips.
IBUG_FROM_MEDIAPIPE = (
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip

_POINTS = 8
_CANDIDATES = 60
_SAMPLES = 60


def coco_weights(
    source: Source, vertices: np.ndarray, mean: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name -> (vertex indices, convex weights) of the 17 body and 6 foot points.

    vertices (N, V, 3) are shape samples, mean (V, 3) their mean. Right points mirror left ones.
    """
    import torch
    from anny.paths import get_anny_root_dir

    dense = torch.load(get_anny_root_dir() / "data/keypoints/coco.pth", weights_only=True)
    result = {}
    for name in (*COCO_NAMES, *FOOT_NAMES):
        if name.startswith("right_"):
            continue
        patch = dense[name].numpy().astype(float)[source.vertex_ids]
        patch /= patch.sum()
        middle = name == "nose"
        pool = np.nonzero((patch > 1e-4) & ((mean[:, 0] >= 0) | (not middle)))[0]
        pool = pool[farthest_points(mean[pool], patch @ mean, _CANDIDATES)]
        samples = vertices[:_SAMPLES].astype(float)
        targets = np.einsum("v,nvd->nd", patch, samples)
        columns = samples[:, pool]
        if middle:
            targets = 0.5 * (targets + np.einsum("v,nvd->nd", patch[source.mirror], samples))
            columns = 0.5 * (columns + samples[:, source.mirror[pool]])
        weights = solve_convex(columns, targets, _POINTS // 2 if middle else _POINTS)
        used = np.nonzero(weights)[0]
        index, weight = pool[used], weights[used]
        if middle:
            index = np.concatenate([index, source.mirror[index]])
            weight = np.concatenate([weight, weight]) / 2
        result[name] = (index, weight)
        if name.startswith("left_"):
            result["right" + name[4:]] = (source.mirror[index], weight)
    return result
