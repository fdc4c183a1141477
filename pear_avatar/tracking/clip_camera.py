"""The solver's world: the first camera turned so that y is up and it looks along -z."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pear_avatar.errors import PearError
from pear_avatar.geometry.cameras import default_world_camera, intrinsics, invert_rigid
from pear_avatar.tracking.problem import ClipCamera
from pear_avatar.tracking.track_config import TrackConfig
from pear_avatar.types import Camera, ClipDetections


def guess_camera(detections: ClipDetections, config: TrackConfig) -> Camera:
    """A camera for an uncalibrated clip: centred, focal length from a usual field of view.

    1.1 times the longer side is a 49 degree view of it, between a phone's main camera in video
    mode (about 0.8-0.9) and the longer lenses of produced footage (1.2 and more).
    """
    focal = config.focal_guess * max(detections.width, detections.height)
    K = intrinsics(focal, detections.width, detections.height)
    return Camera(K, default_world_camera(), detections.width, detections.height)


def check_camera(camera: Camera, detections: ClipDetections) -> None:
    """Raise ``PearError`` where a given camera does not belong to the clip."""
    if (camera.width, camera.height) != (detections.width, detections.height):
        raise PearError(
            f"the camera is for {camera.width} x {camera.height} pixels, the clip has "
            f"{detections.width} x {detections.height}: give the camera of this clip"
        )
    batch = tuple(camera.T_camera_world.shape[:-2])
    if batch not in {(), (1,), (detections.num_frames,)}:
        raise PearError(
            f"the camera has batch shape {batch}; give one camera or one per frame "
            f"({detections.num_frames})"
        )


def solver_camera(
    camera: Camera, num_frames: int, dtype: torch.dtype = torch.float32
) -> tuple[ClipCamera, Tensor]:
    """The clip's cameras in the solver's world, and ``T_world_solver`` (4, 4)."""
    T = camera.T_camera_world.to(torch.float64).expand(num_frames, 4, 4)
    K = camera.K.to(dtype).expand(num_frames, 3, 3)
    T_solver_world = default_world_camera(torch.float64) @ T[0]
    T_world_solver = invert_rigid(T_solver_world)
    T_camera_solver = (T @ T_world_solver).to(dtype)
    return ClipCamera(K, T_camera_solver[:, :3, :3], T_camera_solver[:, :3, 3]), T_world_solver


def clip_cameras(camera: Camera, num_frames: int, log_focal: float) -> Camera:
    """One camera per frame with the refined focal length."""
    K = camera.K.expand(num_frames, 3, 3).clone()
    scale = float(torch.tensor(log_focal).exp())
    K[:, 0, 0] *= scale
    K[:, 1, 1] *= scale
    return replace(
        camera, K=K, T_camera_world=camera.T_camera_world.expand(num_frames, 4, 4).clone()
    )
