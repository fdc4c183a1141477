"""Landmarks of a clip (or a still) -> pose, shape, face and camera in one pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX, NUM_JOINTS
from pear_avatar.body.model import BodyModel
from pear_avatar.body.open_body import load_body
from pear_avatar.body.topology import LIFTED_FACE_POINTS
from pear_avatar.errors import PearError
from pear_avatar.geometry.cameras import default_world_camera, invert_rigid
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.recovery.lens import guess_camera
from pear_avatar.recovery.lifter import layout
from pear_avatar.recovery.lifter.decode import FaceBasis, Lifted, decode
from pear_avatar.recovery.lifter.features import LandmarkRays, encode, person_box, pose_mask
from pear_avatar.recovery.lifter.landmark_rig import Shape, make_rig
from pear_avatar.recovery.lifter.lifter_network import LifterNetwork, Outputs
from pear_avatar.recovery.lifter.place import place
from pear_avatar.recovery.lifter.weights import load_network
from pear_avatar.types import BodyParams, Camera, ClipDetections, Proportions

_BATCH = 2048
#: Facial actions weaker than this are taken for none.
_FAINT = 0.05
#: Weight of one landmark of each set in placing the body.
_PLACE_WEIGHT = {"pose": 1.0, "left_hand": 0.3, "right_hand": 0.3, "face": 0.1}


@dataclass(frozen=True)
class PartConfidence:
    """How much of the answer was seen rather than supposed, (N,) each in [0, 1]."""

    body: Tensor
    left_hand: Tensor
    right_hand: Tensor
    face: Tensor


@dataclass(frozen=True)
class LiftedClip:
    """What the lifter makes of N frames.

    params:             BodyParams with betas (N, 16), each frame by itself.
    shared:             the same with one shape for all frames, betas (16,), placed anew.
    proportions:        head_scale and hand_scale (N, 3), each frame by itself.
    shared_proportions: (3,), pooled like the betas.
    actions:            (N, 52) facial actions in [0, 1], in the body's order of ARKit names.
    camera:             batch of N cameras, in whose world the bodies stand.
    confidence:         per part; a hand or face that was not seen is relaxed or at rest.
    """

    params: BodyParams
    shared: BodyParams
    proportions: Proportions
    shared_proportions: Proportions
    actions: Tensor
    camera: Camera
    confidence: PartConfidence


class Lifter:
    """The trained network with the body it was trained on.

    Args:
        network: weights. body: the open body. recipe: how the weights were made.
    """

    def __init__(
        self, network: LifterNetwork, body: BodyModel, recipe: dict[str, Any] | None = None
    ) -> None:
        self.network, self.body, self.recipe = network.eval(), body, recipe or {}
        self._face = FaceBasis(body.arkit_coef, body.arkit_pose)
        self._rig = make_rig(body, layout.NUM_BETAS)
        self._relaxed = relaxed_fingers()
        self._visible = torch.tensor([float(n != "tongueOut") for n in body.arkit_names])

    @classmethod
    def load(cls, path: str | Path | None = None) -> Lifter:
        """Read weights; ``None`` means those that ship with the package.

        Raises:
            FileNotFoundError: no such file. PearError: not a lifter.
        """
        network, recipe = load_network(path)
        return cls(network, load_body(), recipe)

    def lift(self, detections: ClipDetections, camera: Camera | None = None) -> LiftedClip:
        """Recover every frame of a clip, or a still (N = 1), independently of the others.

        Args:
            detections: landmarks; frames without a person get a body at rest and
                confidence 0.
            camera: the clip's camera, one or one per frame; a usual field of view if unknown.

        Raises:
            PearError: the camera is for pictures of another size or for other frames.
        """
        cameras = _cameras(detections, camera)
        seen = landmark_rays(detections, cameras)
        with torch.no_grad():
            box = person_box(seen)
            inputs = encode(seen, box)
            parts = [
                self.network(*rows) for rows in zip(*(x.split(_BATCH) for x in inputs), strict=True)
            ]
            out = Outputs(*(torch.cat(column) for column in zip(*parts, strict=True)))
            # A sigmoid never says nothing, and no landmark lies on the tongue.
            actions = ((out.actions - _FAINT) / (1 - _FAINT)).clamp_min(0) * self._visible
            out = _with_seen_actions(out._replace(actions=actions), detections)
            lifted = self._without_guesses(decode(out, box, self._face), seen)
            confidence = _confidence(seen)
            pooled = self._pool_shape(lifted, confidence, torch.from_numpy(detections.trusted))
            params, shared = self._place(lifted, pooled, seen, cameras)
            return LiftedClip(
                params=params,
                shared=replace(shared, betas=shared.betas[0]),
                proportions=Proportions(lifted.head_scale, lifted.hand_scale),
                shared_proportions=Proportions(pooled.head_scale[0], pooled.hand_scale[0]),
                actions=lifted.actions,
                camera=cameras,
                confidence=confidence,
            )

    def _without_guesses(self, lifted: Lifted, seen: LandmarkRays) -> Lifted:
        """Hands and faces out of sight are relaxed and at rest, never predicted."""
        left, right, face = (
            (c > 0)[:, None]
            for c in (seen.left_confidence, seen.right_confidence, seen.face_confidence)
        )
        R = lifted.rotations.clone()
        for fingers, found in ((layout.LEFT_FINGERS, left), (layout.RIGHT_FINGERS, right)):
            rest = self._relaxed[fingers.start - 25 : fingers.stop - 25]
            R[:, fingers] = torch.where(found[..., None, None], R[:, fingers], rest)
        R[:, 22:25] = torch.where(face[..., None, None], R[:, 22:25], torch.eye(3))
        one = torch.ones(())
        return replace(
            lifted,
            rotations=R,
            actions=lifted.actions * face,
            head_scale=torch.where(face, lifted.head_scale, one),
            hand_scale=torch.where(left | right, lifted.hand_scale, one),
        )

    def _pool_shape(self, lifted: Lifted, confidence: PartConfidence, trusted: Tensor) -> Lifted:
        """One shape for all frames: the mean of those that show it, as far as they are sure."""
        count = len(lifted.betas)

        def mean(values: Tensor, weight: Tensor) -> Tensor:
            weight = (weight * trusted)[:, None] + 1e-6
            return ((values * weight).sum(0, keepdim=True) / weight.sum()).expand(count, -1)

        hands = confidence.left_hand + confidence.right_hand
        return replace(
            lifted,
            betas=mean(lifted.betas, confidence.body),
            head_scale=mean(lifted.head_scale.log(), confidence.face).exp(),
            hand_scale=mean(lifted.hand_scale.log(), hands).exp(),
        )

    def _place(
        self, own: Lifted, pooled: Lifted, seen: LandmarkRays, cameras: Camera
    ) -> tuple[BodyParams, BodyParams]:
        """Bodies of each frame's own and of the pooled shape, placed by their landmarks in the
        camera's world."""
        expression = own.actions @ self._face.coef

        def both(a: Tensor, b: Tensor) -> Tensor:
            return torch.cat([a, b])

        betas = both(own.betas, pooled.betas)
        shape = Shape(
            betas,
            both(expression, expression),
            both(own.head_scale, pooled.head_scale),
            both(own.hand_scale, pooled.hand_scale),
        )
        _, joints, points = self._rig.pose(both(own.rotations, own.rotations), shape)
        rays, weight = (both(x, x) for x in _rays_and_weights(seen))
        pelvis = place(points - joints[:, :1], rays, weight, both(own.pelvis, own.pelvis))
        T_world_view = invert_rigid(cameras.T_camera_world) @ default_world_camera()
        R, t = T_world_view[..., :3, :3], T_world_view[..., :3, 3]
        rotations = torch.cat([(R @ own.rotations[:, 0])[:, None], own.rotations[:, 1:]], 1)
        placed = (both(R, R) @ pelvis[..., None])[..., 0] + both(t, t)
        transl = placed - joints[:, 0]
        first, second = (
            BodyParams(b, expression, rotations, x)
            for b, x in zip(betas.chunk(2), transl.chunk(2), strict=True)
        )
        return first, second


