"""COCO-17 and COCO-WholeBody-133 landmarks.

Body and feet come from anny's own keypoint definitions, dense averages over skin patches that are
thinned here to a few vertices. Face and hands reuse mediapipe's landmarks in COCO's order.
"""

from __future__ import annotations

import numpy as np

from pear_avatar.body.topology import COCO_NAMES, FOOT_NAMES
from tools.build_body.anny_source import Source
from tools.build_body.regressor import farthest_points, solve_convex

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
