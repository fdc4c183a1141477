"""From the solver's state to a :class:`~pear_avatar.types.Track`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body import BodyModel
from pear_avatar.tracking.clip_camera import clip_cameras
from pear_avatar.tracking.track_report import frame_errors
from pear_avatar.tracking.track_state import TrackState
from pear_avatar.types import BodyParams, Camera, ClipDetections, Motion, Proportions, Track


def make_track(
    detections: ClipDetections,
    body: BodyModel,
    state: TrackState,
    camera: Camera,
    T_world_solver: Tensor,
    *,
    proportions: Proportions | None = None,
) -> Track:
    """Carry the solution into the clip's world and pad its coefficients to the body's.

    ``body`` is the person's own, with any ``proportions`` built in.
    """
    N = detections.num_frames
    R, t = T_world_solver[:3, :3].to(state.root), T_world_solver[:3, 3].to(state.root)
    count = len(state.betas)
    pelvis = body.joint_template[0] + body.joint_shape_dirs[0, :, :count] @ state.betas
    rotations = state.rotations().clone()
    rotations[:, 0] = R @ rotations[:, 0]
    transl = (state.transl + pelvis) @ R.T + t - pelvis
    params = BodyParams(
        betas=_pad(state.betas, body.shape_dirs.shape[-1]),
        expression=_pad(state.expression, body.expression_dirs.shape[-1]),
        rotations=rotations,
        transl=transl,
    )
    track = Track(
        motion=Motion(params, np.asarray(detections.time, np.float64)),
        camera=clip_cameras(camera, N, float(state.log_focal)),
        frame_index=np.asarray(detections.frame_index, np.int64),
        trusted=np.asarray(detections.trusted, bool),
        landmark_error=np.full(N, np.nan, np.float32),
        proportions=proportions,
    )
    errors = frame_errors(track, detections, body)
    return Track(**{**vars(track), "landmark_error": errors})


def _pad(x: Tensor, size: int) -> Tensor:
    return torch.nn.functional.pad(x, (0, size - x.shape[-1])).clone()
