"""How far a fitted avatar is from a synthetic person's truth.

Protocol
--------
Joints      the refined track against the true joints of the same frames, all frames, metres as
            they come (one camera does not determine a person's scale; none is corrected here).
            Root-aligned: pelvis on pelvis. Procrustes: best similarity per frame. "Body" is
            SMPL-X's first 22 joints, "all" adds jaw, eyes and fingers.
Pictures    the avatar in true poses that the video never showed, seen by the estimated camera.
            Each pose starts from the true rotations and is fitted to where the true body joints
            are seen: the avatar's bones are not exactly the person's, so the same angles would put
            its feet elsewhere. Only joints do this: nothing is fitted to the test pictures.
            ``*_rotations`` has the true rotations as they are and only the translation placed by
            the joints (depth and scale trade places freely in the video of one camera).
            Masked over white on the person's crop, as in :mod:`pear_avatar.evaluation.metrics`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.body import BodyModel
from pear_avatar.evaluation.metrics import (
    MetricDict,
    average_metrics,
    mask_box,
    masked_crop_metrics,
    mpjpe,
    pa_mpjpe,
)
from pear_avatar.evaluation.perceptual import Perceptual
from pear_avatar.geometry.cameras import project
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.synthesis.synthetic_clip import SceneTruth, SyntheticClip
from pear_avatar.types import BodyParams, Camera, Track

NUM_BODY_JOINTS = 22
_CROP_MARGIN = 0.1
#: steps of the fit to joints, and what a squared turn (rad) weighs beside a squared error in
#: percent of the person's height
_JOINT_STEPS, _TURN_WEIGHT = 200, 5.0


@dataclass(frozen=True)
class TruthFigures:
    """Distances to the truth by the protocol of this module's docstring.

    Joint errors in millimetres over the 22 body joints, ``*_all`` over all 55; the others are
    means over pictures of unseen poses, masked. ``depth_ratio`` is estimated over true depth.
    ``psnr_unseen_rotations`` drives the avatar by the true rotations as they are.
    """

    mpjpe_mm: float
    pa_mpjpe_mm: float
    mpjpe_all_mm: float
    pa_mpjpe_all_mm: float
    depth_ratio: float
    psnr_unseen_poses: float
    psnr_unseen_rotations: float
    ssim_unseen_poses: float
    silhouette_iou_unseen_poses: float
    perceptual_unseen_poses: float | None
    perceptual_metric: str | None

    def as_dict(self) -> dict[str, float | str | None]:
        """For JSON."""
        return asdict(self)


def measure_truth(
    avatar: Avatar,
    track: Track,
    clip: SyntheticClip,
    body: BodyModel,
    perceptual: Perceptual | None = None,
) -> TruthFigures:
    """Compare a fit of a synthetic clip with everything that is known of it.

    Args:
        avatar: the fitted avatar.
        track: its refined track.
        clip: the clip it was fitted to, with truth.
        body: the tracked person's own, whose motion the track is.
        perceptual: from ``load_perceptual()``.
    """
    joints = _track_joints(track, body)
    true_joints = torch.from_numpy(clip.filmed.joints)[torch.from_numpy(track.frame_index)]
    ratio = _depth_ratio(joints, true_joints)
    rows = [
        _picture_metrics(avatar, params, camera, clip.unseen, i, perceptual=perceptual)
        for i, (params, camera) in enumerate(unseen_frames(avatar, track, clip))
    ]
    mean = average_metrics(rows)
    plain = [
        _picture_metrics(avatar, params, camera, clip.unseen, i, perceptual=None)
        for i, (params, camera) in enumerate(unseen_frames(avatar, track, clip, fit_joints=False))
    ]
    head = slice(None), slice(NUM_BODY_JOINTS)
    return TruthFigures(
        mpjpe_mm=1000 * float(mpjpe(joints[head], true_joints[head])),
        pa_mpjpe_mm=1000 * float(pa_mpjpe(joints[head], true_joints[head])),
        mpjpe_all_mm=1000 * float(mpjpe(joints, true_joints)),
        pa_mpjpe_all_mm=1000 * float(pa_mpjpe(joints, true_joints)),
        depth_ratio=ratio,
        psnr_unseen_poses=_float(mean["psnr_masked"]),
        psnr_unseen_rotations=_float(average_metrics(plain)["psnr_masked"]),
        ssim_unseen_poses=_float(mean["ssim_masked"]),
        silhouette_iou_unseen_poses=_float(mean["silhouette_iou"]),
        perceptual_unseen_poses=None
        if mean["perceptual_masked"] is None
        else _float(mean["perceptual_masked"]),
        perceptual_metric=perceptual.name if perceptual is not None else None,
    )


def unseen_frames(
    avatar: Avatar, track: Track, clip: SyntheticClip, *, fit_joints: bool = True
) -> Iterator[tuple[BodyParams, Camera]]:
    """The avatar's parameters and the estimated camera for each picture of the unseen motion."""
    truth = clip.unseen
    K = track.camera.K[0].float()
    camera = Camera(K, truth.camera.T_camera_world.float(), truth.camera.width, truth.camera.height)
    true_joints = torch.from_numpy(truth.joints[:, :NUM_BODY_JOINTS])
    true_px = project(truth.camera, true_joints)[0].float()
    params = truth.motion.params
    posed = avatar.body.shape(None, params.expression).pose(params.rotations)
    joints = posed.joints[:, :NUM_BODY_JOINTS].float()
    placed = [place_by_joints(camera, joints[i], true_px[i]) for i in range(params.num_frames)]
    driven = BodyParams(avatar.betas, params.expression, params.rotations, torch.stack(placed))
    if fit_joints:
        driven = fit_to_joints(avatar, camera, driven, true_px)
    for i in range(params.num_frames):
        yield driven[i], camera


