"""The two stages of the joint fit: silhouettes first, then everything together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pear_avatar.evaluation.perceptual import Perceptual
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_scene import (
    Leaves,
    Scene,
    leaves_of,
    render_frame,
    stored_pose,
    world_landmarks_px,
)
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.fitting.frame_poses import interpolated_pose
from pear_avatar.fitting.limits import SplatLimits, hands_only, head_and_hands
from pear_avatar.fitting.objective import (
    PoseNeighbours,
    alpha_loss,
    cloth_loss,
    image_loss,
    keypoint_loss,
    on_background,
    pose_loss,
    shape_loss,
    splat_loss,
)
from pear_avatar.fitting.occluders import difference_maps, find_occluders
from pear_avatar.fitting.step import (
    ClothUpdater,
    background_of_step,
    frame_of_step,
    rate_factor,
    update_dense,
    update_pose,
)
from pear_avatar.fitting.step_sizes import pose_rates
from pear_avatar.fitting.visibility import fill_unseen, observe_splats, seen_share

logger = logging.getLogger(__name__)

_GEOMETRY = frozenset({"pose", "betas", "vertex_offsets"})
_EVERYTHING = frozenset(
    {"pose", "betas", "vertex_offsets", "log_focal",
     "offsets", "local_quats", "log_scales", "logit_opacities", "colors"}
)  # fmt: skip
_KEYPOINTS_EVERY = 4
_CURVE_EVERY = 50
_CALM_EVERY = 20
_OBSERVED_FRAMES = 40
_BASE_STEPS = 1500
#: share of the betas' rate in the joint stage: the silhouettes have found the shape
_JOINT_BETAS = 0.3
#: vertex offsets of fingers and face are held this much harder than those of clothes
_HOLD_HANDS, _HOLD_HEAD = 60.0, 4.0


@dataclass(frozen=True)
class Fitter:
    """A fit in progress: what is fixed, and what to call while it runs.

    save:     called with nothing when a checkpoint is due.
    progress: called with (stage, steps done, steps in all).
    """

    scene: Scene
    state: FitState
    config: FittingConfig
    betas0: Tensor
    free_focal: bool
    perceptual: Perceptual | None
    save: Callable[[], None]
    progress: Callable[[str, int, int], None]


class _Pulse:
    """Checkpoints by the clock, curves by the step, progress for the user."""

    def __init__(self, fitter: Fitter, total: int) -> None:
        self._fitter, self._total = fitter, total
        self._saved = self._started = time.monotonic()
        self._spent = fitter.state.progress.seconds.get(self.stage, 0.0)
        self._sum, self._count = 0.0, 0

    @property
    def stage(self) -> str:
        return self._fitter.state.progress.stage

    @property
    def seconds(self) -> float:
        """Time spent in this stage, earlier runs included."""
        return self._spent + time.monotonic() - self._started

    def tick(self, loss: float) -> None:
        """Count one finished step."""
        progress = self._fitter.state.progress
        progress.step += 1
        progress.seconds[self.stage] = self.seconds
        self._sum += loss
        self._count += 1
        if progress.step % _CURVE_EVERY == 0:
            curve = progress.curves.setdefault(f"{self.stage} loss", [])
            curve.append((progress.step, self._sum / self._count))
            self._sum, self._count = 0.0, 0
            self._fitter.progress(self.stage, progress.step, self._total)
        if time.monotonic() - self._saved > self._fitter.config.checkpoint_seconds:
            self._fitter.save()
            self._saved = time.monotonic()


def cloth_weights(scene: Scene) -> Tensor:
    """(V,) how firmly each vertex's clothing offset is held near zero."""
    hands = hands_only(scene.body)
    head = head_and_hands(scene.body) - hands
    return 1 + _HOLD_HANDS * hands + _HOLD_HEAD * head


