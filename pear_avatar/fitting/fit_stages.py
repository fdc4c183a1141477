"""The two stages of the joint fit: silhouettes first, then everything together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from pear_avatar.evaluation.perceptual import Perceptual
from pear_avatar.fitting.detail_steps import DetailSteps
from pear_avatar.fitting.details import Detail, hide_occluders
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_scene import (
    Leaves,
    Scene,
    leaves_of,
    render_frame,
    stored_pose,
)
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.fitting.frame_poses import interpolated_pose
from pear_avatar.fitting.frames import Split
from pear_avatar.fitting.limits import SplatLimits, hands_only, head_and_hands
from pear_avatar.fitting.objective import (
    JOINT,
    SILHOUETTES,
    TERMS,
    Constants,
    PoseNeighbours,
    StepView,
    Term,
    objective,
)
from pear_avatar.fitting.occluders import difference_maps, find_occluders
from pear_avatar.fitting.recorder import StageRecorder
from pear_avatar.fitting.sides import Sides
from pear_avatar.fitting.step import (
    ClothUpdater,
    background_of_step,
    frame_of_step,
    rate_factor,
    update_dense,
    update_pose,
)
from pear_avatar.fitting.step_sizes import pose_rates
from pear_avatar.fitting.visibility import Observed, fill_unseen, observe_splats, seen_share
from pear_avatar.types import ProgressFn

logger = logging.getLogger(__name__)

_GEOMETRY = frozenset({"pose", "betas", "vertex_offsets"})
_EVERYTHING = frozenset(
    {
        "pose",
        "betas",
        "vertex_offsets",
        "log_focal",
        "offsets",
        "local_quats",
        "log_scales",
        "logit_opacities",
        "colors",
    }
)
_CALM_EVERY = 20
_FOLLOW_EVERY = 5
#: splats seen less than this take no steps at all
_STEPS_FROM = 0.1
#: the share of the joint steps after which what is seen edge-on alone is made up too
_LATE_LOOK = 0.6
_OBSERVED_FRAMES = 40
_BASE_STEPS = 1500
#: share of the betas' rate in the joint stage: the silhouettes have found the shape
_JOINT_BETAS = 0.3
#: vertex offsets of fingers and face are held this much harder than those of clothes
_HOLD_HANDS, _HOLD_HEAD = 60.0, 4.0


@dataclass(frozen=True)
class Fitter:
    """A fit in progress: what is fixed, and what to call while it runs.

    details:  head and hands at the video's own resolution; may be empty.
    save:     called with nothing when a checkpoint is due.
    progress: called with (stage, steps done, steps in all).
    record:   called with (curve, step, value) for every new point of a curve.
    terms:    of the objective.
    threads:  that torch may use where it pays.
    """

    scene: Scene
    state: FitState
    config: FittingConfig
    betas0: Tensor
    free_focal: bool
    perceptual: Perceptual | None
    details: Mapping[str, Detail]
    save: Callable[[], None]
    progress: ProgressFn
    record: Callable[[str, int, float], None] = lambda *_: None
    terms: tuple[Term, ...] = TERMS
    threads: int = 1

    def recorder(self, total: int) -> StageRecorder:
        """The record of the present stage, of ``total`` steps."""
        return StageRecorder(
            self.state.progress,
            total,
            save=self.save,
            save_every=self.config.checkpoint_seconds,
            report=self.progress,
            record=self.record,
        )


def cloth_weights(scene: Scene) -> Tensor:
    """(V,) how firmly each vertex's clothing offset is held near zero."""
    hands = hands_only(scene.body)
    head = head_and_hands(scene.body) - hands
    return 1 + _HOLD_HANDS * hands + _HOLD_HEAD * head


def stage_constants(fitter: Fitter) -> Constants:
    """What the terms compare with."""
    neighbours = PoseNeighbours.of(fitter.scene.frames.indices(Split.FITTED))
    weights = cloth_weights(fitter.scene)
    return Constants(neighbours, weights, fitter.betas0, fitter.perceptual)