def fit_to_joints(avatar: Avatar, camera: Camera, start: BodyParams, pixels: Tensor) -> BodyParams:
    """Turn joints and move the root as little as brings joints to pixels (N, J <= 55, 2)."""
    turn = torch.zeros(*start.rotations.shape[:2], 3, requires_grad=True)
    shift = torch.zeros_like(start.transl, requires_grad=True)
    optimiser = torch.optim.Adam([turn, shift])
    height = (pixels[..., 1].amax(1) - pixels[..., 1].amin(1)).mean()
    params = start
    for step in range(_JOINT_STEPS):
        optimiser.param_groups[0]["lr"] = 1e-2 * 0.05 ** (step / _JOINT_STEPS)
        rotations = start.rotations @ axis_angle_to_matrix(turn)
        params = replace(start, rotations=rotations, transl=start.transl + shift)
        shaped = avatar.body.shape(None, start.expression)
        joints = shaped.pose(rotations, params.transl).joints[:, : pixels.shape[1]]
        seen, _ = project(camera, joints)
        loss = (100 * (seen - pixels) / height).square().sum(-1).mean()
        loss = loss + _TURN_WEIGHT * turn.square().sum(-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return replace(params, rotations=params.rotations.detach(), transl=params.transl.detach())


def place_by_joints(camera: Camera, joints: Tensor, pixels: Tensor) -> Tensor:
    """The translation (3,) that makes joints (J, 3) be seen at pixels (J, 2).

    Each picture coordinate u asks ``f X + (c - u) Z = 0`` of the moved joint in camera axes,
    which is linear in the translation; the rows are solved by least squares.
    """
    R, t = camera.T_camera_world[:3, :3], camera.T_camera_world[:3, 3]
    focal = torch.stack([camera.K[0, 0], camera.K[1, 1]])
    rest = camera.K[:2, 2] - pixels
    rows = torch.cat([torch.diag(focal).expand(len(joints), 2, 2), rest[..., None]], -1)
    offset = (rows @ (joints @ R.T + t)[..., None])[..., 0]
    moved = torch.linalg.lstsq(rows.reshape(-1, 3), -offset.reshape(-1, 1)).solution[:, 0]
    return R.T @ moved


def _track_joints(track: Track, body: BodyModel) -> Tensor:
    """(N, 55, 3) joints of a track, metres."""
    params = track.motion.params
    with torch.no_grad():
        betas = params.betas[: body.num_betas]
        return body.shape(betas).pose(params.rotations, params.transl).joints.float()


def _depth_ratio(joints: Tensor, true_joints: Tensor) -> float:
    """Estimated over true distance of the pelvis along the line of sight (world -z)."""
    return float(np.median((joints[:, 0, 2] / true_joints[:, 0, 2]).numpy()))


def _picture_metrics(
    avatar: Avatar,
    params: BodyParams,
    camera: Camera,
    truth: SceneTruth,
    index: int,
    *,
    perceptual: Perceptual | None,
) -> MetricDict:
    assert truth.images is not None, "the unseen motion keeps its pictures"
    image = torch.from_numpy(truth.images[index]).float() / 255
    mask = torch.from_numpy(truth.alpha[index]).float() / 255
    with torch.no_grad():
        out = avatar.gaussians(params).render(camera)
    box = mask_box(mask, _CROP_MARGIN)
    return masked_crop_metrics(
        out.color, out.alpha[..., 0], image, mask, perceptual=perceptual, box=box
    )


def _float(value: float | str | None) -> float:
    return float("nan") if value is None else float(value)
