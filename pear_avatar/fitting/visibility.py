"""What the video shows of each splat, first colours, and filling what it never shows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pear_avatar.body.joints import FINGERS, NUM_JOINTS
from pear_avatar.body.model import BodyModel
from pear_avatar.fitting.fit_scene import (
    Scene,
    leaves_of,
    refined_camera,
    stored_pose,
    world_splats,
)
from pear_avatar.fitting.fit_state import FitState
from pear_avatar.fitting.materials import Materials
from pear_avatar.geometry.cameras import project, to_camera
from pear_avatar.geometry.meshes import face_normals
from pear_avatar.splatting import Gaussians

#: cosine between normal and line of sight below which a splat counts as seen edge-on
_MIN_FACING = 0.3
#: a splat further behind the drawn surface than this is hidden (m)
_HIDDEN_DEPTH = 0.03
#: the same for evidence of what a splat looks like: a cheek behind a nose is not shown (m)
_HIDDEN_NARROW = 0.012
#: facing (cosine) of a splat's best views that is no evidence of its looks, and that is full
_GLANCING, _FRONTAL = 0.45, 0.70
#: the share of the frames that make up the best views
_BEST_SHARE = 10
#: mean over the frames of facing^4 that makes a splat well seen: one frame in fifty from the
#: front will do, glancing views in all of them will not (their colour is the background's)
_WELL_SEEN = 0.02
#: hair shows edge-on above a forehead; that much is enough for it to colour the rest of the hair
_HAIR_SEEN = 0.1
#: splats averaged when a colour is made up, of at most this many that are asked
_FILL_SOURCES, _MAX_SOURCES = 32, 5000
#: a made-up splat is this much of the gap to its n-th neighbour wide, and at most e^0.6 times wider
#: than it began
_CLOSING_NEIGHBOUR, _CLOSING_WIDTH, _CLOSING_MOST = 5, 0.62, 0.6
#: how far colours taken splat by splat are blurred into their neighbours
_TEXTURE_BLUR = 0.15


def _interior(mask: np.ndarray, valid: np.ndarray, radius: int) -> Tensor:
    """(h, w) bool: surely the person, away from the rim."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    inside = cv2.erode((mask > 242).astype(np.uint8), kernel) > 0
    clear = cv2.erode((valid > 127).astype(np.uint8), kernel) > 0
    return torch.from_numpy(inside & clear)


@dataclass(frozen=True)
class Observed:
    """What some crops show of N splats.

    weight:   (N,) mean of facing^4 over the crops, counting those that show the splat unhidden,
              from the front and away from the mask's rim.
    color:    (N, 3) mean of the pixels under that weight, 0.5 where it is 0.
    evidence: (N,) in [0, 1], whether the best views show the splat frontally enough to know its
              looks; a splat seen edge-on alone has none, however often it is seen.
    """

    weight: Tensor
    color: Tensor
    evidence: Tensor


