"""A clip's first guess for the tracker: what the lifter says, in terms of the body to be fitted."""

from __future__ import annotations

from dataclasses import replace

import torch

from pear_avatar.body.ehm import EhmModel
from pear_avatar.recovery.lifter import Lifter
from pear_avatar.recovery.smoothing import gaussian_body
from pear_avatar.types import BodyParams, Camera, ClipDetections

__all__ = ["first_guess"]

#: Standard deviation, frames, of the mean over time that takes the lifter's jitter out.
_STEADY = 1.0


def first_guess(
    lifter: Lifter, detections: ClipDetections, camera: Camera | None, body: EhmModel
) -> BodyParams:
    """(N frames) of the person in the camera's world, of one shape, steadied.

    Rotations mean the same on every body with SMPL-X's joints. Shape and expression are the open
    body's own: on another body the guess has its mean shape and a face at rest, at the same
    pelvis.

    Args:
        lifter: trained on the open body.
        detections: of the N frames of a clip; untrusted ones take their neighbours' values.
        camera: the clip's camera, None for the default one.
        body: that will be fitted.
    """
    lifted = lifter.lift(detections, camera).shared
    trusted = torch.from_numpy(detections.trusted).to(lifted.transl)
    steady = gaussian_body(lifted, _STEADY, trusted)
    if body.body.num_vertices == lifter.body.num_vertices:
        return steady
    own_pelvis = lifter.body.shape(steady.betas).joints[..., 0, :]
    pelvis = body.body.joint_template[0]
    return replace(
        steady,
        betas=steady.betas.new_zeros(body.body.num_betas),
        expression=steady.expression.new_zeros(len(steady.transl), body.body.num_expression),
        transl=steady.transl + own_pelvis - pelvis,
    )