def fit_silhouettes(fitter: Fitter) -> None:
    """Shape, clothes and poses from masks and keypoints alone.

    Colours would otherwise be painted onto a body that is thinner than its clothes, and the
    splats would hang in the air to reach the outline.
    """
    scene, state, config = fitter.scene, fitter.state, fitter.config
    indices = scene.frames.indices(0)
    neighbours = PoseNeighbours.of(indices)
    weights = cloth_weights(scene)
    cloth = ClothUpdater(state, config.limits.vertex_offset, every=2)
    pulse = _Pulse(fitter, config.silhouette_steps)
    while state.progress.step < config.silhouette_steps:
        k = state.progress.step
        i = frame_of_step(k, indices, config.seed)
        leaves = leaves_of(state, stored_pose(state, i), refine=_GEOMETRY)
        _, mask, valid = scene.target(i)
        out = render_frame(scene, state, i, leaves)
        loss = alpha_loss(out, mask, valid)
        loss = loss + cloth_loss(leaves, weights, config)
        loss = loss + shape_loss(leaves, fitter.betas0, config)
        loss = loss + pose_loss(state, neighbours, i, leaves.pose, config)
        if k % _KEYPOINTS_EVERY == 0:
            loss = loss + _KEYPOINTS_EVERY * _keypoints(fitter, i, leaves)
        loss.backward()
        factor = rate_factor(k + 1, config.silhouette_steps)
        sizes = scene.step_sizes
        betas_rate = config.rates.betas_px * factor * sizes.betas
        update_dense(state, leaves, {"betas": betas_rate}, k + 1, None)
        cloth.add(state, leaves, config.rates.vertex_offsets_px * factor * sizes.metres)
        update_pose(state, i, leaves, pose_rates(sizes, config.rates, i, factor))
        pulse.tick(float(loss.detach()))


def _keypoints(fitter: Fitter, i: int, leaves: Leaves) -> Tensor:
    px = world_landmarks_px(fitter.scene, i, leaves)
    return keypoint_loss(fitter.scene, px, i, fitter.config)


def joint_rates(fitter: Fitter, factor: float) -> dict[str, Tensor | float]:
    """Learning rates of the dense parameters in the joint stage."""
    rates, sizes = fitter.config.rates, fitter.scene.step_sizes
    names = ("local_quats", "log_scales", "logit_opacities", "colors")
    dense: dict[str, Tensor | float] = {name: getattr(rates, name) * factor for name in names}
    dense["offsets"] = rates.offsets_px * factor * sizes.metres
    dense["betas"] = _JOINT_BETAS * rates.betas_px * factor * sizes.betas
    if fitter.free_focal and fitter.config.refine_focal:
        dense["log_focal"] = rates.log_focal_px * factor * sizes.log_focal
    return dense


