"""EHM-s: a body whose head comes from a head model, scaled along three axes.

After PEAR ("EHM-s", 2026), GUAVA and the EHM tracker. In the order of the authors' programs:

1. The head is shaped, and its jaw and eyes are posed with neck and root at rest. The eyelids are
   added after that; the result is scaled about the midpoint of the eyes.
2. The body is shaped with jaw and eyes at rest; the joints are regressed and offset.
3. The body's head vertices are overwritten, so that the midpoints of the eyes agree.
   (The authors scale about the head model's origin, and lay its unscaled eyes onto the body's:
   ``convention="pear"``.)
4. The hands are scaled about their centres.
5. The joints are regressed anew and offset; the body is posed with jaw and eyes at rest, for the
   head already carries their pose.

Stages are those of :class:`~pear_avatar.body.model.BodyModel`::

    shaped = ehm.shape(betas, expression, proportions)
    posed = shaped.pose(rotations, transl)
    posed.joints, posed.landmarks("coco17"), posed.vertices()

Where the program departs from the authors', and how to have it their way:

* A hard overwrite tears the neck and the wrists. ``blend`` eases the new head in over some
  centimetres of skin above the seam, and the hands likewise; what is left of the body there
  follows the jaw. Shoulders that a head model brings along stay the body's. Hands then grow from
  the wrist, where the authors scale them about the centre of the template's hand. ``blend=0`` is
  the hard overwrite, which the "pear" convention has.
* The joints of jaw and eyes that a posed body shows are where the head turns them, instead of
  what the body's regressor makes of a foreign head (up to 17 mm off). They move nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pear_avatar.body.ehm.ehm_parts import BLEND_WIDTH, EhmParts, Variant
from pear_avatar.body.ehm.ehm_person import bake_person, person_expression
from pear_avatar.body.ehm.ehm_stages import ShapedEhm, shape_ehm
from pear_avatar.body.model import BodyModel
from pear_avatar.types import Proportions

__all__ = ["BLEND_WIDTH", "EhmModel", "Variant"]


@dataclass(frozen=True)
class EhmModel(EhmParts):
    """A body and a head that replaces the body's own; make one with :meth:`build`."""

    def shape(
        self,
        betas: Tensor | None = None,
        expression: Tensor | None = None,
        proportions: Proportions | None = None,
        *,
        eyelids: Tensor | None = None,
        head_expression: Tensor | None = None,
    ) -> ShapedEhm:
        """Give body and head their shape.

        Args:
            betas: (*B, up to S) of the body.
            expression: (*B, up to E) of the body; also the head's, unless that has its own.
            proportions: the person's constants; None means scales of one and the body's head.
            eyelids: (*B, 2) how far the left and the right lid are closed, by the head's bases.
            head_expression: (*B, up to the head's E); needs ``proportions.head_betas``.
        """
        return shape_ehm(
            self, betas, expression, proportions, eyelids, head_expression=head_expression
        )

    def person(self, proportions: Proportions, betas: Tensor | None = None) -> BodyModel:
        """Bake one person's constants into a plain body that needs no proportions any more.

        Args:
            proportions: without batch axes.
            betas: (up to S,) also baked into the template, so that zero betas give this person.

        The result equals EHM-s wherever :mod:`pear_avatar.body.ehm.ehm_person` does not say
        otherwise. A head that brings eyelids to a body without any adds them as two last
        expression columns. ``joint_template`` and its directions are the person's; the
        regressor of the body knows nothing of offsets or of the head's pivots.
        """
        return bake_person(self, proportions, betas)

    def person_expression(
        self, head: Tensor, body: Tensor, eyelids: Tensor, *, has_head: bool
    ) -> Tensor:
        """The expression of a :meth:`person` from its parts.

        A plain body has one expression for head and body. In the "pear" convention, where the
        head has a shape of its own (``has_head``: the proportions have ``head_betas``), both keep
        their own coefficients: first the head's, then the body's.

        Args:
            head, body: (*B, up to their number of coefficients).
            eyelids: (*B, 2), taken where the person has columns for them.
        """
        return person_expression(self, head, body, eyelids, has_head=has_head)
