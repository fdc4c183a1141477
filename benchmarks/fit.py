"""One step of the joint fit: pose, skin, bind, draw, compare, go back, update.

The scene is the open body in a 512 px crop with 40k splats, the sizes of the default preset. The
peer does the same work with what a CPU user has otherwise: batched torch skinning and binding,
gsplat's own torch reference (with the stand-ins of ``benchmarks.raster``), and the torch SSIM.
Both compute gradients for splats, clothes, pose and camera.

A second figure is the number of steps a minute, a third what the whole step costs beside its
drawing alone. Then where the time of a step goes, and how it grows with splats and pixels.

``--against TREE`` times steps and evaluation of another source tree beside this one's, in turns
in one run, on one thread and on two.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks._fit_against import beside, growth
from benchmarks._splat_peers import gsplat_reference, torch_l1_ssim
from benchmarks.framework import Options, Result
from benchmarks.timing import interleaved_medians
from pear_avatar import _native
from pear_avatar.body import load_body
from pear_avatar.body.joints import NUM_JOINTS
from pear_avatar.body.skinning import fk_transforms
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.fitting.fit_scene import (
    Scene,
    frame_params,
    leaves_of,
    make_scene,
    refined_camera,
    render_frame,
    rest_body,
    stored_pose,
)
from pear_avatar.fitting.fit_stages import (
    Fitter,
    joint_rates,
    joint_step,
    joint_total,
    stage_constants,
)
from pear_avatar.fitting.fit_state import FitState, new_state, state_to
from pear_avatar.fitting.frames import FrameSet
from pear_avatar.fitting.limits import SplatLimits
from pear_avatar.fitting.objective import StepView, image_loss
from pear_avatar.fitting.run import single_torch_thread
from pear_avatar.fitting.step import ClothUpdater, update_dense, update_pose
from pear_avatar.fitting.step_sizes import pose_rates
from pear_avatar.geometry.cameras import default_world_camera, intrinsics
from pear_avatar.splatting import rasterise
from pear_avatar.splatting.skin_and_bind import skin_and_bind_reference
from pear_avatar.types import BodyParams, Camera

_WIDTH, _HEIGHT, _FRAMES = 256, 512, 4
_REFINED = frozenset(
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


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare this workload's own options."""
    parser.add_argument(
        "--against", type=Path, metavar="TREE", help="another source tree, timed in the same run"
    )


def run(options: Options) -> list[Result]:
    """Time the steps; ``options.quick`` halves the rounds and leaves growth out."""
    against: Path | None = options.own.against
    if against is not None:
        return beside(against.resolve(), rounds=5 if options.quick else 11)
    return _own(options) + ([] if options.quick else growth(rounds=7))


def _own(options: Options) -> list[Result]:
    """This tree's step beside its peer, and where its time goes."""
    if options.threads is not None:
        _native.set_num_threads(options.threads)
        torch.set_num_threads(options.threads)
    config = FittingConfig()
    fitter = make_fitter(config, torch.device("cpu"))
    calls: dict[str, Callable[[], object]] = {
        "step": _single(make_step(fitter)),
        "drawing": _single(lambda: _draw_and_back(fitter)),
        "loss": _single(_loss_alone(fitter)),
        "updates": _single(_updates_alone(fitter)),
        "peer": lambda: _peer_step(fitter.scene, fitter.state),
    }
    budget = 20.0 if options.quick else 60.0
    medians = interleaved_medians(calls, repeats=41, warmup=2, budget_seconds=budget)
    ours, peer = medians["step"], medians["peer"]
    label = f"{config.num_splats // 1000}k/{_HEIGHT}"
    return [
        Result.versus(
            f"joint fit step {label}",
            ours,
            "ms",
            "lower",
            "torch + gsplat reference",
            peer_value=peer,
        ),
        Result(f"joint fit steps in a minute {label}", 60e3 / ours, "steps", "higher"),
        Result(f"step over drawing alone {label}", ours / medians["drawing"], "x", "lower"),
        *(
            Result(f"of which {name} {label}", medians[name], "ms", "lower")
            for name in ("drawing", "loss", "updates")
        ),
    ]


def _single(call: Callable[[], object]) -> Callable[[], object]:
    """The call as the fit runs it: one torch thread beside the native core's threads."""

    def run_single() -> None:
        with single_torch_thread():
            call()

    return run_single


