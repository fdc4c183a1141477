"""The 52 ARKit actions in the expression basis of another body or head."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.model import BodyModel
from pear_avatar.geometry.rotations import axis_angle_to_matrix

__all__ = ["action_offsets", "solve_actions"]

_RIDGE = 1.5e-5  # metres, over all face vertices, that one unit of expression must be worth
_MOVES = 2e-4  # metres; vertices that an expression of one unit moves at least so far count


def action_offsets(body: BodyModel) -> Tensor:
    """(A, V, 3) metres: how each action at full strength moves the skin, eyes at rest."""
    actions = len(body.arkit_names)
    rotations = torch.eye(3).repeat(actions, body.num_joints, 1, 1)
    rotations[:, JOINT_INDEX["jaw"]] = axis_angle_to_matrix(body.arkit_pose[:, :3])
    with torch.no_grad():
        posed = body.shape(None, body.arkit_coef).pose(rotations)
        return posed.vertices() - body.v_template


def solve_actions(
    model: BodyModel, jaw: int, arkit_pose: Tensor, offsets: np.ndarray, face: np.ndarray
) -> Tensor:
    """(A, E) expression of each action, by least squares on what the skin should do.

    The jaw turns as it does for the action elsewhere; the expression makes up the rest. For a
    given jaw the posed skin is linear in the expression.

    Args:
        model: a body or head; ``jaw`` its jaw joint.
        arkit_pose: (A, 9), of which the first three are the jaw's axis-angle.
        offsets: (A, V, 3) metres, wanted.
        face: (V,) >= 0, how much each vertex counts.
    """
    counted = torch.from_numpy(np.nonzero(face > 0)[0])
    weight = torch.from_numpy(face)[counted].sqrt()[:, None, None]
    dirs = model.expression_dirs[counted].double()
    moved = dirs.norm(dim=1).amax(1) > _MOVES
    counted, weight, dirs = counted[moved], weight[moved], dirs[moved]
    ridge = _RIDGE**2 * float(weight.square().sum()) * torch.eye(dirs.shape[-1])
    skin = model.skin_weights_t[:, counted].double()
    coefficients = torch.zeros(len(arkit_pose), dirs.shape[-1], dtype=torch.float64)
    for action, turn in enumerate(axis_angle_to_matrix(arkit_pose[:, :3])):
        rotations = torch.eye(3).repeat(model.num_joints, 1, 1)
        rotations[jaw] = turn
        with torch.no_grad():
            posed = model.shape().pose(rotations)
            by_jaw = (posed.vertices() - model.v_template)[counted].double()
        turned = torch.einsum("jv,jab->vab", skin, posed.rest_to_posed[..., :3].double())
        matrix = (weight * (turned @ dirs)).flatten(0, 1)
        rest = torch.from_numpy(offsets[action])[counted] - by_jaw
        wanted = (weight[..., 0] * rest).flatten()
        coefficients[action] = torch.linalg.solve(
            matrix.T @ matrix + ridge.double(), matrix.T @ wanted
        )
    return coefficients.float()