def fit_silhouettes(fitter: Fitter) -> None:
    """Shape, clothes and poses from masks and keypoints alone.

    Colours would otherwise be painted onto a body that is thinner than its clothes, and the
    splats would hang in the air to reach the outline.
    """
    state, config = fitter.state, fitter.config
    indices = fitter.scene.frames.indices(Split.FITTED)
    constants, total = stage_constants(fitter), config.silhouette_steps
    cloth = ClothUpdater(state, config.limits.vertex_offset, every=2)
    recorder = fitter.recorder(total)
    while state.progress.step < total:
        k = state.progress.step
        i = frame_of_step(k, indices, config.seed)
        leaves, parts = silhouette_step(fitter, constants, i, k)
        factor = rate_factor(k + 1, total)
        sizes = fitter.scene.step_sizes
        betas_rate = config.rates.betas_px * factor * sizes.betas
        update_dense(state, leaves, {"betas": betas_rate}, k + 1, None)
        cloth.add(state, leaves, config.rates.vertex_offsets_px * factor * sizes.metres)
        update_pose(state, i, leaves.pose, pose_rates(sizes, config.rates, i, factor))
        recorder.tick(parts)


def silhouette_step(
    fitter: Fitter, constants: Constants, i: int, step: int
) -> tuple[Leaves, dict[str, Tensor]]:
    """Gradients of one step of the first stage on crop i: the leaves, and the objective's parts."""
    scene, state, config = fitter.scene, fitter.state, fitter.config
    leaves = leaves_of(state, stored_pose(state, i), refine=_GEOMETRY)
    target = scene.target(i)
    view = StepView(
        scene=scene,
        state=state,
        config=config,
        constants=constants,
        leaves=leaves,
        i=i,
        out=render_frame(scene, state, i, leaves),
        background=None,
        target=target,
        stage=SILHOUETTES,
        step=step,
        total=config.silhouette_steps,
    )
    loss, parts = objective(fitter.terms, view)
    loss.backward()
    return leaves, parts


def joint_rates(fitter: Fitter, factor: float) -> dict[str, Tensor | float]:
    """Learning rates of the dense parameters in the joint stage."""
    rates, sizes = fitter.config.rates, fitter.scene.step_sizes
    dense: dict[str, Tensor | float] = {
        "local_quats": rates.local_quats * factor,
        "log_scales": rates.log_scales * factor,
        "logit_opacities": rates.logit_opacities * factor,
        "colors": rates.colors * factor,
    }
    dense["offsets"] = rates.offsets_px * factor * sizes.metres
    dense["betas"] = _JOINT_BETAS * rates.betas_px * factor * sizes.betas
    if fitter.free_focal and fitter.config.refine_focal:
        dense["log_focal"] = rates.log_focal_px * factor * sizes.log_focal
    return dense


