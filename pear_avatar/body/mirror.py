"""The mirror image of a pose: left and right exchanged, x reflected."""

from __future__ import annotations

import torch
from torch import Tensor

from pear_avatar.body.joints import MIRROR

__all__ = ["mirrored_rotations"]


def mirrored_rotations(rotations: Tensor) -> Tensor:
    """(*B, J, 3, 3) local rotations of the first J joints, as a mirror shows them.

    J must hold both partners of every joint, as the 22 joints of the body and all 55 do.
    """
    flip = torch.tensor([-1.0, 1.0, 1.0]).to(rotations)
    partners = list(MIRROR[: rotations.shape[-3]])
    return rotations[..., partners, :, :] * flip[:, None] * flip
