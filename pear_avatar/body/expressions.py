"""Facial actions by their ARKit names -> expression coefficients and jaw and eye rotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.model import BodyModel
from pear_avatar.errors import PearError
from pear_avatar.geometry.rotations import axis_angle_to_matrix

__all__ = ["FacePose", "arkit_weights", "face_from_arkit", "transfer_expression"]


@dataclass(frozen=True)
class FacePose:
    """What a set of facial actions does to a body.

    expression: (*B, E).
    jaw, left_eye, right_eye: (*B, 3, 3) local rotations.
    """

    expression: Tensor
    jaw: Tensor
    left_eye: Tensor
    right_eye: Tensor

    def apply(self, rotations: Tensor) -> Tensor:
        """(*B, 55, 3, 3) local rotations with the jaw and the eyes set."""
        batch = torch.broadcast_shapes(rotations.shape[:-3], self.jaw.shape[:-2])
        out = rotations.expand(*batch, *rotations.shape[-3:]).clone()
        out[..., JOINT_INDEX["jaw"], :, :] = self.jaw
        out[..., JOINT_INDEX["left_eye"], :, :] = self.left_eye
        out[..., JOINT_INDEX["right_eye"], :, :] = self.right_eye
        return out


def arkit_weights(model: BodyModel, actions: Mapping[str, float | Tensor]) -> Tensor:
    """Strengths by name, each a number or (*B,), -> (*B, 52) in the model's order."""
    unknown = sorted(set(actions) - set(model.arkit_names))
    if unknown:
        raise PearError(
            f"unknown facial actions {unknown}; the names are ARKit's, such as "
            f"{', '.join(model.arkit_names[:3])}"
        )
    values = {n: torch.as_tensor(v).to(model.arkit_coef) for n, v in actions.items()}
    batch = torch.broadcast_shapes(*(v.shape for v in values.values()))
    zero = model.arkit_coef.new_zeros(batch)
    return torch.stack([values.get(n, zero).expand(batch) for n in model.arkit_names], dim=-1)


def face_from_arkit(model: BodyModel, weights: Tensor | Mapping[str, float | Tensor]) -> FacePose:
    """Facial actions -> expression, jaw and eyes.

    Args:
        weights: (*B, 52) strengths in the order of ``model.arkit_names``, usually in [0, 1], or
            a mapping from names to strengths. Rotations of actions add as axis-angle vectors,
            which is exact for the single-axis motions they are.
    """
    if isinstance(weights, Mapping):
        weights = arkit_weights(model, weights)
    if weights.shape[-1] != len(model.arkit_names):
        raise ValueError(
            f"weights must have shape (*B, {len(model.arkit_names)}), got {tuple(weights.shape)}"
        )
    rotations = axis_angle_to_matrix((weights @ model.arkit_pose).unflatten(-1, (3, 3)))
    jaw, left_eye, right_eye = rotations.unbind(-3)
    return FacePose(weights @ model.arkit_coef, jaw, left_eye, right_eye)


def transfer_expression(expression: Tensor, source: BodyModel, target: BodyModel) -> Tensor:
    """The same facial actions in the expression coefficients of another body.

    Args:
        expression: (*B, up to E) of the source.
        source, target: bodies with the same facial actions.

    Returns:
        (*B, E') of the target: of the actions in [0, 1] that come nearest to the expression.
    """
    given = expression.to(source.arkit_coef)
    missing = source.num_expression - given.shape[-1]
    given = torch.nn.functional.pad(given, (0, missing))
    weights = (given @ torch.linalg.pinv(source.arkit_coef, rtol=1e-3)).clamp(0.0, 1.0)
    return (weights @ target.arkit_coef.to(weights)).to(expression)
