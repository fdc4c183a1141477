"""The body under construction, and the plainest possible way to pose it (float64, one body)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pear_avatar.body.joints import NUM_JOINTS, PARENTS


@dataclass(frozen=True)
class BodyArrays:
    """Dense arrays of the finished geometry, before packing.

    mean (V, 3); shape_dirs (V, 3, S); expression_dirs (V, 3, E); weights (V, 55) skinning;
    regressor (55, V); faces (F, 3); uv (T, 2) and uv_faces (F, 3); mirror (V,);
    face_part (F,) index into part_names; is_eye (V,) eyeballs; scalp (V,).
    """

    mean: np.ndarray
    shape_dirs: np.ndarray
    expression_dirs: np.ndarray
    weights: np.ndarray
    regressor: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    mirror: np.ndarray
    part_names: tuple[str, ...]
    face_part: np.ndarray
    is_eye: np.ndarray
    scalp: np.ndarray


def shaped(body: BodyArrays, betas: np.ndarray, expression: np.ndarray | None = None) -> np.ndarray:
    """(V, 3) the body in T-pose with shape coefficients (<=S,) and expression (E,)."""
    vertices = body.mean + body.shape_dirs[..., : len(betas)] @ betas
    return vertices if expression is None else vertices + body.expression_dirs @ expression


def joint_transforms(joints: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Rest joints (55, 3) and local rotations (55, 3, 3) -> (55, 4, 4), rest to posed."""
    world = np.tile(np.eye(4), (NUM_JOINTS, 1, 1))
    world[0, :3, :3], world[0, :3, 3] = rotations[0], joints[0]
    for j in range(1, NUM_JOINTS):
        parent = PARENTS[j]
        world[j, :3, :3] = world[parent, :3, :3] @ rotations[j]
        offset = joints[j] - joints[parent]
        world[j, :3, 3] = world[parent, :3, :3] @ offset + world[parent, :3, 3]
    relative = world.copy()
    relative[:, :3, 3] -= np.einsum("jab,jb->ja", world[:, :3, :3], joints)
    return relative


def posed(
    body: BodyArrays,
    betas: np.ndarray,
    rotations: np.ndarray,
    expression: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Posed vertices (V, 3) and joints (55, 3) by linear blend skinning."""
    rest = shaped(body, betas, expression)
    joints = body.regressor @ rest
    T = joint_transforms(joints, rotations)
    blended = (body.weights @ T.reshape(NUM_JOINTS, 16)).reshape(-1, 4, 4)
    vertices = np.einsum("vab,vb->va", blended[:, :3, :3], rest) + blended[:, :3, 3]
    moved = np.einsum("jab,jb->ja", T[:, :3, :3], joints) + T[:, :3, 3]
    return vertices, moved
