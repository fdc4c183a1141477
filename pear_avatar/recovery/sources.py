"""The two ways to parameters: landmarks through the lifter, pixels through the PEAR network."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.ehm import EhmModel
from pear_avatar.body.sources import BodySource, load_ehm
from pear_avatar.choices import BodyName, Convention, Gender, Precision
from pear_avatar.geometry.cameras import project, unproject
from pear_avatar.geometry.rotations import rotation_between
from pear_avatar.recovery.lifter import Lifter
from pear_avatar.recovery.pear.checkpoint import CHECKPOINT_VARIABLE, load_checkpoint
from pear_avatar.recovery.pear.crops import crop_tensor, square_boxes, whole_picture
from pear_avatar.recovery.pear.engine import PearEngine
from pear_avatar.recovery.pear.output import crop_cameras
from pear_avatar.recovery.pear.pear_model import PearEstimate, PearModel
from pear_avatar.recovery.pooling import pool_person
from pear_avatar.recovery.recovered import PoseEstimate
from pear_avatar.splatting.devices import choose_device
from pear_avatar.types import BodyParams, Camera, ClipDetections, Proportions

__all__ = ["LifterSource", "PearSource", "pose_source", "through_lens"]

#: Crops that go through the network at once.
_BATCH = 16


class LifterSource:
    """Parameters of the open body from detected landmarks; looks at no pixels."""

    def __init__(self, lifter: Lifter, body: EhmModel) -> None:
        self._lifter = lifter
        self.body = body

    @classmethod
    def load(cls) -> LifterSource:
        """The lifter that ships with the package."""
        return cls(Lifter.load(), load_ehm())

    def recover(
        self, pictures: Iterable[np.ndarray], detections: ClipDetections, camera: Camera
    ) -> PoseEstimate:
        """P rows of detections -> P people; the pictures are not read."""
        lifted = self._lifter.lift(detections, camera)
        return PoseEstimate(lifted.params, lifted.proportions, camera)

    def recover_clip(
        self, pictures: Iterable[np.ndarray], detections: ClipDetections, camera: Camera
    ) -> PoseEstimate:
        """One person in N frames, of one shape."""
        lifted = self._lifter.lift(detections, camera)
        return PoseEstimate(lifted.shared, lifted.shared_proportions, camera)


class PearSource:
    """Parameters of SMPL-X with a FLAME head from pixels, by weights the user brings."""

    def __init__(self, recovery: PearModel) -> None:
        self._recovery = recovery
        self.body = recovery.model.to("cpu")

    @classmethod
    def load(
        cls,
        checkpoint: Path | None,
        device: torch.device | str,
        body: EhmModel,
        precision: Precision = "auto",
    ) -> PearSource:
        """Read the weights and pack them for the device; see ``load_checkpoint``.

        The body's convention is that of the crops too.
        """
        dtype = None if precision == "auto" else torch.float32
        engine = PearEngine(load_checkpoint(checkpoint), device=device, dtype=dtype)
        return cls(PearModel(engine, body))

    def recover(
        self, pictures: Iterable[np.ndarray], detections: ClipDetections, camera: Camera
    ) -> PoseEstimate:
        """P pictures with P boxes -> P people in the world of ``camera``.

        The network sees each person through a very long lens; see :func:`through_lens`.
        """
        convention = self.body.convention
        squares = _squares(detections.box_xyxy, camera, convention)
        parts = [self._recovery(crops) for crops in _batches(pictures, squares, convention)]
        cameras = crop_cameras(torch.from_numpy(squares).float(), camera.width, camera.height)
        params, proportions = self._params(parts), _proportions(parts)
        pelvis = self.body.shape(params.betas, None, proportions).joints[:, 0]
        return PoseEstimate(through_lens(params, pelvis, cameras, camera), proportions, camera)

    def recover_clip(
        self, pictures: Iterable[np.ndarray], detections: ClipDetections, camera: Camera
    ) -> PoseEstimate:
        """One person in N frames, of one shape: the mean of the trusted frames' shapes."""
        weight = torch.from_numpy(detections.trusted.astype(np.float32))
        return pool_person(self.recover(pictures, detections, camera), weight, self.body)

    def _params(self, parts: list[PearEstimate]) -> BodyParams:
        """Expression as the person's own body wants it."""
        head, body, lids = (
            _join(values)
            for values in (
                [p.params.expression for p in parts],
                [p.body_expression for p in parts],
                [p.eyelids for p in parts],
            )
        )
        has_head = parts[0].proportions.head_betas is not None
        expression = self.body.person_expression(head, body, lids, has_head=has_head)
        return BodyParams(
            _join([p.params.betas for p in parts]),
            expression,
            _join([p.params.rotations for p in parts]),
            _join([p.params.transl for p in parts]),
        )


