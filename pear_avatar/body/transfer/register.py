"""Laying the open body's surface on another body's: known points first, then the skin.

First the open body takes the shape and the pose that bring its joints and known points nearest
to the other's. A smooth warp (biharmonic radial basis functions) takes them the rest of the way.
Then skin is pulled onto skin, region by region, while neighbours move alike (after Amberg et
al., "Optimal step nonrigid ICP algorithms", 2007, with displacements in the place of affine
transforms).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse
from scipy.interpolate import RBFInterpolator
from scipy.sparse.linalg import splu
from torch import Tensor

from pear_avatar.body.joints import JOINT_NAMES
from pear_avatar.body.landmarks import LandmarkSet
from pear_avatar.body.model import BodyModel
from pear_avatar.body.transfer.regions import BodySurface, nearest_in_region
from pear_avatar.errors import ModelFileError
from pear_avatar.geometry.rotations import rotation_between

__all__ = ["KnownSets", "register"]

_LOG = logging.getLogger(__name__)

_SHAPE_PRIOR = 2e-3  # metres of a correspondence that one unit of betas is worth
_SHAPE_ROUNDS = 3
_WARP_SMOOTHING = 1e-5
#: (weight of smoothness, how far skin is looked for in metres) of each round.
_ROUNDS = ((30.0, 0.06), (8.0, 0.04), (2.0, 0.025), (0.5, 0.015))
_FACING = 0.5
_SHORT_BONE, _SAME_WAY = 0.03, 0.5  # metres, cosine
_POOR_FIT = 0.004  # metres; skin on skin is usually well below 1 mm


@dataclass(frozen=True)
class KnownSets:
    """Points with the same meaning on both bodies, as landmark sets of equal length."""

    source: LandmarkSet
    target: LandmarkSet


def register(body: BodyModel, target: BodyModel, known: KnownSets, skin: np.ndarray) -> np.ndarray:
    """(V, 3): the vertices of ``body`` laid on ``target``, float64.

    Args:
        body: the open body.
        target: another body with the same joints.
        known: points that mean the same on both; the joints are added.
        skin: (V,) bool, the vertices to be pulled onto the target; the others follow.

    Raises:
        ModelFileError: the target's joints do not lie as SMPL-X's in a T-pose.
    """
    _check_same_joints(body, target)
    marks = known.target.gather(target.joint_template, target.v_template)
    wanted = torch.cat([target.joint_template, marks]).double().numpy()
    vertices, placed = _fit_person(body, known.source, wanted)
    _, once = np.unique(np.round(placed, 7), axis=0, return_index=True)
    warp = RBFInterpolator(
        placed[once], (wanted - placed)[once], kernel="linear", degree=1, smoothing=_WARP_SMOOTHING
    )
    vertices = vertices + warp(vertices)
    source, surface = BodySurface.of(body), BodySurface.of(target)
    laplacian = _laplacian(source.faces, len(vertices))
    for stiffness, reach in _ROUNDS:
        vertices = _pull(source.moved(vertices), surface, skin, laplacian, stiffness, reach=reach)
    _report(source.moved(vertices), surface, skin)
    return vertices


def _report(laid: BodySurface, surface: BodySurface, skin: np.ndarray) -> None:
    """Say how well the surfaces lie on each other, loudly where they do not."""
    asked = np.nonzero(skin)[0]
    found = nearest_in_region(
        laid.vertices[asked], laid.normals()[asked], laid.share[asked], surface
    )
    mean = float(found.distance.mean())
    level = logging.WARNING if mean > _POOR_FIT else logging.INFO
    _LOG.log(level, "the open body's skin lies %.2f mm from the other's on average", 1e3 * mean)


def _check_same_joints(body: BodyModel, target: BodyModel) -> None:
    """Every bone must point roughly the same way: the same joints, y up, facing +z, T-pose."""
    parent = list(body.parents[1:])

    def bones(model: BodyModel) -> Tensor:
        return model.joint_template[1:] - model.joint_template[parent]

    here, there = bones(body), bones(target)
    cosine = torch.nn.functional.cosine_similarity(here, there, dim=-1)
    # Short bones (collars, jaw) may point anywhere.
    cosine[torch.minimum(here.norm(dim=-1), there.norm(dim=-1)) < _SHORT_BONE] = 1.0
    worst = int(cosine.argmin())
    if float(cosine[worst]) < _SAME_WAY:
        angle = float(torch.rad2deg(torch.arccos(cosine[worst].clamp(-1, 1))))
        raise ModelFileError(
            f"the joints do not lie as SMPL-X's in a T-pose (y up, facing +z): the bone to "
            f"{JOINT_NAMES[worst + 1]} points {angle:.0f} degrees away from the open body's; "
            "use the model file as its owner distributes it"
        )


def _fit_person(
    body: BodyModel, marks: LandmarkSet, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) of the open body shaped and posed, and its joints and known points.

    Shape and translation by linear least squares for a given pose, then the pose that points
    every bone where the target's points, in turn.
    """
    body = replace(body, landmark_sets={"known": marks})
    rotations = torch.eye(3).repeat(body.num_joints, 1, 1)
    target_joints = torch.from_numpy(wanted[: body.num_joints]).float()

    def points(betas: Tensor) -> np.ndarray:
        posed = body.shape(betas).pose(rotations)
        return torch.cat([posed.joints, posed.landmarks("known")], -2).double().numpy()

    shapes = body.num_betas
    betas, shift = torch.zeros(shapes), np.zeros(3)
    with torch.no_grad():
        for _ in range(_SHAPE_ROUNDS):
            rotations = _point_bones(body.shape(betas).joints, target_joints, body.parents)
            start = points(torch.zeros(shapes))
            dirs = points(torch.eye(shapes)) - start
            solution, shift = _solve_shape(dirs.transpose(1, 2, 0), wanted - start)
            betas = torch.from_numpy(solution).float()
        placed = points(betas) + shift
        vertices = body.shape(betas).pose(rotations).vertices().double().numpy() + shift
    return vertices, placed


