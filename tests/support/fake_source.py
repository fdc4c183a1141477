"""A pose source without a network: everybody stands in T-pose where their box is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch

from pear_avatar.body import load_body
from pear_avatar.body.ehm import EhmModel, open_ehm
from pear_avatar.geometry.cameras import invert_rigid, transform_points, unproject
from pear_avatar.recovery.recovered import PoseEstimate
from pear_avatar.types import BodyParams, Camera, ClipDetections, Proportions

HEIGHT_M = 1.7


@lru_cache(maxsize=1)
def ehm() -> EhmModel:
    return open_ehm(load_body())


class BoxSource:
    """Stands a person 1.7 m tall into each box."""

    def __init__(self) -> None:
        self.body = ehm()

    def recover(
        self, pictures: Iterable[np.ndarray], detections: ClipDetections, camera: Camera
    ) -> PoseEstimate:
        count = detections.num_frames
        boxes = torch.from_numpy(detections.box_xyxy).float()
        tall = (boxes[:, 3] - boxes[:, 1]).clamp_min(1.0)
        depth = camera.K[1, 1] * HEIGHT_M / tall
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        level = Camera(camera.K, torch.eye(4), camera.width, camera.height)
        in_camera = unproject(level, middle, depth)
        transl = transform_points(invert_rigid(camera.T_camera_world), in_camera)
        rotations = torch.eye(3).expand(count, 55, 3, 3).clone()
        params = BodyParams(torch.zeros(count, 4), torch.zeros(count, 5), rotations, transl)
        ones = torch.ones(count, 3)
        return PoseEstimate(params, Proportions(ones, ones), camera)

    def recover_clip(
        self, pictures: Iterable[np.ndarray], detections: ClipDetections, camera: Camera
    ) -> PoseEstimate:
        found = self.recover(pictures, detections, camera)
        shared = replace(found.params, betas=found.params.betas[0])
        return replace(found, params=shared, proportions=Proportions.neutral())