def observe(fitter: Fitter) -> Tensor:
    """Look at which splats the fitted frames show; stores and returns the share seen."""
    indices = fitter.scene.frames.indices(0)
    stride = max(1, len(indices) // _OBSERVED_FRAMES)
    weight, _ = observe_splats(fitter.scene, fitter.state, indices[::stride])
    fitter.state.seen.copy_(seen_share(weight))
    return fitter.state.seen


def color_from_frames(fitter: Fitter) -> None:
    """First colours: what the frames show, and the fill where they show nothing."""
    indices = fitter.scene.frames.indices(0)
    stride = max(1, len(indices) // _OBSERVED_FRAMES)
    weight, color = observe_splats(fitter.scene, fitter.state, indices[::stride])
    fitter.state.splats["colors"].copy_(color)
    fitter.state.seen.copy_(seen_share(weight))
    fill_unseen(fitter.scene.body, fitter.state, fitter.state.seen)


def mark_occluders(fitter: Fitter) -> Fitter:
    """Find occluders in every crop with the present avatar; returns a fitter that skips them."""
    frames, state = fitter.scene.frames, fitter.state
    fitted = frames.indices(0)
    poses = {i: interpolated_pose(state, fitted, i) for i in range(len(frames))}
    maps = difference_maps(fitter.scene, state, poses)
    found = find_occluders(frames, maps, fitter.config.max_excluded_share)
    inside = frames.valid > 127
    valid = ((inside & ~found.hidden) * 255).astype("uint8")
    logger.info("occluders: %.2f %% of the person's box", 100 * float(found.share.mean()))
    return replace(fitter, scene=replace(fitter.scene, frames=frames.with_valid(valid)))


def _perceptual_loss(fitter: Fitter, prediction: Tensor, wanted: Tensor, step: int) -> Tensor:
    """LPIPS on a random square of the crop; prediction, wanted (3, h, w)."""
    assert fitter.perceptual is not None
    size = min(fitter.config.perceptual_crop, *prediction.shape[1:])
    generator = torch.Generator().manual_seed(fitter.config.seed * 104_729 + step)
    top, left = (
        int(torch.randint(0, extent - size + 1, (1,), generator=generator))
        for extent in prediction.shape[1:]
    )
    box = (slice(None), slice(top, top + size), slice(left, left + size))
    return fitter.perceptual(prediction[box].permute(1, 2, 0), wanted[box].permute(1, 2, 0))


def joint_step(fitter: Fitter, i: int, step: int, neighbours: PoseNeighbours,
               weights: Tensor) -> tuple[Leaves, Tensor]:  # fmt: skip
    """Loss and gradients of one step on crop i; returns the leaves and the loss."""
    scene, state, config = fitter.scene, fitter.state, fitter.config
    refine = _EVERYTHING if config.refine_pose else _EVERYTHING - {"pose"}
    leaves = leaves_of(state, stored_pose(state, i), refine=refine)
    background = background_of_step(step, config.seed).to(scene.device)
    target = scene.target(i)
    out = render_frame(scene, state, i, leaves, background=background)
    loss = image_loss(out, background, target, config)
    loss = loss + splat_loss(leaves, config)
    loss = loss + cloth_loss(leaves, weights, config)
    loss = loss + shape_loss(leaves, fitter.betas0, config)
    loss = loss + pose_loss(state, neighbours, i, leaves.pose, config)
    if step % _KEYPOINTS_EVERY == 0:
        loss = loss + _KEYPOINTS_EVERY * _keypoints(fitter, i, leaves)
    if (
        fitter.perceptual is not None
        and config.loss.perceptual > 0
        and (step > joint_total(fitter) // 3 and step % config.perceptual_every == 0)
    ):
        prediction = out.color.permute(2, 0, 1)
        wanted = on_background(prediction, background, target)
        term = _perceptual_loss(fitter, prediction, wanted, step)
        loss = loss + config.perceptual_every * config.loss.perceptual * term
    loss.backward()
    return leaves, loss.detach()


def joint_total(fitter: Fitter) -> int:
    """Steps of the joint stage: the configured number, fewer for a clip of few frames."""
    fitted = len(fitter.scene.frames.indices(0))
    config = fitter.config
    return min(config.joint_steps, _BASE_STEPS + config.steps_per_frame * fitted)


def fit_jointly(fitter: Fitter) -> None:
    """Splats, clothes, shape, poses and camera against the pictures."""
    state, config = fitter.state, fitter.config
    indices = fitter.scene.frames.indices(0)
    neighbours = PoseNeighbours.of(indices)
    weights = cloth_weights(fitter.scene)
    limits = SplatLimits(fitter.scene.body, state, config.limits)
    cloth = ClothUpdater(state, config.limits.vertex_offset, every=8)
    total = joint_total(fitter)
    looks = {int(total * u) for u in (0.1, 0.45)}
    pulse = _Pulse(fitter, total)
    if config.find_occluders and state.progress.step > min(looks):
        fitter = mark_occluders(fitter)
    while state.progress.step < total:
        k = state.progress.step
        if k in looks:
            if config.find_occluders:
                fitter = mark_occluders(fitter)
            observe(fitter)
            fill_unseen(fitter.scene.body, state, state.seen)
        i = frame_of_step(k, indices, config.seed + 1)
        leaves, loss = joint_step(fitter, i, k, neighbours, weights)
        factor = rate_factor(k + 1, total)
        sizes = fitter.scene.step_sizes
        update_dense(state, leaves, joint_rates(fitter, factor), k + 1, state.seen)
        cloth.add(state, leaves, config.rates.vertex_offsets_px * factor * sizes.metres)
        update_pose(state, i, leaves, pose_rates(sizes, config.rates, i, factor))
        limits.apply(state)
        if k % _CALM_EVERY == 0:
            limits.calm_colors(state)
        pulse.tick(float(loss))
    observe(fitter)
    fill_unseen(fitter.scene.body, state, state.seen)
