"""The objective of the joint fit: a list of terms, each a weight and a function.

A term is one entry of :data:`TERMS`; its curve in the report and its place in the sum follow from
that. Terms from outside the package are passed to :func:`pear_avatar.fitting.run.run_fit`.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from pear_avatar.body.joints import NUM_JOINTS
from pear_avatar.errors import PearError
from pear_avatar.evaluation.perceptual import Perceptual
from pear_avatar.fitting.details import HEAD_JOINTS
from pear_avatar.fitting.fit_config import FittingConfig, LossConfig
from pear_avatar.fitting.fit_scene import Leaves, Scene, world_landmarks_px
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.splatting import l1_ssim_loss
from pear_avatar.splatting.target_loss import coverage_loss, target_over
from pear_avatar.types import RenderOutput

#: distance of a face landmark at which its pull is at half strength, over the face's size
_FACE_SCALE = 0.04
#: How firmly each joint's correction is held: fingers, jaw and eyes hardly show in a silhouette.
_JOINT_WEIGHT = torch.ones(NUM_JOINTS)
_JOINT_WEIGHT[22:25] = 6.0
_JOINT_WEIGHT[25:] = 3.0

SILHOUETTES, JOINT = "silhouettes", "joint"


@dataclass(frozen=True)
class PoseNeighbours:
    """Fitted crops before and after each fitted crop: row -> (previous, next) or None."""

    pairs: dict[int, tuple[int, int] | None]

    @staticmethod
    def of(indices: list[int]) -> PoseNeighbours:
        """Neighbours within one list of crops in time order."""
        inner = {b: (a, c) for a, b, c in zip(indices, indices[1:], indices[2:], strict=False)}
        return PoseNeighbours({i: inner.get(i) for i in indices})


@dataclass(frozen=True)
class Constants:
    """What the terms compare with, fixed during a stage.

    neighbours:    the crops before and after each crop.
    cloth_weights: (V,) how firmly each vertex's clothing offset is held near zero.
    betas0:        (S,) the tracked shape.
    perceptual:    the perceptual metric, None where this machine has none.
    """

    neighbours: PoseNeighbours
    cloth_weights: Tensor
    betas0: Tensor
    perceptual: Perceptual | None = None


@dataclass(frozen=True)
class StepView:
    """What a term sees: one crop, drawn from the present parameters.

    scene:      what stays fixed during the fit.
    state:      all parameters; gradients flow through ``leaves`` only.
    config:     the settings.
    constants:  what the terms compare with.
    leaves:     the parameters of this step as leaf tensors.
    i:          position of the crop among the frames.
    out:        the drawing: color (h, w, 3) over ``background``, alpha (h, w, 1).
    background: (3,) colour behind the splats, None for black.
    target:     colour (3, h, w), mask (h, w) and validity (h, w) of the crop, in [0, 1].
    stage:      "silhouettes" or "joint".
    step:       of the stage, from 0.
    total:      steps of the stage.
    look:       an added picture of a part of the person, where one is due.
    """

    scene: Scene
    state: FitState
    config: FittingConfig
    constants: Constants
    leaves: Leaves
    i: int
    out: RenderOutput
    background: Tensor | None
    target: tuple[Tensor, Tensor, Tensor]
    stage: str
    step: int
    total: int
    look: DetailLook | None = None


@dataclass(frozen=True)
class DetailLook:
    """A window of another frame at the video's own resolution.

    view:   as for the step's crop; ``view.i`` is the person's crop of that frame.
    weight: of its picture, beside that of the step's crop.
    only:   name -> which numbers of that frame's pose correction the picture may move.
    """

    view: StepView
    weight: float
    only: Mapping[str, Tensor]


@dataclass(frozen=True)
class Term:
    """One term of the objective: ``weight * value(view)``, with a curve of its own.

    name:   of the curve; different for every term.
    weight: a number, or the name of a field of :class:`LossConfig`. With weight 0 the term is
            not computed.
    value:  the function; a scalar that is differentiable in ``view.leaves`` or ``view.out``, or
            None where the crop has nothing to compare with.
    stages: those in which the term counts.
    every:  computed at every n-th step only, and then n times as heavy; a number, or the name of
            a field of :class:`FittingConfig`.
    starts: the share of the stage's steps after which the term begins.
    """

    name: str
    weight: float | str
    value: Callable[[StepView], Tensor | None]
    stages: frozenset[str] = frozenset({JOINT})
    every: int | str = 1
    starts: float = 0.0

    def weight_in(self, config: FittingConfig) -> float:
        """The weight of each computed value, the factor for skipped steps included."""
        weight = getattr(config.loss, self.weight) if isinstance(self.weight, str) else self.weight
        return float(self.period(config) * weight)

    def period(self, config: FittingConfig) -> int:
        """Computed at every how many steps."""
        return int(getattr(config, self.every)) if isinstance(self.every, str) else self.every

    def counts(self, view: StepView) -> bool:
        """Whether the term is part of the sum at this step."""
        return (
            view.stage in self.stages
            and view.step % self.period(view.config) == 0
            and (self.starts == 0 or view.step > self.starts * view.total)
            and self.weight_in(view.config) != 0
        )


def objective(terms: Sequence[Term], view: StepView) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum, and its parts by name; parts that are not due are absent."""
    parts = {}
    for term in terms:
        value = term.value(view) if term.counts(view) else None
        if value is not None:
            parts[term.name] = term.weight_in(view.config) * value
    return functools.reduce(operator.add, parts.values()), parts


