"""How large the fit's steps are: rates in pixels of the crop become metres, radians, betas.

The first step of Adam moves every number by its rate, whatever the gradient. Six millimetres are
one pixel of a person who stands four metres away and five pixels of a face half a metre away, so
a rate in metres that suits the one shakes the other until the eyes are wiped out of it. What
should be the same in both is how far a step moves the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.fitting.fit_config import RatesConfig
from pear_avatar.geometry.cameras import project, to_camera
from pear_avatar.types import BodyParams, Camera

#: frames and vertices that lever arms are measured on, at most
_LEVER_FRAMES, _LEVER_VERTICES = 12, 1500
#: nearer than this (m) nothing is in focus: a track that claims it must not stop the fit
_MIN_DEPTH = 0.1
#: least joint or vertex weight in view that says anything about a lever arm
_MIN_MASS = 1.0


@dataclass(frozen=True)
class StepSizes:
    """What one pixel of the crops is, in the units of each parameter.

    metres:     () median over the crops, for what all frames share.
    transl:     (N,) metres, each crop's own.
    rotations:  (N, J) radians about each joint; at most ``RatesConfig.rotation_max`` a step.
    betas:      (S,) coefficients.
    log_focal:  () change of the log focal length that moves half the crop's diagonal by a pixel.
    """

    metres: Tensor
    transl: Tensor
    rotations: Tensor
    betas: Tensor
    log_focal: Tensor


@torch.no_grad()
def measure_step_sizes(
    body: BodyModel, params: BodyParams, camera: Camera, num_betas: int
) -> StepSizes:
    """Measure a pixel on the tracked bodies of N crops.

    Args:
        body: the person's body.
        params: tracked parameters, one leading axis N, betas shared or one set a crop.
        camera: the crops' cameras, batch N.
        num_betas: coefficients that are refined.
    """
    joints = body.shape(params.betas, params.expression).pose(params.rotations, params.transl)
    transl = _metres_per_pixel(camera, joints.joints)
    metres = transl.median()
    betas = params.betas if params.betas.dim() == 1 else params.betas[0]
    spread = body.shape_dirs[..., : min(num_betas, len(betas))].square().sum(1).mean(0).sqrt()
    levers = _lever_arms(body, params, camera)
    half_diagonal = 0.5 * float(np.hypot(camera.width, camera.height))
    return StepSizes(
        metres=metres,
        transl=transl,
        rotations=transl[:, None] / levers,
        betas=metres / spread.clamp_min(1e-6),
        log_focal=torch.full_like(metres, 1 / half_diagonal),
    )


def pose_rates(
    sizes: StepSizes, rates: RatesConfig, i: int, factor: float
) -> dict[str, Tensor | float]:
    """Adam rates of crop i's correction: rotations (3 J,) rad, translation (3,) m, expression.

    ``factor`` is the schedule's; it scales the bound on rotations too.
    """
    turn = (rates.pose_px * sizes.rotations[i]).clamp_max(rates.rotation_max)
    move = rates.pose_px * sizes.transl[i]
    return {
        "rotations": factor * turn.repeat_interleave(3),
        "transl": factor * move.expand(3),
        "expression": factor * rates.expression,
    }


def _metres_per_pixel(camera: Camera, joints: Tensor) -> Tensor:
    """(N,) metres that one pixel covers at the depth of the joints (N, J, 3) in the picture."""
    depth = to_camera(camera, joints)[..., 2]
    inside = _inside(camera, joints)
    # Joints outside of the picture (the legs of a talking head) say nothing about its depth.
    shown = torch.where(inside, depth, torch.full_like(depth, torch.nan))
    middle = shown.nanmedian(-1).values
    middle = torch.where(middle.isnan(), depth.median(-1).values, middle)
    return middle.clamp_min(_MIN_DEPTH) / camera.K[:, 0, 0]


def _inside(camera: Camera, points: Tensor) -> Tensor:
    px, depth = project(camera, points)
    low, high = px >= 0, px < px.new_tensor([camera.width, camera.height])
    return (low & high).all(-1) & (depth > 0)


def _lever_arms(body: BodyModel, params: BodyParams, camera: Camera) -> Tensor:
    """(J,) metres: root mean square distance of what each joint turns, and the picture shows.

    A joint that moves nothing in view gets the length of a hair's breadth of pixels: its rate is
    then bounded by ``rotation_max`` alone.
    """
    n = len(params.rotations)
    rows = np.linspace(0, n - 1, min(n, _LEVER_FRAMES)).round().astype(int)
    device = body.v_template.device
    some = params[torch.from_numpy(rows).to(device)]
    posed = body.shape(some.betas, some.expression).pose(some.rotations, some.transl)
    stride = max(1, body.num_vertices // _LEVER_VERTICES)
    points = posed.vertices()[:, ::stride]
    weight = _subtree_weights(body)[:, ::stride]  # (J, P)
    shown = _inside(camera[torch.from_numpy(rows).to(device)], points).to(weight)
    distance = torch.cdist(posed.joints, points)  # (R, J, P)
    mass = torch.einsum("jp,rp->j", weight, shown)
    square = torch.einsum("jp,rp,rjp->j", weight, shown, distance.square())
    lever = (square / mass.clamp_min(1e-9)).sqrt()
    return torch.where(mass > _MIN_MASS, lever, torch.zeros_like(lever)).clamp_min(1e-3)


def _subtree_weights(body: BodyModel) -> Tensor:
    """(J, V) how much a turn of each joint moves each vertex: its own weight and all below it."""
    weights = body.skin_weights_t.clone()
    parents = body.parents
    for joint in range(len(parents) - 1, 0, -1):  # children stand behind their parents
        weights[parents[joint]] += weights[joint]
    return weights
