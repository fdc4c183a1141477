"""The two models of EHM-s and what follows from them: which vertices, by how much, which joints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from pear_avatar.body.ehm.region import (
    ease_in,
    hand_vertices,
    lower_rows,
    neck_rows,
    of_head_or_neck,
    surface_distance,
)
from pear_avatar.body.ehm.rows import (
    BODY_TURNING,
    EhmPlan,
    HandRows,
    JointForms,
    PartRows,
    face_rows,
    head_rows,
    head_turn,
    joint_forms,
)
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.model import BodyModel
from pear_avatar.choices import Convention
from pear_avatar.geometry.sparse import SparseMatrix
from pear_avatar.types import Proportions

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BLEND_WIDTH", "EhmParts", "Variant"]

Variant = Literal["pear", "guava", "tracker"]
Hold = Literal["neck", "eyes"]

#: metres of skin over which a new head or hand is eased in
BLEND_WIDTH = 0.05

_HEAD_JOINTS = 5
_HEAD_EYES = slice(3, 5)
_EYES = slice(JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"] + 1)


@dataclass(frozen=True)
class EhmParts:
    """A body and a head that replaces the body's own; see :class:`EhmModel`.

    body:          V vertices, 55 joints.
    head:          Vh vertices and FLAME's joints: root, neck, jaw, left eye, right eye.
    head_vertices: (Vh,) int64, the body's vertex that each head vertex overwrites.
    variant:       which of them are overwritten. "pear": all but ``neck``; "guava": all;
                   "tracker": all but ``lower``.
    neck, lower:   (K,) int64 rows of the head that these variants leave to the body.
    left_hand, right_hand: (N,) int64, the body's vertices that hand_scale scales.
    blend:         metres over which head and hands are eased in; 0 overwrites them hard.
    convention:    "eased" scales the head about its eyes; "pear" about the head model's origin, and
                   shows the joints of jaw and eyes where the body's regressor has them.
    betas_to_head: (H, S) head coefficients of the body's own head, per unit of betas; None where
                   the head has a shape space of its own.
    """

    body: BodyModel
    head: BodyModel
    head_vertices: Tensor
    variant: Variant
    neck: Tensor
    lower: Tensor
    left_hand: Tensor
    right_hand: Tensor
    blend: float = BLEND_WIDTH
    betas_to_head: Tensor | None = None
    convention: Convention = "eased"

    @classmethod
    def build(
        cls,
        body: BodyModel,
        head: BodyModel,
        head_vertices: Tensor,
        variant: Variant = "pear",
        *,
        blend: float = BLEND_WIDTH,
        neck: Tensor | None = None,
        lower: Tensor | None = None,
        hands: tuple[Tensor, Tensor] | None = None,
        betas_to_head: Tensor | None = None,
    ) -> Self:
        """Check the parts; sets that are not given follow from the skinning weights.

        Raises:
            ValueError: the head has not FLAME's joints, the correspondence does not fit, the
                variant is unknown, or ``blend`` is negative.
        """
        head_vertices = head_vertices.to(torch.int64)
        _check(body, head, head_vertices, variant, blend)
        left, right = hand_vertices(body) if hands is None else hands
        return cls(
            body=body,
            head=head,
            head_vertices=head_vertices,
            variant=variant,
            neck=neck_rows(body, head_vertices) if neck is None else neck,
            lower=lower_rows(body, head_vertices) if lower is None else lower,
            left_hand=left,
            right_hand=right,
            blend=float(blend),
            betas_to_head=betas_to_head,
        )

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        """The same model on another device or in another floating-point dtype."""
        table = self.betas_to_head
        return replace(
            self,
            body=self.body.to(device, dtype),
            head=self.head.to(device, dtype),
            head_vertices=self.head_vertices.to(device),
            neck=self.neck.to(device),
            lower=self.lower.to(device),
            left_hand=self.left_hand.to(device),
            right_hand=self.right_hand.to(device),
            betas_to_head=None if table is None else table.to(device=device, dtype=dtype),
        )

    def in_convention(self, convention: Convention, variant: Variant | None = None) -> Self:
        """The same models joined in another way.

        Args:
            convention: "eased", or "pear": a hard overwrite and a scale about the head's origin.
            variant: which vertices are overwritten; None keeps this model's.
        """
        if convention not in get_args(Convention):
            raise ValueError(f"convention must be 'eased' or 'pear', got {convention!r}")
        blend = 0.0 if convention == "pear" else (self.blend or BLEND_WIDTH)
        return replace(self, convention=convention, blend=blend, variant=variant or self.variant)

    def head_betas_of(self, betas: Tensor) -> Tensor:
        """(*B, H) head coefficients that reproduce the body's own head of (*B, up to S) betas.

        Raises:
            ValueError: the head's shape space is not the body's.
        """
        if self.betas_to_head is None:
            raise ValueError(
                "this head has a shape space of its own: leave head_betas out to keep the body's "
                "own head"
            )
        return betas @ self.betas_to_head[:, : betas.shape[-1]].T

    def scaled(
        self, head: float | Tensor = 1.0, hand: float | Tensor = 1.0, *, hold: Hold = "neck"
    ) -> Proportions:
        """Proportions with one scale for the head and one for the hands.

        Args:
            head: a number or (*B,).
            hand: likewise.
            hold: what of the head stays in place. "eyes" scales about them, as EHM-s does: the
                chin sinks into the chest of a large head. "neck" lifts the head by offsets of
                the eye joints, so that it sits on the neck at every scale.
        """
        template = self.body.joint_template
        head_scale, hand_scale = (
            torch.as_tensor(s).to(template)[..., None].expand(*torch.as_tensor(s).shape, 3)
            for s in (head, hand)
        )
        if hold == "eyes":
            return Proportions(head_scale, hand_scale)
        if hold != "neck":
            raise ValueError(f"hold must be 'neck' or 'eyes', got {hold!r}")
        eyes = torch.zeros_like(template)
        eyes[_EYES] = template[_EYES].mean(0) - template[JOINT_INDEX["neck"]]
        offsets = (head_scale[..., None, :] - 1) * eyes
        return Proportions(head_scale, hand_scale, None, offsets)

    def landmark_plan(self, *names: str) -> EhmPlan:
        """What the named landmark sets need of the model; made once for each combination."""
        plan = self._plans.get(names)
        if plan is None:
            body = self.body.landmark_plan(*names)
            plan = self._plans[names] = EhmPlan(body, self._part_rows(body.vertex_index))
        return plan

    @cached_property
    def _plans(self) -> dict[tuple[str, ...], EhmPlan]:
        return {}

    @cached_property
    def all_rows(self) -> PartRows:
        """What the whole mesh needs."""
        return self._part_rows(torch.arange(self.body.num_vertices, device=self._device))

    @cached_property
    def joint_rows(self) -> EhmPlan:
        """The changed vertices (Q,) that joints are regressed from, and the (55, Q) regressor.

        Jaw and eyes are left out where the head says where they are.
        """
        body = self.body
        regressor = body.v_template.new_zeros(body.num_joints, body.num_vertices)
        regressor.scatter_add_(1, body.joint_index, body.joint_weight)
        if self.convention != "pear":
            regressor[BODY_TURNING] = 0
        head = self.head_vertices[self.head_share > 0]
        changed = self._mask(torch.cat([head, self.left_hand, self.right_hand]))
        index = torch.nonzero(changed & (regressor != 0).any(0)).squeeze(-1)
        row, column = torch.nonzero(regressor[:, index], as_tuple=True)
        values = regressor[:, index][row, column]
        size = (body.num_joints, len(index))
        mix = SparseMatrix.from_entries(row, column, values, size)
        return EhmPlan(body.row_plan(index, mix, (body.num_joints,)), self._part_rows(index))

    @cached_property
    def joint_forms(self) -> JointForms:
        """What hands and head put into the regressed joints."""
        return joint_forms(self.body, self.joint_rows)

    @cached_property
    def joints_follow_face(self) -> bool:
        """Whether jaw, eyes or eyelids move what joints are regressed from."""
        return len(self.joint_rows.parts.face.places.at) > 0

    @cached_property
    def head_share(self) -> Tensor:
        """(Vh,) how much of each head vertex is the new head's; the rest is the body's own."""
        kept = {"pear": self.neck, "guava": self.neck[:0], "tracker": self.lower}[self.variant]
        if self.blend == 0:
            share = self.body.v_template.new_ones(len(self.head_vertices))
            share[kept] = 0
            return share
        inside = self._mask(self.head_vertices)
        inside[self.head_vertices[kept]] = False
        # A head model may reach below the neck set: shoulders scaled about the eyes would tear.
        inside &= of_head_or_neck(self.body)
        return self._ease_in(inside)[self.head_vertices]

    @cached_property
    def head_turn(self) -> Tensor:
        """(3, Vh) how much of jaw, left eye and right eye each head vertex follows."""
        args = self.head_share, self.blend
        return head_turn(self.body, self.head, self.head_vertices, *args)

    @cached_property
    def bending(self) -> Tensor:
        """(54,) 1 for the joints whose pose correctives the body adds, 0 for jaw and eyes."""
        bending = self.body.v_template.new_ones(self.body.num_joints)
        bending[BODY_TURNING] = 0
        return bending[1:]

    @cached_property
    def hand_shares(self) -> tuple[Tensor, Tensor]:
        """How much of hand_scale each vertex of the left and of the right hand takes."""
        hands = (self.left_hand, self.right_hand)
        if self.blend == 0:
            left, right = (self.body.v_template.new_ones(len(hand)) for hand in hands)
        else:
            left, right = (self._ease_in(self._mask(hand))[hand] for hand in hands)
        return left, right

    def _mask(self, members: Tensor) -> Tensor:
        mask = torch.zeros(self.body.num_vertices, dtype=torch.bool, device=self._device)
        mask[members] = True
        return mask

    def _ease_in(self, inside: Tensor) -> Tensor:
        return ease_in(surface_distance(self.body, inside, self.blend), self.blend)

    @cached_property
    def head_origin(self) -> Tensor:
        """(1, 3) the head model's origin, seen from the midpoint of its mean eyes."""
        return -self.head.joint_template[_HEAD_EYES].mean(0, keepdim=True)

    @cached_property
    def carriers(self) -> Tensor:
        """(55,) int64, the joint whose transform each bone's skin takes in the last step."""
        carrier = torch.arange(self.body.num_joints, device=self._device)
        carrier[BODY_TURNING] = self.body.parents[BODY_TURNING.start]
        return carrier

    @property
    def _device(self) -> torch.device:
        return self.body.v_template.device

    def _part_rows(self, index: Tensor) -> PartRows:
        """The head's and the hands' part in the body's vertices ``index`` (M,)."""
        members = self.head_vertices
        if self.blend == 0:  # what is left to the body does not even follow the jaw
            members = torch.where(self.head_share > 0, members, -1)
        at, rows = self._places(members, index)
        chosen = (rows, self.head_vertices[rows], at)
        head = head_rows(self.head, self.head_share, rows, at)
        face = face_rows(
            self.body, self.head, self.head_share, self.head_turn, chosen, count=len(index)
        )
        hands = []
        for hand, share in zip((self.left_hand, self.right_hand), self.hand_shares, strict=True):
            at, rows = self._places(hand, index)
            hands.append(HandRows(at, share[rows, None]))
        return PartRows(head, face, (hands[0], hands[1]), len(index))

    def _places(self, members: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Where in ``index`` (M,) a set's vertices stand, and their rows in the set."""
        row_of = torch.full((self.body.num_vertices,), -1, device=self._device)
        row_of[members[members >= 0]] = torch.nonzero(members >= 0).squeeze(-1)
        at = torch.nonzero(row_of[index] >= 0).squeeze(-1)
        return at, row_of[index[at]]

    @cached_property
    def hand_centres(self) -> tuple[Tensor, Tensor]:
        """(3,) each: the mean points of the template's left and right hand."""
        template = self.body.v_template
        left, right = (
            template[hand].mean(0) if len(hand) else template.new_zeros(3)
            for hand in (self.left_hand, self.right_hand)
        )
        return left, right


def _check(
    body: BodyModel, head: BodyModel, head_vertices: Tensor, variant: str, blend: float
) -> None:
    if head.num_joints != _HEAD_JOINTS:
        raise ValueError(
            f"the head must have FLAME's {_HEAD_JOINTS} joints (root, neck, jaw, left eye, right "
            f"eye), this one has {head.num_joints}"
        )
    if head_vertices.shape != (head.num_vertices,):
        raise ValueError(
            f"head_vertices must name a vertex of the body for each of the head's "
            f"{head.num_vertices}, got shape {tuple(head_vertices.shape)}"
        )
    low, high = int(head_vertices.min()), int(head_vertices.max())
    if low < 0 or high >= body.num_vertices or len(head_vertices.unique()) < len(head_vertices):
        raise ValueError(
            f"head_vertices must be different vertices in [0, {body.num_vertices}), "
            f"found {low} to {high}, {len(head_vertices.unique())} of them different"
        )
    if variant not in ("pear", "guava", "tracker"):
        raise ValueError(f"variant must be 'pear', 'guava' or 'tracker', got {variant!r}")
    if not blend >= 0:
        raise ValueError(f"blend must be a width in metres, 0 for none; got {blend}")
