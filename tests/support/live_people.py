"""A small avatar and driving bodies for the tests of live drive."""

from __future__ import annotations

from functools import cache

import torch

from pear_avatar.avatar.avatar import Avatar, SplatSet, personalise
from pear_avatar.avatar.binding import sample_surface
from pear_avatar.body import BodyModel, load_body
from pear_avatar.live.live_body import LiveBody
from pear_avatar.motion.retarget.retarget import leg_length
from pear_avatar.types import BodyParams


@cache
def plain_avatar(count: int = 400, *, child: bool = False) -> Avatar:
    """A grey person; a child has the average person's body at 60 %."""
    body = load_body()
    if child:
        body = _scaled(body, 0.6)
    own = personalise(body, torch.zeros(body.num_betas), torch.zeros(body.num_vertices, 3))
    binding = sample_surface(own.v_template, own.faces, torch.ones(len(own.faces)), count, 0)
    splats = SplatSet(
        torch.zeros(count, 3),
        torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1),
        torch.full((count, 3), -3.5),
        torch.full((count,), 3.0),
        torch.full((count, 3), 0.5),
    )
    return Avatar(own, binding, splats, torch.zeros(body.num_betas), {"source": "test"})


def _scaled(body: BodyModel, scale: float) -> BodyModel:
    from dataclasses import replace

    return replace(
        body, v_template=body.v_template * scale, joint_template=body.joint_template * scale
    )


def standing_body(
    time: float = 0.0,
    *,
    rotations: torch.Tensor | None = None,
    transl: tuple[float, float, float] = (0.1, 0.2, -3.0),
    actions: torch.Tensor | None = None,
    legs: float = 1.0,
) -> LiveBody:
    """A person in T-pose three metres before the camera, or in the given pose."""
    body = load_body()
    R = torch.eye(3).repeat(55, 1, 1) if rotations is None else rotations
    face = torch.zeros(len(body.arkit_names)) if actions is None else actions
    params = BodyParams(
        torch.zeros(body.num_betas),
        torch.zeros(body.num_expression),
        R,
        torch.tensor(transl),
    )
    rest = body.joint_template
    return LiveBody(
        time=time,
        arrived=time,
        params=params,
        actions=face,
        raw_actions=face,
        legs=legs,
        rest_pelvis=rest[0],
        leg_length=float(leg_length(rest)),
    )
