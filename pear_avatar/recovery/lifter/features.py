"""Detected landmarks -> the network's inputs, normalised to the person's box.

All image places are rays (see :mod:`pear_avatar.training.lifter.views`), so that the network
never sees pixels or focal lengths, only directions from the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pear_avatar.body.topology import NUM_HAND
from pear_avatar.geometry.rotations import rotation_between

#: Pose landmarks with less confidence than this are not shown to the network.
LEAST_CONFIDENCE = 0.25
_FAR = 1e3


class Inputs(NamedTuple):
    """What the network reads, B frames; float32, widths in :mod:`layout`, all O(1)."""

    pose: Tensor
    context: Tensor
    left_hand: Tensor
    right_hand: Tensor
    face: Tensor


@dataclass(frozen=True)
class LandmarkRays:
    """Landmarks of B frames as the detector gives them, as rays.

    pose (B, 33, 2), pose_confidence (B, 33), pose_world (B, 33, 3) metres about the hips with y
    up and z towards the camera; left_hand, right_hand (B, 21, 2); face (B, F, 2); the parts'
    confidences (B,), 0 where not found; border (B, 4): the picture's left, top, right and
    bottom edge.
    """

    pose: Tensor
    pose_confidence: Tensor
    pose_world: Tensor
    left_hand: Tensor
    left_confidence: Tensor
    right_hand: Tensor
    right_confidence: Tensor
    face: Tensor
    face_confidence: Tensor
    border: Tensor


@dataclass(frozen=True)
class Box:
    """Where the person is: center (B, 2) and size (B,) as rays; turn (B, 3, 3) from the camera's
    axis to the person's direction."""

    center: Tensor
    size: Tensor
    turn: Tensor


def pose_mask(confidence: Tensor) -> Tensor:
    """(B, 33) 1 where a pose landmark is shown to the network."""
    return (confidence >= LEAST_CONFIDENCE).to(confidence.dtype)


def person_box(seen: LandmarkRays) -> Box:
    """The square around everything that was found."""
    shown = [
        (seen.pose, pose_mask(seen.pose_confidence) > 0),
        (seen.left_hand, (seen.left_confidence > 0)[:, None].expand(-1, NUM_HAND)),
        (seen.right_hand, (seen.right_confidence > 0)[:, None].expand(-1, NUM_HAND)),
        (seen.face, (seen.face_confidence > 0)[:, None].expand(-1, seen.face.shape[1])),
    ]
    points = torch.cat([p for p, _ in shown], 1)
    mask = torch.cat([m for _, m in shown], 1)[..., None]
    low = torch.where(mask, points, _FAR).amin(1)
    high = torch.where(mask, points, -_FAR).amax(1)
    empty = ~mask.any(1)
    low, high = torch.where(empty, -0.5, low), torch.where(empty, 0.5, high)
    center = 0.5 * (low + high)
    size = (high - low).amax(-1).clamp_min(1e-3)
    return Box(center, size, viewing_turn(center))


def viewing_turn(ray: Tensor) -> Tensor:
    """(B, 3, 3) the turn from the camera's axis to rays (B, 2).

    Detectors see a crop and report 3D as if the camera looked straight at the person.
    """
    forward = torch.stack([ray[:, 0], -ray[:, 1], -torch.ones_like(ray[:, 0])], -1)
    axis = ray.new_tensor([0.0, 0.0, -1.0])
    return rotation_between(axis.expand_as(forward), forward)


def encode(seen: LandmarkRays, box: Box) -> Inputs:
    """Normalise what was seen to the box; what was not seen becomes zero."""
    mask = pose_mask(seen.pose_confidence)[..., None]
    pose = torch.cat(
        [_in_box(seen.pose, box), seen.pose_confidence[..., None], seen.pose_world], -1
    )
    border = _in_box(seen.border.unflatten(-1, (2, 2)), box).flatten(1).clamp(-2.5, 2.5)
    world = (seen.pose_world.abs().amax((1, 2)) > 0).to(mask.dtype)
    context = torch.cat([box.center, box.size.log()[:, None] + 1.0, border, world[:, None]], -1)
    mirrored = seen.left_hand.new_tensor([-1.0, 1.0])
    mirrored_box = Box(box.center * mirrored, box.size, box.turn)
    return Inputs(
        (pose.clamp(-4, 4) * mask).flatten(1),
        context,
        _part(seen.left_hand * mirrored, seen.left_confidence, mirrored_box),
        _part(seen.right_hand, seen.right_confidence, box),
        _part(seen.face, seen.face_confidence, box),
    )


def _in_box(points: Tensor, box: Box) -> Tensor:
    """(B, P, 2) rays -> [-1, 1] within the box."""
    return (points - box.center[:, None]) / box.size[:, None, None] * 2


def _part(points: Tensor, confidence: Tensor, box: Box) -> Tensor:
    """A part in its own square, followed by where and how large that is, and the confidence."""
    low, high = points.amin(1), points.amax(1)
    center, size = 0.5 * (low + high), (high - low).amax(-1).clamp_min(1e-4)
    own = (points - center[:, None]) / size[:, None, None] * 2
    place = (center - box.center) / box.size[:, None] * 2
    scale = (size / box.size).clamp(1e-3, 4).log()[:, None] + 1.5
    found = (confidence > 0).to(points.dtype)[:, None]
    row = torch.cat([own.flatten(1), place.clamp(-4, 4), scale, found, confidence[:, None]], -1)
    return row * found