def _with_seen_actions(out: Outputs, detections: ClipDetections) -> Outputs:
    """The detector's facial actions, which know lips and lids better, where it has any.

    They turn the eyes too, so the lifter's own gaze counts only where they are missing.
    """
    if detections.face_actions is None:
        return out
    found = torch.from_numpy(np.ascontiguousarray(detections.face_actions)).to(out.actions)
    seen = found.amax(1, keepdim=True) > 0
    return out._replace(
        actions=torch.where(seen, found, out.actions),
        gaze=torch.where(seen, torch.zeros_like(out.gaze), out.gaze),
    )


def landmark_rays(detections: ClipDetections, cameras: Camera) -> LandmarkRays:
    """Detections as the lifter reads them: rays of the given cameras (one per frame)."""
    K = cameras.K
    focal = torch.stack([K[:, 0, 0], K[:, 1, 1]], -1)
    center = K[:, :2, 2]

    def number(values: np.ndarray) -> Tensor:
        return torch.from_numpy(np.nan_to_num(np.asarray(values, np.float32)))

    def rays(pixels: np.ndarray) -> Tensor:
        return (number(pixels) - center[:, None]) / focal[:, None]

    size = torch.tensor([float(detections.width), float(detections.height)])
    return LandmarkRays(
        pose=rays(detections.pose_px),
        pose_confidence=number(detections.pose_confidence),
        pose_world=number(detections.pose_world) * torch.tensor([1.0, -1.0, -1.0]),
        left_hand=rays(detections.left_hand_px),
        left_confidence=number(detections.left_hand_confidence),
        right_hand=rays(detections.right_hand_px),
        right_confidence=number(detections.right_hand_confidence),
        face=rays(detections.face_px[:, list(LIFTED_FACE_POINTS)]),
        face_confidence=number(detections.face_confidence),
        border=torch.cat([-center / focal, (size - center) / focal], -1),
    )


