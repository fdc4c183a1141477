"""From the fit's state to a picture of one frame, differentiably."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pear_avatar.body.chain import corrected_chain
from pear_avatar.body.model import BodyModel
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.fitting.frames import FrameSet
from pear_avatar.fitting.step_sizes import StepSizes, measure_step_sizes
from pear_avatar.geometry.cameras import project
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.splatting import Gaussians
from pear_avatar.splatting.skin_and_bind import skin_and_bind
from pear_avatar.types import BodyParams, Camera, RenderOutput


@dataclass(frozen=True)
class Pose:
    """A correction of one frame's tracked pose.

    rotations (55, 3) axis-angle after the tracked ones; transl (3,) m; expression (E,), added.
    """

    rotations: Tensor
    transl: Tensor
    expression: Tensor

    def leaf(self) -> Pose:
        """The same numbers as leaves of a new graph."""
        return Pose(*(x.detach().clone().requires_grad_() for x in vars(self).values()))


@dataclass(frozen=True)
class Leaves:
    """Leaf tensors of one step; those that are not refined do not require a gradient."""

    splats: dict[str, Tensor]
    vertex_offsets: Tensor
    betas: Tensor
    log_focal: Tensor
    pose: Pose


@dataclass(frozen=True)
class Scene:
    """What stays fixed during a fit.

    params:    tracked parameters of the crops' frames, one leading axis N.
    keypoints: (N, 33, 3) detected pose landmarks in crop pixels with their confidence.
    face_keypoints: (N, 478, 3) detected face landmarks likewise.
    step_sizes: what a pixel of the crops is in the units of each parameter.
    shape_basis: (3 V, S) of the refined betas.
    expression_basis: (3 M, E) of the M vertices ``expression_vertices`` that expressions move.
    joint_bases: (3 J, S) and (3 J, E), the same for the joints.
    """

    body: BodyModel
    frames: FrameSet
    params: BodyParams
    keypoints: Tensor
    face_keypoints: Tensor
    step_sizes: StepSizes
    shape_basis: Tensor
    expression_basis: Tensor
    expression_vertices: Tensor
    joint_bases: tuple[Tensor, Tensor]

    @property
    def device(self) -> torch.device:
        """Where everything but the pictures lives."""
        return self.body.v_template.device

    def target(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        """Training tensors of crop i on the device; see :meth:`FrameSet.target`."""
        color, mask, valid = self.frames.target(i)
        return color.to(self.device), mask.to(self.device), valid.to(self.device)


def make_scene(
    body: BodyModel,
    frames: FrameSet,
    params: BodyParams,
    keypoints: tuple[Tensor, Tensor],
    num_betas: int,
) -> Scene:
    """Precompute contiguous bases: all of the shape's, the moving vertices of the expression's.

    ``keypoints``: those of the pose and of the face, as in :class:`Scene`.
    """
    directions = body.expression_dirs[..., : params.expression.shape[-1]]
    moving = (directions.abs().amax(dim=(1, 2)) > 1e-6).nonzero()[:, 0]
    return Scene(
        body=body,
        frames=frames,
        params=params,
        keypoints=keypoints[0],
        face_keypoints=keypoints[1],
        step_sizes=measure_step_sizes(body, params, frames.camera, num_betas),
        shape_basis=body.shape_dirs[..., :num_betas].reshape(-1, num_betas).contiguous(),
        expression_basis=directions[moving].flatten(0, 1).contiguous(),
        expression_vertices=moving,
        joint_bases=(
            body.joint_shape_dirs[..., :num_betas].flatten(0, 1).contiguous(),
            body.joint_expression_dirs[..., : directions.shape[-1]].flatten(0, 1).contiguous(),
        ),
    )


def leaves_of(state: FitState, pose: Pose, *, refine: frozenset[str]) -> Leaves:
    """Detached views of the state; names in ``refine`` require gradients."""

    def leaf(name: str, x: Tensor) -> Tensor:
        return x.detach().requires_grad_(name in refine)

    return Leaves(
        splats={k: leaf(k, v) for k, v in state.splats.items()},
        vertex_offsets=leaf("vertex_offsets", state.cloth.values),
        betas=leaf("betas", state.betas),
        log_focal=leaf("log_focal", state.log_focal),
        pose=pose.leaf() if "pose" in refine else pose,
    )


def stored_pose(state: FitState, i: int) -> Pose:
    """The correction learnt for crop i."""
    poses = {name: table.values[i] for name, table in state.poses.items()}
    return Pose(poses["rotations"].view(-1, 3), poses["transl"], poses["expression"])


def frame_params(scene: Scene, i: int, pose: Pose) -> BodyParams:
    """Tracked parameters of crop i with a correction applied (no batch axis)."""
    p = scene.params[i]
    rotations = p.rotations @ axis_angle_to_matrix(pose.rotations)
    return BodyParams(p.betas, p.expression + pose.expression, rotations, p.transl + pose.transl)


def rest_body(scene: Scene, leaves: Leaves, expression: Tensor) -> tuple[Tensor, Tensor]:
    """(V, 3) the dressed body at rest with shape and expression, and its joints (J, 3)."""
    body = scene.body
    v_rest, joints = _RestBody.apply(
        (scene.shape_basis, scene.expression_basis, scene.expression_vertices),
        (body.v_template, body.joint_template, scene.joint_bases),
        leaves.vertex_offsets,
        leaves.betas,
        expression,
    )
    return v_rest, joints


class _RestBody(torch.autograd.Function):
    """A linear map: one pass over the bases each way, and no graph for a dozen small steps."""

    @staticmethod
    def forward(ctx: Any, vertex_bases: Any, fixed: Any, *inputs: Tensor) -> Any:
        template, joint_template, joint_bases = fixed
        offsets, betas, expression = inputs
        by_shape, by_face, moving = vertex_bases
        vertices = template + offsets
        vertices.view(-1).addmv_(by_shape, betas)
        vertices.index_add_(0, moving, (by_face @ expression).view(-1, 3))
        joints = joint_template + (joint_bases[0] @ betas).view(-1, 3)
        joints += (joint_bases[1] @ expression).view(-1, 3)
        ctx.bases = (vertex_bases, joint_bases)
        return vertices, joints

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_vertices: Tensor, grad_joints: Tensor) -> Any:
        (by_shape, by_face, moving), joint_bases = ctx.bases
        *_, need_betas, need_expression = ctx.needs_input_grad
        betas = expression = None
        flat = grad_joints.reshape(-1)
        if need_betas:
            betas = by_shape.t() @ grad_vertices.reshape(-1) + joint_bases[0].t() @ flat
        if need_expression:
            expression = by_face.t() @ grad_vertices[moving].view(-1) + joint_bases[1].t() @ flat
        return None, None, grad_vertices, betas, expression


def pose_correctives(body: BodyModel, rotations: Tensor) -> Tensor:
    """(V, 3) metres that a pose (55, 3, 3) adds to the rest body; zero for a body without any."""
    if body.pose_dirs is None:
        return rotations.new_zeros(())
    bent = rotations[1:] - torch.eye(3).to(rotations)
    return (body.pose_dirs.flatten(0, 1) @ bent.flatten()).view(-1, 3)


def refined_camera(scene: Scene, i: int, log_focal: Tensor) -> Camera:
    """Crop camera i with the focal length's change; see :func:`refocused`."""
    return refocused(scene.frames.camera[i], log_focal)