@torch.no_grad()
def observe_splats(scene: Scene, state: FitState, indices: list[int]) -> Observed:
    """Gather each splat's evidence and colour over some crops."""
    n = state.binding.count
    weight = torch.zeros(n, device=scene.device)
    color = torch.zeros(n, 3, device=scene.device)
    best = torch.zeros(max(1, len(indices) // _BEST_SHARE), n, device=scene.device)
    for i in indices:
        facing, shown, narrow, image = _look_at(scene, state, i)
        w = torch.where(shown, facing**4, torch.zeros_like(facing))
        weight += w
        color += w[:, None] * image
        lowest, at = best.min(0)
        clear = torch.where(shown & narrow, facing, torch.zeros_like(facing))
        best.scatter_(0, at[None], torch.maximum(lowest, clear)[None])
    mean = color / weight[:, None].clamp_min(1e-9)
    color = torch.where(weight[:, None] > 0, mean, torch.full_like(mean, 0.5))
    frontal = ((best.mean(0) - _GLANCING) / (_FRONTAL - _GLANCING)).clamp(0, 1)
    evidence = frontal * frontal * (3 - 2 * frontal)
    return Observed(weight / max(1, len(indices)), color, evidence)


def _look_at(scene: Scene, state: FitState, i: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One crop's view of N splats.

    Returns how they face the camera (cosine), whether they are shown, whether nothing lies even
    slightly before them, and the pixels (N, 3) where they are.
    """
    frames = scene.frames
    leaves = leaves_of(state, stored_pose(state, i), refine=frozenset())
    vertices, means, quats = world_splats(scene, state, i, leaves)
    camera = refined_camera(scene, i, state.log_focal)
    s = state.splats
    splats = Gaussians(means, quats, s["log_scales"], s["logit_opacities"], s["colors"])
    out = splats.render(camera)
    px, _ = project(camera, means)
    in_camera = to_camera(camera, means)
    normals = face_normals(vertices, state.binding.face_vertices)
    normals = normals @ camera.T_camera_world[:3, :3].T
    sight = torch.nn.functional.normalize(in_camera, dim=-1)
    facing = -(torch.nn.functional.normalize(normals, dim=-1) * sight).sum(-1)
    x = px[:, 0].long().clamp(0, camera.width - 1)
    y = px[:, 1].long().clamp(0, camera.height - 1)
    inside = (px >= 0).all(1) & (px[:, 0] < camera.width) & (px[:, 1] < camera.height)
    depth = out.expected_depth()[y, x, 0]
    radius = max(2, round(frames.camera.height / 170))
    sure = _interior(frames.masks[i], frames.valid[i], radius).to(scene.device)[y, x]
    shown = inside & sure & (in_camera[:, 2] < depth + _HIDDEN_DEPTH)
    shown &= (facing > _MIN_FACING) & (out.alpha[y, x, 0] > 0.5)
    image = torch.from_numpy(frames.targets[i]).to(scene.device)[y, x].float() / 255
    return facing, shown, in_camera[:, 2] < depth + _HIDDEN_NARROW, image


def seen_share(weight: Tensor) -> Tensor:
    """(N,) in [0, 1] from the weight of :func:`observe_splats`."""
    return (weight / _WELL_SEEN).clamp(0, 1)


def _fill_space(body: BodyModel, state: FitState) -> np.ndarray:
    """(N, D) coordinates in which near splats probably wear the same thing.

    Rest positions, squeezed across the limb and the trunk (cloth goes round a body, rarely along
    it), joined with skinning weights and the scalp flag so that a sleeve is not coloured from a
    hip and the back of a head takes hair, not skin.
    """
    corners = state.binding.face_vertices
    points = state.binding.rest_points(body.v_template)
    weights = body.skin_weights_t.t()
    arms = weights[:, [16, 17, 18, 19, 20, 21, *FINGERS]].sum(1)
    arm = arms[corners].mean(1, keepdim=True)
    along_y, along_x = points.new_tensor([0.35, 1.0, 0.35]), points.new_tensor([1.0, 0.35, 0.35])
    squeeze = along_y * (1 - arm) + along_x * arm
    # Left and right wear the same: mirror, so that a hidden side is coloured from the other.
    mirrored = torch.cat([points[:, :1].abs(), points[:, 1:]], 1) * squeeze
    side = points[:, :1] * 0.1
    coarse = weights @ _part_matrix().to(weights)
    scalp = body.scalp.float()[corners].mean(1, keepdim=True)
    space = torch.cat([mirrored, side, 0.12 * coarse[corners].mean(1), 0.3 * scalp], 1)
    return space.cpu().numpy()


def _thinned(indices: np.ndarray, count: int) -> np.ndarray:
    """At most ``count`` of the indices, evenly taken: the search among all of them is slow."""
    if len(indices) <= count:
        return indices
    return indices[np.linspace(0, len(indices) - 1, count).round().astype(int)]


def _part_matrix() -> Tensor:
    """(55, 8) joints -> trunk, head, upper arm, forearm, hand, thigh, shin, foot."""
    groups = (
        (0, 3, 6, 9, 13, 14), (12, 15, 22, 23, 24), (16, 17), (18, 19),
        (20, 21, *FINGERS), (1, 2), (4, 5), (7, 8, 10, 11),
    )  # fmt: skip
    matrix = torch.zeros(NUM_JOINTS, 8)
    for k, group in enumerate(groups):
        matrix[list(group), k] = 1.0
    return matrix


def neighbours_on_surface(body: BodyModel, state: FitState, count: int) -> Tensor:
    """(N, count) nearest splats at rest; neighbours of similar skinning only by nearness."""
    points = state.binding.rest_points(body.v_template).cpu().numpy()
    _, index = cKDTree(points).query(points, k=count + 1)
    return torch.from_numpy(index[:, 1:].astype(np.int64)).to(state.seen.device)


def closing_scales(body: BodyModel, state: FitState) -> Tensor:
    """(N, 3) starting scales that leave no pinholes: as wide as the gap to the neighbours."""
    points = state.binding.rest_points(body.v_template).cpu().numpy()
    distance, _ = cKDTree(points).query(points, k=_CLOSING_NEIGHBOUR + 1)
    gap = torch.from_numpy(distance[:, -1]).to(state.log_scales0)
    wide = (_CLOSING_WIDTH * gap).clamp_min(1e-5).log()[:, None]
    scales = state.log_scales0.clone()
    scales[:, :2] = torch.maximum(scales[:, :2], wide)
    return torch.minimum(scales, state.log_scales0 + _CLOSING_MOST)


@torch.no_grad()
def fill_unseen(
    body: BodyModel,
    state: FitState,
    seen: Tensor,
    *,
    known: Tensor | None = None,
    looks: Tensor | None = None,
    materials: Materials | None = None,
    sweeps: int = 8,
) -> None:
    """Colour the splats the video never shows from those it does, in place.

    Where ``materials`` has no better guess, each takes the median of its nearest known splats in
    the space of :func:`_fill_space`, and such colours diffuse among neighbours while seen ones
    stay. Shape parameters of unseen splats go back to their start.

    Args:
        body: the person's.
        state: its splats change.
        seen: (N,) in [0, 1], how much of its own looks each splat keeps.
        known: (N,) in [0, 1], whose looks are worth copying; None takes ``seen``.
        looks: (N, 3) the colours that are copied, such as the pixels where each splat is seen
            (splats' own colours only add up together); None takes the splats' own.
        materials: of the same body and splats.
        sweeps: of the diffusion.
    """
    known = seen if known is None else known
    hair = body.scalp[state.binding.face_vertices].float().mean(1) > 0.5
    source = ((known >= 0.999) | (hair & (known > _HAIR_SEEN))).cpu().numpy()
    if not source.any():
        return
    blend = seen[:, None].clamp(0, 1)
    colors = state.splats["colors"]
    looks = colors if looks is None else looks
    guess = _nearest_colors(body, state, source, looks)
    loose = torch.ones_like(blend)
    if materials is not None:
        better, found = materials.guess(looks, known.cpu().numpy())
        guess = torch.where(found[:, None], better, guess)
        loose = (~found).to(blend)[:, None]
    filled = blend * colors + (1 - blend) * guess
    ring = neighbours_on_surface(body, state, 8)
    for k in range(sweeps):
        rate = 0.5 * loose if k else 0.5 * loose + _TEXTURE_BLUR * (1 - loose)
        smooth = torch.lerp(filled, filled[ring].mean(1), rate)
        filled = blend * colors + (1 - blend) * smooth
    colors.copy_(filled)
    s = state.splats
    s["offsets"].mul_(blend)
    s["log_scales"].copy_(blend * s["log_scales"] + (1 - blend) * closing_scales(body, state))
    rest = colors.new_tensor([1.0, 0.0, 0.0, 0.0])
    s["local_quats"].copy_(blend * s["local_quats"] + (1 - blend) * rest)
    s["logit_opacities"].copy_(torch.maximum(s["logit_opacities"], 3.0 * (1 - blend[:, 0])))


def _nearest_colors(body: BodyModel, state: FitState, source: np.ndarray, colors: Tensor) -> Tensor:
    """(N, 3) the colours; the median of the nearest sources for those that are none."""
    space = _fill_space(body, state)
    sources_at = _thinned(np.flatnonzero(source), _MAX_SOURCES)
    sources = colors[torch.from_numpy(sources_at).to(colors.device)]
    count = min(_FILL_SOURCES, len(sources_at))
    unknown = np.flatnonzero(~source)
    _, nearest = cKDTree(space[sources_at]).query(space[unknown], k=count, workers=-1)
    chosen = torch.from_numpy(nearest.reshape(-1, count)).to(colors.device)
    guess = colors.clone()
    guess[torch.from_numpy(unknown).to(colors.device)] = sources[chosen].median(1).values
    return guess
