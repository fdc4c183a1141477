"""Part labels of the faces, and the scalp."""

from __future__ import annotations

import numpy as np

from pear_avatar.body.joints import JOINT_INDEX

#: anny's labels, and the teeth; ``.L`` is the person's left.
PART_NAMES = (
    "body", "head", "hand.R", "hand.L", "eye_back.L", "eye_front.L", "eye_back.R", "eye_front.R",
    "eye_cavity.R", "eye_cavity.L", "mouth_cavity", "foot.L", "foot.R", "tongue", "teeth",
)  # fmt: skip

# The scalp, in metres from the middle between the eyes on the mean shape (y up, z forward).
_HAIRLINE = 0.072  # above the eyes, over the forehead
_TEMPLE = 0.048  # |x| where the hairline turns down to the temples
_TEMPLE_FRONT = 0.02  # z in front of which the temples stay bare
_EAR_BACK = -0.055  # z behind which hair reaches below the ears
_NAPE = -0.065  # y of the lower edge at the back of the neck


def face_parts(labels: np.ndarray) -> np.ndarray:
    """(F,) index into PART_NAMES of the labels (F,) of :class:`Source`."""
    order = np.argsort(PART_NAMES)
    found = np.searchsorted(np.asarray(PART_NAMES)[order], labels)
    part = order[np.minimum(found, len(order) - 1)]
    unknown = np.asarray(PART_NAMES)[part] != labels
    if unknown.any():
        raise ValueError(f"unknown part labels {sorted(set(labels[unknown]))}")
    return np.asarray(part)


def scalp_vertices(
    mean: np.ndarray, weights: np.ndarray, skin: np.ndarray, ears: np.ndarray
) -> np.ndarray:
    """(V,) bool: where hair grows.

    mean (V, 3) and skinning weights (V, 55) are the body's; skin (V,) leaves out eyes, tongue,
    teeth and cavities, ears (V,) marks the ears.
    """
    eyes = weights[:, [JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"]]].sum(axis=1) > 0.5
    x, y, z = (mean - mean[eyes].mean(axis=0)).T
    forehead = _HAIRLINE - 0.9 * np.clip(np.abs(x) - _TEMPLE, 0, None)
    crown = (y > _HAIRLINE) | ((y > forehead) & (z < _TEMPLE_FRONT))
    back = (z < _EAR_BACK) & (y > _NAPE - 0.3 * (z - _EAR_BACK))
    head = weights[:, [JOINT_INDEX["head"], JOINT_INDEX["neck"]]].sum(axis=1) > 0.5
    return np.asarray((crown | back) & head & skin & ~ears)