def refocused(camera: Camera, log_focal: Tensor) -> Camera:
    """A camera with the focal length's change put where gradients flow.

    Scaling camera x and y by s has the effect of scaling the focal length by s on means and
    covariances alike, and rasterisers differentiate the camera transform but not K.
    """
    scale = torch.stack([log_focal, log_focal, torch.zeros_like(log_focal)]).exp()
    T = torch.cat([camera.T_camera_world[:3] * scale[:, None], camera.T_camera_world[3:]], dim=0)
    return replace(camera, T_camera_world=T)


def world_splats(
    scene: Scene, state: FitState, i: int, leaves: Leaves
) -> tuple[Tensor, Tensor, Tensor]:
    """Posed vertices (V, 3), splat centres (N, 3) and rotations (N, 4) wxyz of crop i."""
    tracked, pose = scene.params[i], leaves.pose
    v_rest, joints = rest_body(scene, leaves, tracked.expression + pose.expression)
    transl = tracked.transl + pose.transl
    turns, transforms = corrected_chain(
        tracked.rotations, pose.rotations, joints, transl, scene.body.tree
    )
    if scene.body.pose_dirs is not None:
        v_rest = v_rest + pose_correctives(scene.body, turns)
    return skin_and_bind(
        state.skinned,
        v_rest,
        transforms,
        leaves.splats["offsets"],
        leaves.splats["local_quats"],
    )


def render_frame(
    scene: Scene,
    state: FitState,
    i: int,
    leaves: Leaves,
    *,
    background: Tensor | None = None,
    camera: Camera | None = None,
) -> RenderOutput:
    """Draw crop i, or the person of its frame as another ``camera`` sees them."""
    _, means, quats = world_splats(scene, state, i, leaves)
    s = leaves.splats
    splats = Gaussians(means, quats, s["log_scales"], s["logit_opacities"], s["colors"])
    view = scene.frames.camera[i] if camera is None else camera
    return splats.render(refocused(view, leaves.log_focal), background)


def world_landmarks_px(
    scene: Scene, i: int, leaves: Leaves, *, name: str = "mediapipe_pose", dressed: bool = False
) -> Tensor:
    """(L, 2) one set of the body's landmarks in the pixels of crop i.

    ``dressed`` adds the vertex offsets: clothes do not move joints, but the offsets of a face are
    its shape.
    """
    params = frame_params(scene, i, leaves.pose)
    betas = torch.cat([leaves.betas, scene.params.betas[len(leaves.betas) :]])
    offsets = leaves.vertex_offsets if dressed else None
    shaped = scene.body.shape(betas, params.expression, offsets)
    posed = shaped.pose(params.rotations, params.transl)
    px, _ = project(refined_camera(scene, i, leaves.log_focal), posed.landmarks(name))
    return px