def make_fitter(config: FittingConfig, device: torch.device) -> Fitter:
    """A fit in its joint stage on noise pictures, ready to step."""
    body = load_body()
    params = BodyParams(
        torch.zeros(body.num_betas),
        torch.zeros(_FRAMES, body.num_expression),
        torch.eye(3).expand(_FRAMES, NUM_JOINTS, 3, 3).contiguous(),
        torch.tensor([0.0, 0.2, -4.2]).repeat(_FRAMES, 1),
    )
    K = intrinsics(2.0 * _HEIGHT, _WIDTH, _HEIGHT).expand(_FRAMES, 3, 3).contiguous()
    T = default_world_camera().expand(_FRAMES, 4, 4).contiguous()
    rng = np.random.default_rng(0)
    shape = (_FRAMES, _HEIGHT, _WIDTH)
    images = rng.integers(0, 255, (*shape, 3), dtype=np.uint8)
    masks = np.zeros(shape, np.uint8)
    top, bottom = round(0.08 * _HEIGHT), round(0.94 * _HEIGHT)
    masks[:, top:bottom, round(0.23 * _WIDTH) : round(0.78 * _WIDTH)] = 255
    frames = FrameSet(
        images=images,
        targets=images,
        masks=masks,
        valid=np.full(shape, 255, np.uint8),
        camera=Camera(K, T, _WIDTH, _HEIGHT),
        row=np.arange(_FRAMES),
        split=np.zeros(_FRAMES, np.int8),
    )
    keypoints = torch.rand(_FRAMES, 33, 3) * torch.tensor([_WIDTH, _HEIGHT, 1.0])
    placed = replace(frames, camera=frames.camera.to(device))
    face = torch.zeros(_FRAMES, 478, 3, device=device)
    scene = make_scene(
        body.to(device), placed, params.to(device), (keypoints.to(device), face), config.num_betas
    )
    state = state_to(new_state(body, params.betas, _FRAMES, config), device)
    return Fitter(
        scene=scene,
        state=state,
        config=config,
        betas0=state.betas.clone(),
        free_focal=True,
        perceptual=None,
        details={},
        save=lambda: None,
        progress=lambda *_: None,
    )


def make_step(fitter: Fitter) -> Callable[[], object]:
    """One whole step of the joint stage, updates and bounds included."""
    constants, total = stage_constants(fitter), joint_total(fitter)
    return make_updates(
        fitter, lambda count: joint_step(fitter, constants, count % _FRAMES, count, total)[0]
    )


def make_updates(fitter: Fitter, look: Callable[[int], StepView]) -> Callable[[], object]:
    """A step that takes its gradients from ``look``, called with the number of steps before."""
    state, config = fitter.state, fitter.config
    limits = SplatLimits(fitter.scene.body, state, config.limits)
    cloth = ClothUpdater(state, config.limits.vertex_offset, every=4)
    count = 0

    def step() -> None:
        nonlocal count
        view = look(count)
        leaves, i = view.leaves, view.i
        count += 1
        update_dense(state, leaves, joint_rates(fitter, 1e-6), count, state.seen)
        cloth.add(state, leaves, 1e-9)
        update_pose(
            state, i, leaves.pose, pose_rates(fitter.scene.step_sizes, config.rates, i, 1e-6)
        )
        limits.apply(state)

    return step


def _loss_alone(fitter: Fitter) -> Callable[[], object]:
    """Picture and coverage of one drawing, and their gradient."""
    target, background = fitter.scene.target(0), torch.full((3,), 0.5)
    with torch.no_grad():
        leaves = leaves_of(fitter.state, stored_pose(fitter.state, 0), refine=frozenset())
        out = render_frame(fitter.scene, fitter.state, 0, leaves, background=background)
    color, alpha = out.color.requires_grad_(), out.alpha.requires_grad_()
    drawn = replace(out, color=color, alpha=alpha)
    return lambda: image_loss(drawn, background, target, fitter.config).backward()


def _updates_alone(fitter: Fitter) -> Callable[[], object]:
    """What follows the gradients: every parameter's step, and the splats' bounds."""
    view, _ = joint_step(fitter, stage_constants(fitter), 0, 0, joint_total(fitter))
    return make_updates(fitter, lambda _: view)


def _splats(state: FitState, leaves_splats: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    return (
        leaves_splats["log_scales"].exp(),
        leaves_splats["logit_opacities"].sigmoid(),
        leaves_splats["colors"],
    )


def _draw_and_back(fitter: Fitter) -> None:
    """Drawing and its gradient alone."""
    state, scene = fitter.state, fitter.scene
    with torch.no_grad():
        leaves = leaves_of(state, stored_pose(state, 0), refine=frozenset())
        means = state.binding.rest_points(scene.body.v_template) + scene.params.transl[0]
    means.requires_grad_()
    scales, opacities, colors = _splats(state, leaves.splats)
    quats = leaves.splats["local_quats"]
    out = rasterise(means, quats, scales, opacities, colors, camera=scene.frames.camera[0])
    out.color.sum().backward()


def _peer_step(scene: Scene, state: FitState) -> None:
    """The same forward and backward with torch alone; updates left out in the peer's favour."""
    leaves = leaves_of(state, stored_pose(state, 0), refine=_REFINED)
    params = frame_params(scene, 0, leaves.pose)
    rest, joints = rest_body(scene, leaves, params.expression)
    transforms = fk_transforms(params.rotations, joints, scene.body.tree)
    moved = torch.cat([transforms[..., :3], transforms[..., 3:] + params.transl[:, None]], dim=-1)
    _, means, quats = skin_and_bind_reference(
        state.skinned, rest, moved, leaves.splats["offsets"], leaves.splats["local_quats"]
    )
    scales, opacities, colors = _splats(state, leaves.splats)
    camera = refined_camera(scene, 0, leaves.log_focal)
    color, alpha = gsplat_reference([means, quats, scales, opacities, colors], camera)
    target, mask, _ = scene.frames.target(0)
    planar = color.reshape(_HEIGHT, _WIDTH, -1)[..., :3].permute(2, 0, 1)
    loss = torch_l1_ssim(planar, target * mask)
    (loss + (alpha.reshape(_HEIGHT, _WIDTH) - mask).abs().mean()).backward()
