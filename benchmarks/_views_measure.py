"""How far an avatar and its track are from a synthetic person's truth, from every side.

Pictures   The avatar takes the true rotations; one scale and a translation bring its 22 body joints
           onto the true ones (one camera cannot know a person's scale), for the close-up of the
           head the head's own joints do. Masked over white: what is painted outside the person
           counts as an error.
Joints     Of the clip's frames, pelvis on pelvis, with one scale for the clip that fits best (one
           camera knows neither a person's size nor its own focal length). Across and along the line
           of sight, in millimetres.
Lean       Degrees between the spine and the vertical, the estimate's less the truth's; likewise
           the bend of the knees. Means of absolute differences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from benchmarks._views_film import HEAD_JOINTS, TrueView
from pear_avatar.avatar.avatar import Avatar
from pear_avatar.body import BodyModel
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.evaluation.metrics import iou, mask_box, psnr
from pear_avatar.evaluation.perceptual import Perceptual
from pear_avatar.geometry.cameras import to_camera
from pear_avatar.splatting import Gaussians
from pear_avatar.synthesis import SceneTruth
from pear_avatar.types import BodyParams, RenderOutput, Track

NUM_BODY = 22
_MARGIN = 0.06
_KNEES = (("left_hip", "left_knee", "left_ankle"), ("right_hip", "right_knee", "right_ankle"))

Figures = dict[str, float]


def view_key(name: str, yaw: int) -> str:
    """The group of views that a picture is averaged into."""
    return f"{'head' if name == 'head' else 'body'} {abs(yaw)}"


@torch.no_grad()
def draw_view(avatar: Avatar, view: TrueView) -> RenderOutput:
    """The avatar as the true picture shows the person."""
    expression = torch.zeros(avatar.body.num_expression)
    params = BodyParams(avatar.betas, expression, view.rotations, torch.zeros(3))
    joints = avatar.body.shape(None, expression).pose(view.rotations, params.transl).joints
    scale, shift = _scale_and_shift(joints[:NUM_BODY], view.joints[:NUM_BODY])
    if view.name == "head":
        head = list(HEAD_JOINTS)
        shift = (view.joints[head] - scale * joints[head]).mean(0)
    return _scaled(avatar.gaussians(params), scale, shift).render(view.camera)


def _scale_and_shift(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """s and t of the least-squares s * source + t = target (J, 3)."""
    a, b = source - source.mean(0), target - target.mean(0)
    scale = (a * b).sum() / a.square().sum()
    return scale, target.mean(0) - scale * source.mean(0)


def _scaled(splats: Gaussians, scale: Tensor, shift: Tensor) -> Gaussians:
    return replace(
        splats, means=scale * splats.means + shift, log_scales=splats.log_scales + scale.log()
    )


def measure_view(out: RenderOutput, view: TrueView, perceptual: Perceptual | None) -> Figures:
    """PSNR (dB), perceptual distance and silhouette IoU of one picture, on the person's box."""
    alpha = torch.from_numpy(view.alpha)
    true = torch.from_numpy(view.color) + (1 - alpha[..., None])
    drawn = (out.color + (1 - out.alpha)).clamp(0, 1)
    x0, y0, x1, y1 = mask_box(alpha, _MARGIN)
    box = (slice(y0, y1), slice(x0, x1))
    figures = {
        "psnr": float(psnr(drawn[box], true[box])),
        "iou": float(iou(out.alpha[..., 0], alpha)),
    }
    if perceptual is not None:
        with torch.no_grad():
            figures["perceptual"] = float(perceptual(drawn[box], true[box]))
    return figures


def grouped(rows: Sequence[tuple[TrueView, Figures]]) -> Figures:
    """ "body 45 psnr" and the like: means over poses and both sides."""
    collected: dict[str, list[float]] = {}
    for view, figures in rows:
        for name, value in figures.items():
            collected.setdefault(f"{view_key(view.name, view.yaw)} {name}", []).append(value)
    return {name: float(np.mean(values)) for name, values in collected.items()}


def measure_track(track: Track, body: BodyModel, truth: SceneTruth) -> Figures:
    """Joint errors, lean and knees of a track; ``body``: the tracked person's own."""
    params = track.motion.params
    with torch.no_grad():
        betas = params.betas[: body.num_betas]
        joints = body.shape(betas).pose(params.rotations, params.transl).joints[:, :NUM_BODY]
    rows = torch.from_numpy(track.frame_index)
    true = torch.from_numpy(truth.joints).float()[rows, :NUM_BODY]
    seen, true_seen = to_camera(track.camera, joints), to_camera(truth.camera[rows], true)
    across, along = _split_error(seen, true_seen)
    return {
        "joints across": 1e3 * across,
        "joints along": 1e3 * along,
        "lean": float((lean_degrees(joints) - lean_degrees(true)).abs().mean()),
        "knees": float((knee_degrees(joints) - knee_degrees(true)).abs().mean()),
        "trusted": float(np.mean(track.trusted)),
    }


def _split_error(joints: Tensor, true: Tensor) -> tuple[float, float]:
    """Mean root-aligned error (N, J, 3) in camera axes, across and along the line of sight."""
    own, wanted = joints - joints[:, :1], true - true[:, :1]
    error = own * (own * wanted).sum() / own.square().sum() - wanted
    sight = torch.nn.functional.normalize(true, dim=-1)
    along = (error * sight).sum(-1)
    across = (error - along[..., None] * sight).norm(dim=-1)
    return float(across.mean()), float(along.abs().mean())


def lean_degrees(joints: Tensor) -> Tensor:
    """(N,) how far the spine is from the vertical (+y) in the person's sagittal plane."""
    at = {n: joints[:, JOINT_INDEX[n]] for n in ("left_hip", "right_hip", "neck")}
    spine = at["neck"] - (at["left_hip"] + at["right_hip"]) / 2
    left = torch.nn.functional.normalize(at["left_hip"] - at["right_hip"], dim=-1)
    up = joints.new_tensor([0.0, 1.0, 0.0]).expand_as(spine)
    ahead = torch.nn.functional.normalize(torch.linalg.cross(left, up), dim=-1)
    return torch.rad2deg(torch.atan2((spine * ahead).sum(-1), spine[:, 1]))


def knee_degrees(joints: Tensor) -> Tensor:
    """(N, 2) bend of the left and right knee; 0 is a straight leg."""
    bends = []
    for hip, knee, ankle in _KNEES:
        thigh = joints[:, JOINT_INDEX[knee]] - joints[:, JOINT_INDEX[hip]]
        shin = joints[:, JOINT_INDEX[ankle]] - joints[:, JOINT_INDEX[knee]]
        cosine = torch.nn.functional.cosine_similarity(thigh, shin, dim=-1)
        bends.append(torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))))
    return torch.stack(bends, 1)


def mean_figures(rows: Sequence[Mapping[str, float]]) -> Figures:
    """The mean of each figure over clips."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {n: float(np.mean([row[n] for row in rows if n in row])) for n in names}
