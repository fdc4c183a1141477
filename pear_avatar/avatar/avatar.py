"""The avatar: one person's rigged template with splats bound to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from pear_avatar.avatar.binding import SplatBinding
from pear_avatar.body.model import BodyModel, PosedBody
from pear_avatar.choices import BodyName
from pear_avatar.splatting import Gaussians, SkinnedSplats, skin_and_bind
from pear_avatar.types import BodyParams


@dataclass(frozen=True)
class SplatSet:
    """N splats in the frames of their triangles, before activation.

    offsets (N, 3) metres along e, t, n of the triangle; local_quats_wxyz (N, 4);
    log_scales (N, 3), the third axis along the normal at rest; logit_opacities (N,);
    colors (N, 3) RGB in [0, 1].
    """

    offsets: Tensor
    local_quats_wxyz: Tensor
    log_scales: Tensor
    logit_opacities: Tensor
    colors: Tensor


@dataclass(frozen=True)
class Avatar:
    """A person who can be posed: a personal body without shape coefficients, and splats on it.

    body:     the person's own template: shape and clothes are baked into ``v_template`` and
              ``joint_template``, so ``num_betas`` is 0; joints, skinning and expression stay.
    binding:  where the splats sit on it.
    splats:   what they look like.
    betas:    (S,) shape coefficients that made the template, kept for reference and export.
    metadata: plain strings: where it came from, versions, the metric figures of its fit.
    """

    body: BodyModel
    binding: SplatBinding
    splats: SplatSet
    betas: Tensor
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def body_name(self) -> str:
        """Which body the template was made from ("open" or "smplx"): whose expression it takes."""
        return self.metadata.get("body", BodyName.OPEN.value)

    @property
    def is_of_open_body(self) -> bool:
        """Whether the template was made from the open body."""
        return self.body_name == BodyName.OPEN

    @property
    def num_splats(self) -> int:
        """Number of splats."""
        return self.binding.count

    def vertices(self, params: BodyParams) -> Tensor:
        """(V, 3) posed vertices in the world for one frame; ``params.betas`` is not used."""
        return self._posed(params).vertices()

    def _posed(self, params: BodyParams) -> PosedBody:
        return self.body.shape(None, params.expression).pose(params.rotations, params.transl)

    @cached_property
    def _skinned(self) -> SkinnedSplats:
        return self.binding.skinned(self.body)

    def gaussians(self, params: BodyParams) -> Gaussians:
        """Splats in the world for one frame (params without batch axes).

        ``params.betas`` is not used: the person keeps their own shape. Differentiable in
        expression, rotations and transl.
        """
        s = self.splats
        posed = self._posed(params)
        _, means, quats = skin_and_bind(
            self._skinned,
            posed.rest_vertices(),
            posed.rest_to_posed,
            s.offsets,
            s.local_quats_wxyz,
        )
        return Gaussians(means, quats, s.log_scales, s.logit_opacities, s.colors)

    def to(self, *args: Any, **kwargs: Any) -> Avatar:
        """The same avatar on another device."""
        move = lambda t: t.to(*args, **kwargs) if isinstance(t, Tensor) else t  # noqa: E731
        binding = SplatBinding(**{k: move(v) for k, v in vars(self.binding).items()})
        splats = SplatSet(**{k: move(v) for k, v in vars(self.splats).items()})
        body = self.body.to(*args, **kwargs)
        return replace(self, body=body, binding=binding, splats=splats, betas=move(self.betas))


def personalise(body: BodyModel, betas: Tensor, vertex_offsets: Tensor) -> BodyModel:
    """Bake shape and clothes into a template.

    betas (S,), vertex_offsets (V, 3) metres in the rest pose -> a BodyModel with no shape
    coefficients. The joints come from the naked shape: clothes do not move bones.
    """
    with torch.no_grad():
        shape = torch.einsum("vds,s->vd", body.shape_dirs[..., : len(betas)], betas)
        joints = body.joint_template + torch.einsum(
            "jds,s->jd", body.joint_shape_dirs[..., : len(betas)], betas
        )
    return replace(
        body,
        v_template=(body.v_template + shape + vertex_offsets).detach(),
        joint_template=joints,
        shape_dirs=body.shape_dirs[..., :0],
        joint_shape_dirs=body.joint_shape_dirs[..., :0],
    )
