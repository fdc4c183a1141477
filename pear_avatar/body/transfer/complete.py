"""What a fit needs and SMPL-X lacks: landmarks, parts, scalp, eyelids and facial actions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.model import BodyModel
from pear_avatar.body.transfer.face_actions import action_offsets, solve_actions
from pear_avatar.body.transfer.landmark_transfer import carry_landmarks
from pear_avatar.body.transfer.regions import BodySurface, nearest_in_region
from pear_avatar.body.transfer.register import KnownSets, register

__all__ = ["Transfer", "complete_body", "complete_head"]

#: Parts inside the head that have no counterpart to be pulled onto.
_INNER = ("mouth_cavity", "eye_cavity.L", "eye_cavity.R", "tongue", "teeth")
_FAR = 0.03  # metres; a vertex farther from the laid surface has no counterpart


@dataclass(frozen=True)
class Transfer:
    """A completed body, and what its head needs besides.

    body:    the target with everything filled in.
    offsets: (52, V, 3) metres, the facial actions on the target's vertices.
    face:    (V,) how much each vertex counts in them.
    """

    body: BodyModel
    offsets: np.ndarray
    face: np.ndarray


def complete_body(source: BodyModel, target: BodyModel, known: KnownSets) -> Transfer:
    """Fill in what ``target`` lacks from ``source``, a body with the same 55 joints."""
    here, there = BodySurface.of(source), BodySurface.of(target)
    inner = _vertices_of(source, _INNER)
    laid = here.moved(register(source, target, known, ~inner))
    place = nearest_in_region(laid.vertices, laid.normals(), laid.share, there)
    sets = {
        name: carry_landmarks(marks, here, laid, there, place)
        for name, marks in source.landmark_sets.items()
    }
    back = nearest_in_region(there.vertices, there.normals(), there.share, laid)
    near = back.distance < _FAR
    on_eye = there.share[:, [3, 4]].sum(1) > 0.5

    def carried(values: np.ndarray) -> np.ndarray:
        found = back.carry(values, laid.faces)
        return found * near.reshape(-1, *[1] * (found.ndim - 1))

    offsets = action_offsets(source).double().numpy().transpose(1, 0, 2)
    offsets = carried(offsets).transpose(1, 0, 2)
    face = near * ~on_eye * (back.carry((~inner).astype(float), laid.faces) > 0.5) * 1.0
    eyelids = carried(source.eyelid_dirs.double().numpy()) * ~on_eye[:, None, None]
    body = replace(
        target,
        part_names=source.part_names,
        face_part=torch.from_numpy(_parts(source, laid, there)),
        scalp=torch.from_numpy(carried(source.scalp.double().numpy()) > 0.5),
        eyelid_dirs=torch.from_numpy(eyelids).float(),
        arkit_names=source.arkit_names,
        arkit_pose=source.arkit_pose,
        arkit_coef=solve_actions(target, JOINT_INDEX["jaw"], source.arkit_pose, offsets, face),
        landmark_sets={**target.landmark_sets, **sets},
    )
    return Transfer(body, offsets, face)


def complete_head(transfer: Transfer, head: BodyModel, vertices: Tensor) -> BodyModel:
    """Fill in what a head of FLAME's 5 joints lacks.

    Args:
        transfer: of the body that the head belongs to.
        vertices: (Vh,) the body's vertex of each of the head's.
    """
    body, chosen = transfer.body, vertices.numpy()
    part = torch.zeros(body.num_vertices, dtype=torch.int64)
    part[body.faces] = body.face_part[:, None].expand(-1, 3)
    return replace(
        head,
        part_names=body.part_names,
        face_part=part[vertices][head.faces].mode(1).values,
        scalp=body.scalp[vertices],
        eyelid_dirs=body.eyelid_dirs[vertices],
        arkit_names=body.arkit_names,
        arkit_pose=body.arkit_pose,
        arkit_coef=solve_actions(
            head, 2, body.arkit_pose, transfer.offsets[:, chosen], transfer.face[chosen]
        ),
    )


def _vertices_of(body: BodyModel, parts: tuple[str, ...]) -> np.ndarray:
    """(V,) bool: vertices that only these parts use."""
    of_part = np.isin(body.face_part.numpy(), [body.part_names.index(p) for p in parts])
    inside = np.zeros(body.num_vertices, bool)
    inside[body.faces.numpy()[of_part]] = True
    inside[body.faces.numpy()[~of_part]] = False
    return inside


def _parts(source: BodyModel, laid: BodySurface, there: BodySurface) -> np.ndarray:
    """(F,) the part of the source's triangle nearest to each of the target's."""
    corners = there.vertices[there.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    share = there.share[there.faces].mean(1)
    found = nearest_in_region(corners.mean(1), normals, share, laid)
    return np.asarray(source.face_part.numpy()[found.face])