def checked_terms(extra: Sequence[Term]) -> tuple[Term, ...]:
    """:data:`TERMS` with terms from outside the package.

    Raises:
        PearError: two terms share a name, or a weight or period names no setting.
    """
    terms = (*TERMS, *extra)
    names = [term.name for term in terms]
    for term in extra:
        if names.count(term.name) > 1:
            raise PearError(f"there is already a term {term.name!r}: give it another name")
        known = {f.name for f in fields(LossConfig)}
        if isinstance(term.weight, str) and term.weight not in known:
            raise PearError(
                f"term {term.name!r} has the weight {term.weight!r}: give a number or one of "
                f"{', '.join(sorted(known))}"
            )
        if not isinstance(term.every, str) and term.every < 1:
            raise PearError(f"term {term.name!r} must have every >= 1, got {term.every}")
    return terms


def color_loss(
    out: RenderOutput,
    background: Tensor,
    target: tuple[Tensor, Tensor, Tensor],
    config: FittingConfig,
) -> Tensor:
    """L1 + SSIM, weighted, of a drawing composited over ``background`` (3,).

    Pixels with valid = 0 are replaced by the prediction itself, so that neither they nor the SSIM
    windows around them pull.
    """
    prediction = out.color.permute(2, 0, 1)
    wanted = target_over(prediction, background, target)
    return l1_ssim_loss(prediction, wanted, weight_l1=config.loss.l1, weight_ssim=config.loss.ssim)


def image_loss(
    out: RenderOutput,
    background: Tensor,
    target: tuple[Tensor, Tensor, Tensor],
    config: FittingConfig,
) -> Tensor:
    """:func:`color_loss` and the weighted :func:`alpha_loss`: what a picture alone says."""
    _, mask, valid = target
    loss = color_loss(out, background, target, config)
    return loss + config.loss.alpha * alpha_loss(out, mask, valid)


def alpha_loss(out: RenderOutput, mask: Tensor, valid: Tensor) -> Tensor:
    """Mean absolute difference of coverage and mask over valid pixels."""
    return coverage_loss(out.alpha[..., 0], mask, valid)


def image_term(view: StepView) -> Tensor:
    """:func:`color_loss` of the crop."""
    assert view.background is not None
    return color_loss(view.out, view.background, view.target, view.config)


def alpha_term(view: StepView) -> Tensor:
    """Difference of coverage and mask."""
    _, mask, valid = view.target
    return alpha_loss(view.out, mask, valid)


def splat_offsets_term(view: StepView) -> Tensor:
    """Keep splat centres near the surface: mean squared offset."""
    return view.leaves.splats["offsets"].square().sum(-1).mean()


def vertex_offsets_term(view: StepView) -> Tensor:
    """Mean squared offset of the clothes, weighted by vertex: heavy on hands and face."""
    squared = view.leaves.vertex_offsets.square().sum(-1)
    return (squared * view.constants.cloth_weights).mean()


def betas_prior_term(view: StepView) -> Tensor:
    """Hold the betas near the tracked ones."""
    return (view.leaves.betas - view.constants.betas0).square().sum()


def pose_prior_term(view: StepView) -> Tensor:
    """Hold the pose's correction near zero."""
    pose = view.leaves.pose
    rotations = (pose.rotations.square().sum(-1) * _JOINT_WEIGHT.to(pose.rotations)).sum()
    return rotations + pose.transl.square().sum()


def pose_smooth_term(view: StepView) -> Tensor | None:
    """Hold the pose's correction near the mean of its neighbours' corrections."""
    pose, pair = view.leaves.pose, view.constants.neighbours.pairs.get(view.i)
    if pair is None:
        return None
    parts = []
    for name, now in (("rotations", pose.rotations.reshape(-1)), ("transl", pose.transl)):
        values = view.state.poses[name].values
        expected = 0.5 * (values[pair[0]] + values[pair[1]])
        parts.append((now - expected).square().sum())
    return parts[0] + parts[1]


def expression_prior_term(view: StepView) -> Tensor:
    """Hold the expression's correction near zero."""
    return view.leaves.pose.expression.square().sum()


def expression_smooth_term(view: StepView) -> Tensor | None:
    """Hold the expression's correction near the mean of its neighbours' corrections."""
    pair = view.constants.neighbours.pairs.get(view.i)
    if pair is None:
        return None
    values = view.state.poses["expression"].values
    expected = 0.5 * (values[pair[0]] + values[pair[1]])
    return (view.leaves.pose.expression - expected).square().sum()


