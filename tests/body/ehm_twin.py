"""EHM-s written out slowly in NumPy, line by line in the order of the authors' programs.

It shares nothing with the package: the head is posed by its full kinematic chain, scaled after
posing, and written into the body before the joints are regressed anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TwinInputs:
    """Arrays of one person in one frame; betas and expression have full length."""

    betas: np.ndarray
    expression: np.ndarray
    rotations: np.ndarray
    transl: np.ndarray
    head_scale: np.ndarray
    hand_scale: np.ndarray
    head_betas: np.ndarray | None
    joint_offsets: np.ndarray
    eyelids: np.ndarray


def array(tensor):
    return tensor.double().numpy()


def regressor_of(body):
    regressor = np.zeros((body.num_joints, body.num_vertices))
    for j in range(body.num_joints):
        for vertex, weight in zip(body.joint_index[j], body.joint_weight[j], strict=True):
            regressor[j, int(vertex)] += float(weight)
    return regressor


def skin(model, rest, joints, rotations, pose_dirs=None):
    """Linear blend skinning with a loop over the chain and one over the vertices."""
    if pose_dirs is not None:
        rest = rest + pose_dirs @ (rotations[1:] - np.eye(3)).reshape(-1)
    world = []
    for j, parent in enumerate(model.parents):
        local = np.eye(4)
        local[:3, :3] = rotations[j]
        local[:3, 3] = joints[j] - (joints[parent] if parent >= 0 else 0)
        world.append(local if parent < 0 else world[parent] @ local)
    moves = []
    for j, T in enumerate(world):
        back = np.eye(4)
        back[:3, 3] = -joints[j]
        moves.append(T @ back)
    weights = array(model.skin_weights_t)
    out = np.empty_like(rest)
    for v, point in enumerate(rest):
        blended = sum(weights[j, v] * moves[j] for j in range(len(moves)))
        out[v] = (blended @ np.append(point, 1))[:3]
    return out, np.array([T[:3, 3] for T in world])


def naive_ehm(ehm, given: TwinInputs):
    """Posed vertices (V, 3), posed joints (55, 3) and rest joints of a hard overwrite."""
    body, head, where = ehm.body, ehm.head, ehm.head_vertices.numpy()
    # The body without its jaw and eyes, and its joints.
    v_shaped = array(body.v_template) + array(body.shape_dirs) @ given.betas
    v_shaped = v_shaped + array(body.expression_dirs) @ given.expression
    joints = array(body.joint_template) + array(body.joint_shape_dirs) @ given.betas
    joints = joints + array(body.joint_expression_dirs) @ given.expression
    regress_error = joints - regressor_of(body) @ v_shaped  # float16 tables: of rounding only
    own_joints = joints
    joints = joints + given.joint_offsets
    # 1. The head, with jaw and eyes only; eyelids after skinning; the scale about its eyes.
    if given.head_betas is None:
        head_rest, head_joints = v_shaped[where], np.zeros((5, 3))
        head_joints[2:] = own_joints[22:25]
        dirs = None
        if body.pose_dirs is not None:
            dirs = np.zeros((len(where), 3, 36))
            dirs[:, :, 9:] = array(body.pose_dirs)[where][:, :, 9 * 21 : 9 * 24]
    else:
        known = head.num_expression
        expression = given.expression[:known]
        head_rest = array(head.v_template) + array(head.shape_dirs) @ given.head_betas
        head_rest = head_rest + array(head.expression_dirs)[..., : len(expression)] @ expression
        head_joints = array(head.joint_template) + array(head.joint_shape_dirs) @ given.head_betas
        head_joints = head_joints + (
            array(head.joint_expression_dirs)[..., : len(expression)] @ expression
        )
        dirs = None if head.pose_dirs is None else array(head.pose_dirs)
    head_rotations = np.stack([np.eye(3), np.eye(3), *given.rotations[22:25]])
    posed_head, _ = skin(head, head_rest, head_joints, head_rotations, dirs)
    posed_head = posed_head + array(head.eyelid_dirs) @ given.eyelids
    head_eyes = head_joints[3:5].mean(0)
    posed_head = (posed_head - head_eyes) * given.head_scale
    # 3. Overwrite, eyes onto eyes.
    kept = {"pear": ehm.neck, "guava": [], "tracker": ehm.lower}[ehm.variant]
    kept = {int(row) for row in kept}
    for row, vertex in enumerate(where):
        if row not in kept:
            v_shaped[vertex] = posed_head[row] + joints[23:25].mean(0)
    # 4. The hands, about the template's.
    s = given.hand_scale
    for hand in (ehm.left_hand.numpy(), ehm.right_hand.numpy()):
        if len(hand):
            centre = array(body.v_template)[hand].mean(0)
            v_shaped[hand] = v_shaped[hand] * s + (1 - s) * centre
    # 5. Joints anew; correctives and skinning with jaw and eyes at rest.
    joints = regressor_of(body) @ v_shaped + regress_error + given.joint_offsets
    rotations = given.rotations.copy()
    rotations[22:25] = np.eye(3)
    dirs = None if body.pose_dirs is None else array(body.pose_dirs)
    vertices, posed_joints = skin(body, v_shaped, joints, rotations, dirs)
    return vertices + given.transl, posed_joints + given.transl, joints
