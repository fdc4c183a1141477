"""Picture in, people out: ``Recoverer()(picture)``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.ehm import EhmModel
from pear_avatar.errors import PearError
from pear_avatar.geometry.cameras import default_world_camera
from pear_avatar.io.closing import Closing
from pear_avatar.io.images import read_image
from pear_avatar.perception.measure import SEEN
from pear_avatar.perception.picture import DetectedPerson, PictureDetector
from pear_avatar.recovery.lens import guess_camera
from pear_avatar.recovery.recovered import PoseEstimate, RecoveredPeople, RecoveredPerson
from pear_avatar.recovery.turning import (
    QUARTER_TURNS,
    turn_boxes_back,
    turn_picture,
    turned_camera,
    upright_params,
)
from pear_avatar.types import BodyParams, Camera, ClipDetections, Proportions

__all__ = ["PoseSource", "Recoverer", "visibility"]

#: Smaller pictures (pixels, shorter side) show nothing that could be recovered.
_MIN_SIDE = 32


class PoseSource(Protocol):
    """What turns pixels or landmarks into parameters: the lifter or a network."""

    @property
    def body(self) -> EhmModel:
        """The body that the parameters are for."""

    def recover(
        self, pictures: Iterable[np.ndarray], detections: ClipDetections, camera: Camera
    ) -> PoseEstimate:
        """Recover P people, or one person in P frames.

        Args:
            pictures: P (H, W, 3) uint8 pictures, one for each row of the detections; read only
                by sources that look at pixels.
            detections: P rows.
            camera: of the pictures, without batch axes.
        """

    def recover_clip(
        self, pictures: Iterable[np.ndarray], detections: ClipDetections, camera: Camera
    ) -> PoseEstimate:
        """One person in N frames, as :meth:`recover`, but of one shape: betas (S,), scales (3,)."""


class Recoverer(Closing):
    """Recovers the people of pictures; networks are loaded once and kept until ``close``.

    Args:
        source: what recovers the parameters; by default the landmark lifter that ships with the
            package.
        detector: detects people; by default with mediapipe's networks.
    """

    def __init__(
        self, source: PoseSource | None = None, detector: PictureDetector | None = None
    ) -> None:
        if source is None:
            from pear_avatar.recovery.sources import LifterSource

            source = LifterSource.load()
        self.source = source
        self.detector = detector or PictureDetector()

    def close(self) -> None:
        """Free the networks."""
        self.detector.close()

    def __call__(
        self,
        image: str | Path | np.ndarray,
        *,
        everyone: bool = False,
        box: Sequence[float] | None = None,
        camera: Camera | None = None,
    ) -> RecoveredPeople:
        """Recover the largest person, the one in a box, or all people.

        A picture in which no person is found is tried upside down and on its sides as well.

        Args:
            image: a file, or (H, W, 3) uint8 RGB.
            everyone: all people, largest first; otherwise only the largest.
            box: (4,) x0, y0, x1, y1 in pixels: the person to recover.
            camera: of the picture, without batch axes; by default a usual lens is assumed.

        Returns:
            The people; empty if there are none.

        Raises:
            MediaError: the file is not a picture that can be read.
            ValueError: the array is not an RGB picture, or box or camera do not fit it.
        """
        rgb = image if isinstance(image, np.ndarray) else read_image(image)
        _check_picture(rgb, box, camera)
        height, width = rgb.shape[:2]
        given = camera or guess_camera(width, height)
        if min(width, height) < _MIN_SIDE:
            return RecoveredPeople((), width, height)
        for turns in QUARTER_TURNS if box is None else (0,):
            turned = turn_picture(rgb, turns) if turns else rgb
            seen = self._look(turned, everyone, box)
            if seen:
                return self._recover(turned, seen, given, turns)
        return RecoveredPeople((), width, height)

    def _look(
        self, rgb: np.ndarray, everyone: bool, box: Sequence[float] | None
    ) -> list[DetectedPerson]:
        if everyone:
            return self.detector.everyone(rgb)
        one = self.detector.largest(rgb) if box is None else self.detector.in_box(rgb, box)
        return [one] if one is not None else []

    def _recover(
        self, rgb: np.ndarray, seen: Sequence[DetectedPerson], given: Camera, turns: int
    ) -> RecoveredPeople:
        rolled = turned_camera(given, turns)
        upright = default_world_camera(given.K.dtype)
        looked = given if turns == 0 else replace(rolled, T_camera_world=upright)
        detections = ClipDetections.concat([person.detections for person in seen])
        with torch.no_grad():
            found = self.source.recover(repeat(rgb, len(seen)), detections, looked)
        confidence = visibility(detections)
        people = []
        for i in range(len(seen)):
            params, camera = found.params[i], _camera_at(found.camera, i)
            if turns:
                pelvis = self._pelvis(params, _proportions_at(found.proportions, i))
                params = upright_params(params, pelvis, looked, rolled)
                camera = given
            box = turn_boxes_back(detections.box_xyxy[i], turns, given.width, given.height)
            people.append(
                RecoveredPerson(
                    params=params,
                    proportions=_proportions_at(found.proportions, i),
                    camera=camera,
                    box_xyxy=box,
                    confidence=float(confidence[i]),
                    reason=str(detections.reason[i]),
                    identity=i,
                    detections=seen[i].detections,
                    quarter_turns=turns,
                )
            )
        return RecoveredPeople(tuple(people), given.width, given.height)

    def _pelvis(self, params: BodyParams, proportions: Proportions) -> Tensor:
        return self.source.body.shape(params.betas, None, proportions).joints[..., 0, :]


def _check_picture(rgb: np.ndarray, box: Sequence[float] | None, camera: Camera | None) -> None:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(
            f"a picture must be an (H, W, 3) uint8 RGB array, got {rgb.dtype} {rgb.shape}"
        )
    height, width = rgb.shape[:2]
    if camera is not None and (camera.width, camera.height) != (width, height):
        raise PearError(
            f"the camera is for {camera.width} x {camera.height} pixels, the picture has "
            f"{width} x {height}"
        )
    if box is not None:
        x0, y0, x1, y1 = (float(v) for v in box)
        if not (x0 < x1 and y0 < y1 and x0 < width and y0 < height and x1 > 0 and y1 > 0):
            raise PearError(
                f"the box {tuple(box)} must be x0, y0, x1, y1 in pixels and overlap the picture "
                f"({width} x {height})"
            )


def _camera_at(camera: Camera, i: int) -> Camera:
    return camera if camera.K.dim() == 2 else camera[i]


def _proportions_at(proportions: Proportions, i: int) -> Proportions:
    def row(value: Tensor | None, ndim: int) -> Tensor | None:
        return value if value is None or value.dim() == ndim else value[i]

    head, hand = proportions.head_scale, proportions.hand_scale
    return Proportions(
        head if head.dim() == 1 else head[i],
        hand if hand.dim() == 1 else hand[i],
        row(proportions.head_betas, 1),
        row(proportions.joint_offsets, 2),
    )


def visibility(detections: ClipDetections) -> np.ndarray:
    """(N,) in [0, 1]: mean visibility of the landmarks that are seen, 0 where none is."""
    seen = detections.pose_confidence > SEEN
    total = (detections.pose_confidence * seen).sum(1)
    mean: np.ndarray = total / np.maximum(seen.sum(1), 1)
    return mean