def relaxed_fingers() -> Tensor:
    """(30, 3, 3) both hands hanging loosely: slightly curled fingers."""
    aa = torch.zeros(NUM_JOINTS, 3)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for finger in ("index", "middle", "ring", "pinky"):
            for k, bend in ((1, 0.30), (2, 0.35), (3, 0.22)):
                aa[JOINT_INDEX[f"{side}_{finger}{k}"], 2] = -sign * bend
        for k in (2, 3):
            aa[JOINT_INDEX[f"{side}_thumb{k}"], 1] = -0.12 * sign
    return axis_angle_to_matrix(aa[25:])


def _cameras(detections: ClipDetections, camera: Camera | None) -> Camera:
    """One camera per frame."""
    N, width, height = detections.num_frames, detections.width, detections.height
    if camera is None:
        camera = guess_camera(width, height)
    if (camera.width, camera.height) != (width, height):
        raise PearError(
            f"the camera is for {camera.width} x {camera.height} pixels, the pictures have "
            f"{width} x {height}: give the camera of these pictures"
        )
    batch = tuple(camera.K.shape[:-2])
    if batch not in {(), (1,), (N,)}:
        raise PearError(f"the camera has batch shape {batch}; give one or one per frame ({N})")
    K, T = camera.K.float(), camera.T_camera_world.float()
    return replace(camera, K=K.expand(N, 3, 3), T_camera_world=T.expand(N, 4, 4))


def _rays_and_weights(seen: LandmarkRays) -> tuple[Tensor, Tensor]:
    """(B, L, 2) rays of all landmarks in the rig's order and their weights (B, L)."""
    mask = pose_mask(seen.pose_confidence)
    parts = (
        (seen.left_hand, seen.left_confidence, "left_hand"),
        (seen.right_hand, seen.right_confidence, "right_hand"),
        (seen.face, seen.face_confidence, "face"),
    )
    rays, weights = [seen.pose], [_PLACE_WEIGHT["pose"] * seen.pose_confidence * mask]
    for points, confidence, name in parts:
        rays.append(points)
        weights.append((_PLACE_WEIGHT[name] * confidence)[:, None].expand(-1, points.shape[1]))
    return torch.cat(rays, 1), torch.cat(weights, 1)


def _confidence(seen: LandmarkRays) -> PartConfidence:
    shown = seen.pose_confidence * pose_mask(seen.pose_confidence)
    return PartConfidence(
        body=shown[:, 11:].mean(1),
        left_hand=seen.left_confidence,
        right_hand=seen.right_confidence,
        face=seen.face_confidence,
    )
