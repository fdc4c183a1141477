"""Morph targets: shape coefficients, the 52 facial actions by name, or the expression basis.

A facial action such as ``jawOpen`` both bends the skin and turns a joint (jaw, left or right
eye). What people expect of 52 named morph targets is the whole action, so by default the turned
joint's part is baked in at full strength: exact at 0 and 1, and 2 mm off at the chin when the jaw
is half open, since a morph target moves on a straight line. Nothing is counted twice when a motion
turns the same joints: its animation drives the skin part alone, as targets of their own whose name
begins with :data:`AUTO_PREFIX`, beside the bones, and leaves the whole actions to the user.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.expressions import face_from_arkit
from pear_avatar.body.model import BodyModel
from pear_avatar.errors import PearError

__all__ = ["AUTO_PREFIX", "FaceMorphs", "MorphTargets", "Morphs", "build_morphs"]

FaceMorphs = Literal["actions", "skin", "basis", "none"]

#: Begins the name of every target that only an animation drives: sliders to be left alone.
AUTO_PREFIX = "_auto_"

#: Movements up to this many metres are left out of a target, to keep it sparse.
_NEGLIGIBLE = 1e-6

#: An expression is written as facial actions only where they express it to this many metres.
_EXACT = 1e-4


@dataclass(frozen=True)
class Morphs:
    """Which morph targets a file gets.

    shape: so many of the first shape coefficients; one unit of the target is one unit of beta.
           They move the skin, not the joints, as morph targets do: pose a strongly changed
           shape by writing a file of that shape instead.
    face:  "actions": the 52 facial actions with the turn of jaw and eyes baked in;
           "skin": the same names, only what is left when the program turns the bones itself;
           "basis": the body's expression coefficients, one target each; "none".
           A body without facial actions gets "basis" for the first two. Where the actions
           cannot say all that a motion's expression does, the coefficients it uses are added.
    """

    shape: int = 10
    face: FaceMorphs = "actions"

    def __post_init__(self) -> None:
        if self.shape < 0:
            raise PearError(f"the number of shape morphs must not be negative, got {self.shape}")
        if self.face not in get_args(FaceMorphs):
            raise PearError(f"face must be one of {get_args(FaceMorphs)}, got {self.face!r}")


@dataclass(frozen=True)
class MorphTargets:
    """T morph targets of one body shape.

    names:  of the targets.
    deltas: T times (V, 3) float32 metres at weight 1.
    drive:  (E, T) float64: expression (N, E) @ drive are the weights (N, T) of a motion.
    """

    names: tuple[str, ...]
    deltas: tuple[np.ndarray, ...]
    drive: np.ndarray

    def weights(self, expression: Tensor) -> np.ndarray:
        """(N, E') expression, E' <= E -> (N, T) float32 target weights."""
        given = expression.detach().double().cpu().numpy()
        return (given @ self.drive[: given.shape[1]]).astype(np.float32)

    def moved_by(self, expression: Tensor | None) -> MorphTargets:
        """Only the targets that this expression (N, E') drives; none without one."""
        if expression is None:
            return MorphTargets((), (), self.drive[:, :0])
        kept = np.flatnonzero(np.abs(self.weights(expression)).max(axis=0, initial=0) > 1e-6)
        return MorphTargets(
            tuple(self.names[i] for i in kept),
            tuple(self.deltas[i] for i in kept),
            self.drive[:, kept],
        )


def build_morphs(
    body: BodyModel, betas: Tensor | None, morphs: Morphs, expression: Tensor | None = None
) -> MorphTargets:
    """The targets of a body whose base mesh has the shape ``betas`` (S,).

    expression: (N, E') of the motion that will drive them, if any: targets that serve nothing
        but the animation are made only as far as it needs them.
    """
    parts = [_shape_targets(body, morphs.shape)]
    face = morphs.face
    if face in ("actions", "skin") and not body.arkit_names:
        face = "basis"
    if face == "basis":
        parts.append(_basis_targets(body))
    elif face != "none":
        named, driven = _action_targets(body, betas, whole=face == "actions")
        parts += [named, driven.moved_by(expression)]
    return MorphTargets(
        tuple(name for part in parts for name in part.names),
        tuple(delta for part in parts for delta in part.deltas),
        np.concatenate([part.drive for part in parts], axis=1),
    )


def _shape_targets(body: BodyModel, count: int) -> MorphTargets:
    count = min(count, body.num_betas)
    deltas = tuple(_clean(body.shape_dirs[..., i]) for i in range(count))
    names = tuple(f"shape_{i:02d}" for i in range(count))
    return MorphTargets(names, deltas, np.zeros((body.num_expression, count)))


def _basis_targets(body: BodyModel) -> MorphTargets:
    """Every expression coefficient, then the two eyelids, which no motion drives."""
    lids = ("eyelidLeft", "eyelidRight") if bool(body.eyelid_dirs.any()) else ()
    names = tuple(f"expression_{i:02d}" for i in range(body.num_expression)) + lids
    dirs = torch.cat([body.expression_dirs, body.eyelid_dirs[..., : len(lids)]], dim=-1)
    deltas = tuple(_clean(d) for d in dirs.unbind(-1))
    return MorphTargets(names, deltas, np.eye(body.num_expression, len(names)))


def _action_targets(
    body: BodyModel, betas: Tensor | None, whole: bool
) -> tuple[MorphTargets, MorphTargets]:
    """The facial actions, and what a motion drives instead where that is not the same."""
    skin = torch.einsum("vde,ae->avd", body.expression_dirs, body.arkit_coef)
    turns = body.arkit_pose.abs().amax(1) > 0
    actions = _whole_actions(body, betas) if whole else skin
    drive = _action_weights(body)
    if drive is None:  # the actions do not span the expressions of this body
        undriven = np.zeros((body.num_expression, len(body.arkit_names)))
        named = MorphTargets(body.arkit_names, tuple(_clean(a) for a in actions), undriven)
        return named, _basis_targets(body)
    apart = (turns if whole else torch.zeros_like(turns)).numpy()
    named_drive = np.where(apart, 0.0, drive)
    index = np.flatnonzero(apart)
    names = tuple(AUTO_PREFIX + body.arkit_names[i] for i in index)
    return (
        MorphTargets(body.arkit_names, tuple(_clean(a) for a in actions), named_drive),
        MorphTargets(names, tuple(_clean(skin[i]) for i in index), drive[:, index]),
    )


def _whole_actions(body: BodyModel, betas: Tensor | None) -> Tensor:
    """(A, V, 3) what each action at full strength does to the rest pose, joints included."""
    face = face_from_arkit(body, torch.eye(len(body.arkit_names)).to(body.arkit_coef))
    neutral = torch.eye(3).to(body.v_template).expand(body.num_joints, 3, 3)
    rotations = face.apply(neutral.expand(len(body.arkit_names), -1, -1, -1))
    moved = body.shape(betas, face.expression).pose(rotations).vertices()
    return moved - body.shape(betas).vertices()


def _action_weights(body: BodyModel) -> np.ndarray | None:
    """(E, A) from expression to actions, or None where actions cannot express everything."""
    coef = body.arkit_coef.detach().double().cpu().numpy()
    inverse = np.linalg.pinv(coef)
    rest = np.eye(len(inverse)) - inverse @ coef
    dirs = body.expression_dirs.detach().double().cpu().numpy()
    lost = float(np.abs(dirs @ rest.T).max(initial=0.0))
    return inverse if lost < _EXACT else None


def _clean(delta: Tensor) -> np.ndarray:
    """(V, 3) float32 with negligible movements set to zero."""
    values = delta.detach().float().cpu().numpy().copy()
    values[np.abs(values).max(axis=1) < _NEGLIGIBLE] = 0
    return values
