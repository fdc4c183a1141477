"""What a face does: ARKit's 52 facial actions, from its landmarks."""

from __future__ import annotations

from functools import cache

import numpy as np

from pear_avatar.body.topology import ACTION_POINTS
from pear_avatar.perception.networks.runner import Network

__all__ = ["facial_actions"]

NUM_ACTIONS = 52


def facial_actions(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(N, 52) actions in [0, 1] in the order of ARKit's names; the tongue stays 0.

    Args:
        points: (N, 478, 2) px. seen: (N,) bool, which faces were found; the others get 0.
    """
    result = np.zeros((len(points), NUM_ACTIONS), np.float32)
    for i in np.flatnonzero(seen):
        found = _network()(points[i : i + 1, list(ACTION_POINTS)])[0]
        # The first value is that of a neutral face; the network knows no tongue, ARKit's last.
        result[i, : NUM_ACTIONS - 1] = found.reshape(-1)[1:]
    return result


@cache
def _network() -> Network:
    return Network("face_blendshapes")