def through_lens(params: BodyParams, pelvis: Tensor, crops: Camera, camera: Camera) -> BodyParams:
    """People whom crop cameras with long lenses saw, as one ordinary camera sees them.

    The pelvis stays on its pixel, at the depth at which the body is as large in the picture. The
    crop looks straight at the person; where the camera's axis does not, the body is turned by
    the angle between, so that the same side is seen (Li et al., "CLIFF", 2022, on what crops
    hide).

    Args:
        params: P people in the world of the crop cameras.
        pelvis: (P, 3) rest positions, about which bodies turn.
        crops: P cameras at the world's origin.
        camera: one, or P of them.
    """
    position = (params.transl + pelvis)[:, None]
    pixel, depth = project(crops, position)
    depth = depth * (camera.K[..., 1, 1] / crops.K[..., 1, 1])[:, None]
    placed = unproject(camera, pixel, depth)[:, 0]
    axis = crops.K.new_tensor([0.0, 0.0, 1.0]).expand(len(depth), 3)
    ray = unproject(replace(camera, T_camera_world=torch.eye(4)), pixel, torch.ones_like(depth))
    R_view = rotation_between(axis, torch.nn.functional.normalize(ray[:, 0], dim=-1))
    R_world_camera = camera.T_camera_world[..., :3, :3].transpose(-1, -2)
    R = R_world_camera @ R_view @ crops.T_camera_world[..., :3, :3]
    rotations = params.rotations.clone()
    rotations[:, 0] = R @ rotations[:, 0]
    return replace(params, rotations=rotations, transl=placed - pelvis)


def _squares(boxes: np.ndarray, camera: Camera, convention: Convention) -> np.ndarray:
    """(P, 3) squares; the whole picture where no person was found, so that every row has one."""
    width, height = camera.width, camera.height
    empty = (boxes[:, 2:] <= boxes[:, :2]).any(1, keepdims=True)
    usable = np.where(empty, np.array([0, 0, width, height], np.float32), boxes)
    squares = square_boxes(usable, convention=convention, size=(width, height))
    if convention == "pear":
        squares = np.where(empty, whole_picture(width, height), squares)
    return squares


def _batches(
    pictures: Iterable[np.ndarray], squares: np.ndarray, convention: Convention
) -> Iterator[Tensor]:
    """The crops of up to ``_BATCH`` rows at a time."""
    source = iter(pictures)
    for start in range(0, len(squares), _BATCH):
        rows = squares[start : start + _BATCH]
        crops = [
            crop_tensor(rgb, rows[k : k + 1], convention)
            for k, rgb in enumerate(islice(source, len(rows)))
        ]
        yield torch.cat(crops)


def _join(values: list[Tensor]) -> Tensor:
    return torch.cat(values).float().cpu()


def _proportions(parts: list[PearEstimate]) -> Proportions:
    head = [p.proportions.head_betas for p in parts]
    return Proportions(
        _join([p.proportions.head_scale for p in parts]),
        _join([p.proportions.hand_scale for p in parts]),
        _join([h for h in head if h is not None]) if head[0] is not None else None,
    )


def pose_source(
    checkpoint: Path | None = None,
    device: str = "auto",
    body_models: Path | None = None,
    gender: Gender = "neutral",
    *,
    convention: Convention = "pear",
    precision: Precision = "auto",
) -> LifterSource | PearSource:
    """The PEAR network where a checkpoint is named, else the lifter.

    Args:
        checkpoint: the network's weights; None also where the environment names some
            (``PEAR_AVATAR_PEAR_CHECKPOINT``).
        device: "auto", "cpu" or "cuda"; the lifter always runs on the processor.
        body_models: the SMPL-X and FLAME files that the network was trained with.
        gender: which of them.
        convention: of the network's crops and body; the authors' own by default.
        precision: of the network's products; "float32" for measurements, whose rotations differ
            by half a degree from those of bfloat16.

    Raises:
        FileNotFoundError: the checkpoint or a model file is missing.
    """
    if checkpoint is None and not os.environ.get(CHECKPOINT_VARIABLE):
        return LifterSource.load()
    body = load_ehm(BodySource(BodyName.SMPLX, body_models, gender, convention))
    return PearSource.load(checkpoint, choose_device(device, gsplat=False), body, precision)
