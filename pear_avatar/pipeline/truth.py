"""How far a fitted avatar is from a synthetic person's truth.

Protocol
--------
Joints      the refined track against the true joints of the same frames, all frames, metres as
            they come (a single camera cannot tell a person's scale; no scale is corrected here).
            Root-aligned: pelvis on pelvis. Procrustes: best similarity per frame. "Body" is
            SMPL-X's first 22 joints, "all" adds jaw, eyes and fingers.
Pictures    the avatar in true poses that the video never showed, seen by the estimated camera.
            The true place is moved along the line of sight by one factor for the whole clip, the
            median ratio of estimated to true depth in the filmed frames: depth and scale trade
            places freely in the video of one camera. Nothing is fitted to the test pictures.
            Masked over white on the person's crop, as in :mod:`pear_avatar.evaluation.metrics`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from pear_avatar.avatar.model import Avatar
from pear_avatar.body import BodyModel
from pear_avatar.data.synthetic.clip import SceneTruth, SyntheticClip
from pear_avatar.evaluation.metrics import (
    MetricDict,
    average_metrics,
    mask_box,
    masked_crop_metrics,
    mpjpe,
    pa_mpjpe,
)
from pear_avatar.evaluation.perceptual import Perceptual
from pear_avatar.pipeline.showcase import draw
from pear_avatar.types import BodyParams, Camera, Track

NUM_BODY_JOINTS = 22
_CROP_MARGIN = 0.1


@dataclass(frozen=True)
class TruthFigures:
    """Distances to the truth by the protocol of this module's docstring.

    Joint errors in millimetres over the 22 body joints, ``*_all`` over all 55; the others are
    means over pictures of unseen poses, masked. ``depth_ratio`` is estimated over true depth.
    """

    mpjpe_mm: float
    pa_mpjpe_mm: float
    mpjpe_all_mm: float
    pa_mpjpe_all_mm: float
    depth_ratio: float
    psnr_unseen_poses: float
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
        body: the open body that track and truth share.
        perceptual: from ``load_perceptual()``.
    """
    joints = _track_joints(track, body)
    true_joints = torch.from_numpy(clip.filmed.joints)[torch.from_numpy(track.frame_index)]
    ratio = _depth_ratio(joints, true_joints)
    rows = [
        _picture_metrics(avatar, params, camera, clip.unseen, i, perceptual)
        for i, (params, camera) in enumerate(unseen_frames(avatar, track, clip, ratio))
    ]
    mean = average_metrics(rows)
    head = slice(None), slice(NUM_BODY_JOINTS)
    return TruthFigures(
        mpjpe_mm=1000 * float(mpjpe(joints[head], true_joints[head])),
        pa_mpjpe_mm=1000 * float(pa_mpjpe(joints[head], true_joints[head])),
        mpjpe_all_mm=1000 * float(mpjpe(joints, true_joints)),
        pa_mpjpe_all_mm=1000 * float(pa_mpjpe(joints, true_joints)),
        depth_ratio=ratio,
        psnr_unseen_poses=_float(mean["psnr_masked"]),
        ssim_unseen_poses=_float(mean["ssim_masked"]),
        silhouette_iou_unseen_poses=_float(mean["silhouette_iou"]),
        perceptual_unseen_poses=None
        if mean["perceptual_masked"] is None
        else _float(mean["perceptual_masked"]),
        perceptual_metric=perceptual.name if perceptual is not None else None,
    )


def unseen_frames(
    avatar: Avatar, track: Track, clip: SyntheticClip, depth_ratio: float
) -> Iterator[tuple[BodyParams, Camera]]:
    """The avatar's parameters and the estimated camera for each picture of the unseen motion."""
    truth = clip.unseen
    K = track.camera.K[0].float()
    camera = Camera(K, truth.camera.T_camera_world.float(), truth.camera.width, truth.camera.height)
    # The picture fixes focal * x / depth, so a wrong focal length shows as a wrong width.
    lateral = depth_ratio * float(truth.camera.K[0, 0] / K[0, 0])
    pelvis = torch.from_numpy(truth.joints[:, 0]) * torch.tensor([lateral, lateral, depth_ratio])
    params = truth.motion.params
    rest_pelvis = avatar.body.joint_template[0].float()
    for i in range(params.num_frames):
        frame = params[i]
        yield (
            BodyParams(avatar.betas, frame.expression, frame.rotations, pelvis[i] - rest_pelvis),
            camera,
        )


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
    perceptual: Perceptual | None,
) -> MetricDict:
    assert truth.images is not None, "the unseen motion keeps its pictures"
    image = torch.from_numpy(truth.images[index]).float() / 255
    mask = torch.from_numpy(truth.alpha[index]).float() / 255
    with torch.no_grad():
        out = draw(avatar.gaussians(params), camera)
    box = mask_box(mask, _CROP_MARGIN)
    return masked_crop_metrics(
        out.color, out.alpha[..., 0], image, mask, perceptual=perceptual, box=box
    )


def _float(value: float | str | None) -> float:
    return float("nan") if value is None else float(value)