def _solve_shape(dirs: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Betas (S,) and translation (3,) for directions (P, 3, S) and offsets (P, 3)."""
    count, _, shapes = dirs.shape
    matrix = np.zeros((3 * count + shapes, shapes + 3))
    matrix[: 3 * count, :shapes] = dirs.reshape(-1, shapes)
    matrix[: 3 * count, shapes:] = np.tile(np.eye(3), (count, 1))
    matrix[3 * count :, :shapes] = _SHAPE_PRIOR * np.sqrt(count) * np.eye(shapes)
    wanted = np.concatenate([offsets.reshape(-1), np.zeros(shapes)])
    solution = np.linalg.lstsq(matrix, wanted, rcond=None)[0]
    return solution[:shapes], solution[shapes:]


def _point_bones(joints: Tensor, target: Tensor, parents: tuple[int, ...]) -> Tensor:
    """(J, 3, 3) local rotations that turn each bone of ``joints`` the way of ``target``'s.

    A joint with one child turns by the smallest rotation, one with several by Kabsch's; one
    without any keeps its parent's turn.
    """
    world = torch.eye(3).repeat(len(parents), 1, 1)
    local = torch.eye(3).repeat(len(parents), 1, 1)
    for joint, parent in enumerate(parents):
        above = world[parent] if parent >= 0 else torch.eye(3)
        children = [c for c, p in enumerate(parents) if p == joint]
        turn = torch.eye(3)
        if children:
            bones = (joints[children] - joints[joint]) @ above.T
            aims = target[children] - target[joint]
            if len(children) == 1:
                turn = rotation_between(bones[0], aims[0])
            else:
                turn = _kabsch(bones, aims)
        world[joint] = turn @ above
        local[joint] = above.T @ world[joint]
    return local


def _kabsch(points: Tensor, target: Tensor) -> Tensor:
    """(3, 3) the rotation about the origin that best turns points (N, 3) into target (N, 3)."""
    u, _, vt = torch.linalg.svd(target.T @ points)
    sign = torch.sign(torch.linalg.det(u @ vt))
    return u @ torch.diag(torch.stack([sign.new_ones(()), sign.new_ones(()), sign])) @ vt


def _laplacian(faces: np.ndarray, size: int) -> sparse.csc_matrix:
    edges = np.unique(np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    links = sparse.coo_matrix((np.ones(len(edges)), edges.T), (size, size))
    links = links + links.T
    degree = np.asarray(links.sum(1)).reshape(-1)
    return (sparse.diags(degree) - links).tocsc()


def _pull(
    source: BodySurface,
    target: BodySurface,
    skin: np.ndarray,
    laplacian: sparse.csc_matrix,
    stiffness: float,
    *,
    reach: float,
) -> np.ndarray:
    """One round: skin moves to the nearest skin as far as its neighbours agree."""
    normals = source.normals()
    asked = np.nonzero(skin)[0]
    found = nearest_in_region(source.vertices[asked], normals[asked], source.share[asked], target)
    there = found.carry(target.vertices, target.faces)
    facing = (found.carry(target.normals(), target.faces) * normals[asked]).sum(1)
    trust = np.zeros(len(source.vertices))
    trust[asked] = (found.distance < reach) * np.clip((facing - _FACING) / (1 - _FACING), 0, 1)
    step = np.zeros_like(source.vertices)
    step[asked] = there - source.vertices[asked]
    # Parts without any trusted vertex (teeth, tongue) stay where the warp put them.
    system = sparse.diags(trust + 1e-6) + stiffness * laplacian
    moved: np.ndarray = source.vertices + splu(system.tocsc()).solve(trust[:, None] * step)
    return moved
