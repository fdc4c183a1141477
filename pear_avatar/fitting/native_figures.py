"""Held-out frames at the video's own resolution: figures of head, hands, rim and whole frame."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.topology import LEFT_EYE_OUTLINE, OUTER_LIPS, RIGHT_EYE_OUTLINE
from pear_avatar.evaluation.close_up import (
    feature_psnr,
    frame_figures,
    mean_figures,
    part_figures,
)
from pear_avatar.fitting.details import FRAME, Detail
from pear_avatar.fitting.evaluate import Evaluator, PoseOf, spread
from pear_avatar.fitting.fit_scene import Pose, leaves_of, render_frame
from pear_avatar.fitting.frames import Split

#: frames of each part that are measured at most
_FRAMES = 12
_EYES = (LEFT_EYE_OUTLINE, RIGHT_EYE_OUTLINE)
#: confidence below which a face was not detected
_FACE_SEEN = 0.5

Figures = dict[str, dict[str, float]]


def native_figures(evaluator: Evaluator, details: Mapping[str, Detail], pose_of: PoseOf) -> Figures:
    """Figures by part: ``head``, ``hands`` (both) and ``frame``; parts never held out are absent.

    ``pose_of``: the correction of each of the person's crops.
    """
    rows: dict[str, list[dict[str, float]]] = {}
    for part, detail in details.items():
        held_out = detail.frames.indices(Split.HELD_OUT)
        chosen = spread(held_out, _FRAMES)
        metric = set(spread(chosen, evaluator.config.perceptual_frames))
        name = "hands" if part.endswith("_hand") else part
        for k in chosen:
            figures = _measure(evaluator, detail, k, pose_of(int(detail.crop[k])), k in metric)
            rows.setdefault(name, []).append(figures)
    return {
        name: {**mean_figures(found), "frames": float(len(found))}
        for name, found in rows.items()
        if any(found)
    }


def draw_detail(evaluator: Evaluator, detail: Detail, k: int, pose: Pose) -> tuple[Tensor, Tensor]:
    """Detail crop k drawn: color (h, w, 3) over black and alpha (h, w)."""
    with torch.no_grad():
        leaves = leaves_of(evaluator.state, pose, refine=frozenset())
        crop = int(detail.crop[k])
        camera = detail.frames.camera[k].to(evaluator.scene.device)
        out = render_frame(evaluator.scene, evaluator.state, crop, leaves, camera=camera)
    return out.color, out.alpha[..., 0]


def _measure(
    evaluator: Evaluator, detail: Detail, k: int, pose: Pose, with_metric: bool
) -> dict[str, float]:
    device = evaluator.scene.device
    color, alpha = draw_detail(evaluator, detail, k, pose)
    picture, mask = (x.to(device) for x in detail.frames.image(k))
    image = picture.permute(1, 2, 0)
    keep = torch.from_numpy(detail.frames.valid[k] > 127).to(device)
    metric = evaluator.metric if with_metric else None
    if detail.part == FRAME:
        return frame_figures(color, alpha, image, mask, keep, perceptual=metric)
    figures = part_figures(color, alpha, image, keep, metric)
    figures["box_px"] = float(detail.frames.camera.height / detail.scale)
    if detail.part == "head":
        face = _face_in(evaluator, detail, k)
        if face is not None:
            groups = {"eyes_psnr": _EYES, "mouth_psnr": (OUTER_LIPS,)}
            for name, parts in groups.items():
                found = [feature_psnr(color, alpha, image, face[list(part)]) for part in parts]
                values = [v for v in found if v is not None]
                if values:
                    figures[name] = float(np.mean(values))
    return figures


def _face_in(evaluator: Evaluator, detail: Detail, k: int) -> np.ndarray | None:
    """(478, 2) detected face landmarks in the pixels of a detail crop; None where undetected."""
    crop = int(detail.crop[k])
    points = evaluator.scene.face_keypoints[crop].cpu().numpy()
    if points[:, 2].max() < _FACE_SEEN:
        return None
    person = evaluator.scene.frames.camera.K[crop].cpu().numpy()
    own = detail.frames.camera.K[k].numpy()
    scale = own[0, 0] / person[0, 0]
    moved: np.ndarray = (points[:, :2] - person[:2, 2]) * scale + own[:2, 2]
    return moved