def observe(fitter: Fitter) -> Observed:
    """Look at what some of the fitted frames show of the splats."""
    indices = fitter.scene.frames.indices(Split.FITTED)
    stride = max(1, len(indices) // _OBSERVED_FRAMES)
    return observe_splats(fitter.scene, fitter.state, indices[::stride])


def color_from_frames(fitter: Fitter) -> None:
    """First colours: what the frames show, and the fill where they show nothing."""
    observed = observe(fitter)
    fitter.state.splats["colors"].copy_(observed.color)
    fitter.state.seen.copy_(seen_share(observed.weight))
    fill_unseen(fitter.scene.body, fitter.state, fitter.state.seen)


def mark_occluders(fitter: Fitter) -> Fitter:
    """Find occluders in every crop with the present avatar; returns a fitter that skips them."""
    frames, state = fitter.scene.frames, fitter.state
    fitted = frames.indices(Split.FITTED)
    poses = {i: interpolated_pose(state, fitted, i) for i in range(len(frames))}
    maps = difference_maps(fitter.scene, state, poses)
    found = find_occluders(frames, maps, fitter.config.max_excluded_share)
    inside = frames.valid > 127
    valid = ((inside & ~found.hidden) * 255).astype("uint8")
    logger.info("occluders: %.2f %% of the person's box", 100 * float(found.share.mean()))
    frames = frames.with_valid(valid)
    details = hide_occluders(dict(fitter.details), frames)
    return replace(fitter, scene=replace(fitter.scene, frames=frames), details=details)


def joint_step(
    fitter: Fitter,
    constants: Constants,
    i: int,
    step: int,
    total: int,
    *,
    details: DetailSteps | None = None,
) -> tuple[StepView, dict[str, Tensor]]:
    """Gradients of one joint step on crop i: what was looked at, and the objective's parts."""
    scene, state, config = fitter.scene, fitter.state, fitter.config
    refine = _EVERYTHING if config.refine_pose else _EVERYTHING - {"pose"}
    leaves = leaves_of(state, stored_pose(state, i), refine=refine)
    background = background_of_step(step, config.seed).to(scene.device)
    target = scene.target(i)
    view = StepView(
        scene=scene,
        state=state,
        config=config,
        constants=constants,
        leaves=leaves,
        i=i,
        out=render_frame(scene, state, i, leaves, background=background),
        background=background,
        target=target,
        stage=JOINT,
        step=step,
        total=total,
    )
    if details is not None and details.due(step):
        view = replace(view, look=details.look(view))
    loss, parts = objective(fitter.terms, view)
    loss.backward()
    return view, parts


def joint_total(fitter: Fitter) -> int:
    """Steps of the joint stage: the configured number, fewer for a clip of few frames."""
    fitted = len(fitter.scene.frames.indices(Split.FITTED))
    config = fitter.config
    return min(config.joint_steps, _BASE_STEPS + config.steps_per_frame * fitted)


def make_sides(fitter: Fitter) -> Sides:
    """The unseen sides of a fit, as its configuration wants them."""
    config = fitter.config.sides
    return Sides(fitter.scene.body, fitter.state, mirror=config.mirror, materials=config.materials)


def fit_jointly(fitter: Fitter) -> None:
    """Splats, clothes, shape, poses and camera against the pictures."""
    state, config = fitter.state, fitter.config
    indices = fitter.scene.frames.indices(Split.FITTED)
    constants = stage_constants(fitter)
    limits = SplatLimits(fitter.scene.body, state, config.limits)
    cloth = ClothUpdater(state, config.limits.vertex_offset, every=8)
    total = joint_total(fitter)
    looks = {int(total * u) for u in (0.1, 0.45)}
    late_look = int(total * _LATE_LOOK)
    sides = make_sides(fitter)
    recorder = fitter.recorder(total)
    if state.progress.step > min(looks):
        fitter = mark_occluders(fitter) if config.find_occluders else fitter
        sides.note(state, observe(fitter))
    details = DetailSteps(fitter.scene, fitter.details, config)
    while state.progress.step < total:
        k = state.progress.step
        if k in looks and config.find_occluders:
            fitter = mark_occluders(fitter)
            details = DetailSteps(fitter.scene, fitter.details, config)
        if k in looks or k == late_look:
            sides.look(state, observe(fitter), strict=k == late_look)
        i = frame_of_step(k, indices, config.seed + 1)
        view, parts = joint_step(fitter, constants, i, k, total, details=details)
        factor = rate_factor(k + 1, total)
        sizes = fitter.scene.step_sizes
        # Adam makes full steps of the faintest gradient: those hardly seen must not take any.
        seen = state.seen * (state.seen > _STEPS_FROM)
        update_dense(state, view.leaves, joint_rates(fitter, factor), k + 1, seen)
        cloth.add(state, view.leaves, config.rates.vertex_offsets_px * factor * sizes.metres)
        update_pose(state, i, view.leaves.pose, pose_rates(sizes, config.rates, i, factor))
        if view.look is not None:
            seen_view = view.look.view
            rates = pose_rates(sizes, config.rates, seen_view.i, factor)
            update_pose(state, seen_view.i, seen_view.leaves.pose, rates, view.look.only)
        if k % _FOLLOW_EVERY == 0:
            sides.follow(state)
        limits.apply(state)
        if k % _CALM_EVERY == 0:
            limits.limit_contrast(state)
        recorder.tick(parts)
    sides.finish(state, observe(fitter))
    limits.apply(state)
