"""The person's head and hand scales as two more shape coefficients of the rig.

EHM-s is linear in its scales and linear in its betas, but not in both at once. So the rig takes
the person as baked at the present scales, and two more columns for what the scales change at the
present betas; it is made anew before each stage, which leaves an error of second order in one
stage's change. The coefficients count standard deviations, as betas do, so that the solver
treats all of them alike: the prior that holds betas near zero holds scales near one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pear_avatar.body import BodyModel
from pear_avatar.body.ehm import EhmModel
from pear_avatar.tracking.rig import PointRig
from pear_avatar.tracking.track_config import TrackConfig
from pear_avatar.tracking.track_stages import make_rig
from pear_avatar.types import Proportions

#: no person is scaled beyond these
_SMALLEST, _LARGEST = 0.5, 2.5
_NUM_SCALES = 2


#: A scale that differs from one by less is drawn to it harder, down to this share of its sigma.
_PLAIN_GAP, _LEAST_SHARE = 0.06, 0.25


@dataclass(frozen=True)
class PersonModel:
    """Makes rigs and bodies of one person whose scales are not known yet."""

    ehm: EhmModel
    config: TrackConfig

    @property
    def num_betas(self) -> int:
        """Shape coefficients that are solved for; the scales come after them."""
        return min(self.config.num_betas, self.ehm.body.num_betas)

    def proportions(self, coefficients: Tensor) -> Proportions:
        """What the solver's shared coefficients (num_betas + 2,) say of the scales."""
        head, hand = self._scales(coefficients)
        return self.ehm.scaled(head, hand)

    def settled(self, coefficients: Tensor) -> tuple[PersonModel, Tensor]:
        """The same person with a stronger prior on scales that hardly differ from one.

        Betas explain small differences of an ordinary adult as well, and joints are nearer to the
        truth if they do; a child's or a costume's head is beyond them and keeps its freedom.

        Returns:
            The person, and the coefficients that mean the same scales to it.
        """
        head, hand = (self._scales(coefficients) - 1).abs().tolist()
        share = [min(max(gap / _PLAIN_GAP, _LEAST_SHARE), 1.0) for gap in (head, hand)]
        config = replace(
            self.config,
            head_scale_sigma=share[0] * self.config.head_scale_sigma,
            hand_scale_sigma=share[1] * self.config.hand_scale_sigma,
        )
        moved = coefficients.clone()
        moved[self.num_betas :] /= coefficients.new_tensor(share)
        return PersonModel(self.ehm, config), moved

    def body(self, coefficients: Tensor) -> BodyModel:
        """The person with these scales built in."""
        return self.ehm.person(self.proportions(coefficients))

    def rig(self, coefficients: Tensor | None = None) -> PointRig:
        """The rig near these coefficients; near the mean body if left out."""
        count = self.num_betas
        if coefficients is None:
            coefficients = torch.zeros(count + _NUM_SCALES)
        coefficients = coefficients.to(self.ehm.body.v_template)
        body = self.body(coefficients)  # has eyelids, which the plain body may lack
        vertices, joints = self._scale_columns(coefficients)
        present = coefficients[count:]
        config = replace(self.config, num_betas=count + _NUM_SCALES)
        extended = replace(
            body,
            v_template=body.v_template - vertices @ present,
            shape_dirs=torch.cat([body.shape_dirs[..., :count], vertices], dim=-1),
            joint_template=body.joint_template - joints @ present,
            joint_shape_dirs=torch.cat([body.joint_shape_dirs[..., :count], joints], dim=-1),
        )
        return make_rig(extended, config)

    def _scales(self, coefficients: Tensor) -> Tensor:
        """(2,) head and hands."""
        sigmas = coefficients.new_tensor(
            [self.config.head_scale_sigma, self.config.hand_scale_sigma]
        )
        return (1 + sigmas * coefficients[self.num_betas :]).clamp(_SMALLEST, _LARGEST)

    def _scale_columns(self, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """(V, 3, 2) and (55, 3, 2): what a standard deviation of each scale moves.

        EHM-s is linear in the scales, so a difference is the derivative.
        """
        scales = self._scales(coefficients) + torch.eye(3)[:, 1:].to(coefficients)
        shaped = self.ehm.shape(
            coefficients[: self.num_betas], None, self.ehm.scaled(scales[:, 0], scales[:, 1])
        )
        sigmas = coefficients.new_tensor(
            [self.config.head_scale_sigma, self.config.hand_scale_sigma]
        )
        vertices, joints = (
            (values[1:] - values[0]).permute(1, 2, 0) * sigmas
            for values in (shaped.vertices(), shaped.joints)
        )
        return vertices, joints