def detail_term(view: StepView) -> Tensor | None:
    """The picture of an added look, and what holds that frame's pose."""
    look, w = view.look, view.config.loss
    if look is None:
        return None
    seen = look.view
    assert seen.background is not None
    loss = look.weight * image_loss(seen.out, seen.background, seen.target, view.config)
    for term, weight in (
        (pose_prior_term, w.pose_prior),
        (pose_smooth_term, w.pose_smooth),
        (expression_prior_term, w.expression_prior),
        (expression_smooth_term, w.expression_smooth),
    ):
        value = term(seen)
        if value is not None:
            loss = loss + weight * value
    return loss


def face_keypoints_term(view: StepView) -> Tensor:
    """Robust distance of the face's landmarks to the detected ones.

    Geman-McClure with a scale of 4 % of the face's size in the picture. It shapes the face and
    turns the head; the body's shape, its other joints and the focal length are no business of a
    nose, whose detection is off by more than their pictures are.
    """
    leaves = _head_only(view.leaves)
    px = world_landmarks_px(view.scene, view.i, leaves, name="mediapipe_face", dressed=True)
    wanted = view.scene.face_keypoints[view.i]
    size = (wanted[:, :2].amax(0) - wanted[:, :2].amin(0)).norm().clamp_min(1.0)
    squared = ((px - wanted[:, :2]) / (_FACE_SCALE * size)).square().sum(-1)
    weight = wanted[:, 2]
    return (squared / (1 + squared) * weight).sum() / weight.sum().clamp_min(1.0)


def _head_only(leaves: Leaves) -> Leaves:
    """The same numbers; gradients reach the head's joints, the expression and the offsets."""
    pose = leaves.pose
    head = torch.zeros(len(pose.rotations), 1, dtype=torch.bool, device=pose.rotations.device)
    head[list(HEAD_JOINTS)] = True
    rotations = torch.where(head, pose.rotations, pose.rotations.detach())
    pose = replace(pose, rotations=rotations, transl=pose.transl.detach())
    return replace(
        leaves, betas=leaves.betas.detach(), log_focal=leaves.log_focal.detach(), pose=pose
    )


def keypoints_term(view: StepView) -> Tensor:
    """Robust distance of the body's pose landmarks to the detected ones."""
    px = world_landmarks_px(view.scene, view.i, view.leaves)
    return keypoint_loss(view.scene, px, view.i)


def keypoint_loss(scene: Scene, landmarks_px: Tensor, i: int) -> Tensor:
    """Robust distance of projected pose landmarks (33, 2) to the detected ones.

    Geman-McClure with a scale of 3 % of the crop's height: a wrong detection stops pulling.
    """
    wanted = scene.keypoints[i]
    scale = 0.03 * scene.frames.camera.height
    squared = ((landmarks_px - wanted[:, :2]) / scale).square().sum(-1)
    robust = squared / (1 + squared)
    weight = wanted[:, 2]
    return (robust * weight).sum() / weight.sum().clamp_min(1.0)


def perceptual_term(view: StepView) -> Tensor | None:
    """LPIPS on a random square of the crop, or of the added look where there is one."""
    metric = view.constants.perceptual
    if metric is None:
        return None
    if view.look is not None:
        view = view.look.view
    assert view.background is not None
    prediction = view.out.color.permute(2, 0, 1)
    wanted = target_over(prediction, view.background, view.target)
    size = min(view.config.perceptual_crop, *prediction.shape[1:])
    generator = torch.Generator().manual_seed(view.config.seed * 104_729 + view.step)
    top, left = (
        int(torch.randint(0, extent - size + 1, (1,), generator=generator))
        for extent in prediction.shape[1:]
    )
    box = (slice(None), slice(top, top + size), slice(left, left + size))
    return metric(prediction[box].permute(1, 2, 0), wanted[box].permute(1, 2, 0))


_BOTH = frozenset({SILHOUETTES, JOINT})

#: The objective. L1 and SSIM are computed in one pass, with their weights inside it.
TERMS: tuple[Term, ...] = (
    Term("image", 1.0, image_term),
    Term("silhouette", 1.0, alpha_term, frozenset({SILHOUETTES})),
    Term("alpha", "alpha", alpha_term),
    Term("splat offsets", "splat_offsets", splat_offsets_term),
    Term("vertex offsets", "vertex_offsets", vertex_offsets_term, _BOTH),
    Term("betas prior", "betas_prior", betas_prior_term, _BOTH),
    Term("pose prior", "pose_prior", pose_prior_term, _BOTH),
    Term("pose smoothness", "pose_smooth", pose_smooth_term, _BOTH),
    Term("expression prior", "expression_prior", expression_prior_term, _BOTH),
    Term("expression smoothness", "expression_smooth", expression_smooth_term, _BOTH),
    Term("keypoints", "keypoints", keypoints_term, _BOTH, every=4),
    Term("face keypoints", "face_keypoints", face_keypoints_term, _BOTH, every=4),
    Term("detail", 1.0, detail_term),
    Term("perceptual", "perceptual", perceptual_term, every="perceptual_every", starts=1 / 3),
)
