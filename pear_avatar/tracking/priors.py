"""What a human body can and usually does do: means, spreads, limits and speeds per joint.

Angles are components of each joint's local axis-angle vector in the T-pose's axes (x to the
person's left, y up, z forward), radians. The table states the LEFT side; the right side mirrors
it (x kept, y and z negated). Spreads are of everyday motion, limits from clinical ranges of
motion (American Academy of Orthopaedic Surgeons), widened a little because one axis-angle
component is not one clinical angle.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES, NUM_JOINTS

_FREE = 9.0


@dataclass(frozen=True)
class JointPrior:
    """One joint: axes solved for, mean, spread, soft limits and typical angular acceleration."""

    mean: tuple[float, float, float]
    sigma: tuple[float, float, float]
    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    #: rad / s^2; a limb's swing reaches a few hundred at its fastest, this is its usual spread
    acceleration: float
    axes: tuple[int, ...] = (0, 1, 2)


# fmt: off
_BODY: dict[str, JointPrior] = {
    # Four joints share the trunk's bend, so each moves little.
    "spine1": JointPrior((0.05, 0, 0), (.20, .12, .12), (-.25, -.35, -.3), (.7, .35, .3), 12),
    "spine2": JointPrior((0, 0, 0), (.15, .12, .10), (-.25, -.35, -.3), (.6, .35, .3), 12),
    "spine3": JointPrior((0, 0, 0), (.10, .12, .10), (-.25, -.35, -.3), (.5, .35, .3), 12),
    "neck": JointPrior((.10, 0, 0), (.20, .22, .16), (-.6, -.7, -.5), (.7, .7, .5), 25),
    "head": JointPrior((0, 0, 0), (.22, .30, .18), (-.6, -.8, -.5), (.6, .8, .5), 25),
    # Shoulder blade: rises (z) with the arm, hardly twists.
    "collar": JointPrior((0, -.05, 0), (.06, .12, .14), (-.2, -.4, -.25), (.2, .35, .6), 20),
    # Arms mostly hang (z near -1.1); the spread lets them reach anywhere.
    "shoulder": JointPrior(
        (0, -.1, -.95), (.6, .7, .65), (-2.2, -2.4, -1.75), (2.2, 1.3, 1.8), 50),
    # A hinge about y; x is the forearm's twist, z only makes up for the hinge's tilt.
    "elbow": JointPrior((0, -.5, 0), (.45, .75, .10), (-1.3, -2.65, -.3), (1.3, .02, .3), 70),
    "wrist": JointPrior((0, 0, 0), (.30, .22, .35), (-.9, -.6, -1.3), (.9, .5, 1.2), 70),
    "hip": JointPrior((-.1, 0, .05), (.55, .28, .20), (-2.2, -.9, -.55), (.6, .9, 1.0), 35),
    "knee": JointPrior((.25, 0, 0), (.65, .10, .05), (.0, -.3, -.12), (2.6, .3, .12), 60),
    "ankle": JointPrior((0, 0, 0), (.28, .15, .12), (-.6, -.5, -.4), (.9, .5, .4), 50),
    "foot": JointPrior((0, 0, 0), (.15, .03, .03), (-.8, -.1, -.1), (.4, .1, .1), 50),
}
_FACE: dict[str, JointPrior] = {
    "jaw": JointPrior((.02, 0, 0), (.15, .03, .02), (-.02, -.15, -.1), (.55, .15, .1), 60, (0, 1)),
    "eye": JointPrior((0, 0, 0), (.14, .20, .02), (-.5, -.7, -.1), (.5, .7, .1), 150, (0, 1)),
}
# Fingers curl about z (negative on the left, palm down); only the knuckle also spreads.
_HAND: dict[str, JointPrior] = {
    "finger1": JointPrior((0, 0, -.35), (.05, .12, .45), (-.2, -.35, -1.7), (.2, .35, .45), 80,
                          (1, 2)),
    "finger2": JointPrior((0, 0, -.40), (.05, .05, .45), (-.1, -.1, -1.9), (.1, .1, .12), 80,
                          (2,)),
    "finger3": JointPrior((0, 0, -.25), (.05, .05, .30), (-.1, -.1, -1.4), (.1, .1, .12), 80,
                          (2,)),
    "thumb1": JointPrior((0, 0, 0), (.30, .30, .30), (-.9, -.9, -.9), (.9, .9, .9), 60),
    "thumb2": JointPrior((0, 0, 0), (.20, .30, .25), (-.6, -1.2, -1.0), (.6, 1.2, 1.0), 60),
    "thumb3": JointPrior((0, 0, 0), (.08, .30, .25), (-.3, -1.4, -1.2), (.3, 1.4, 1.2), 60),
}
# fmt: on

#: radians: how softly a limit gives way
LIMIT_SIGMA = 0.08
#: a hand (or face) that is not seen stays this much closer to its mean
UNSEEN_SHRINK = 0.3
#: rad / s^2 and m / s^2 of the root; depth is the least certain direction
ROOT_ACCELERATION = 15.0
TRANSL_ACCELERATION = (5.0, 5.0, 2.5)
#: rad / s, m / s and 1 / s: weak, they only bridge gaps without running away
ROOT_SPEED = 4.0
TRANSL_SPEED = 3.0
JOINT_SPEED = 8.0
#: expression coefficients have unit spread; 1 / s^2
EXPRESSION_ACCELERATION = 120.0
EXPRESSION_SPEED = 15.0
#: both eyes look the same way, radians
EYE_VERGENCE_SIGMA = 0.04


@dataclass(frozen=True)
class Dofs:
    """The D scalar joint angles that are solved for, and their priors (tensors (D,)).

    joint, axis: int64; every other angle keeps ``rest`` (55, 3).
    part:        0 body, 1 left hand, 2 right hand, 3 face.
    """

    joint: Tensor
    axis: Tensor
    part: Tensor
    mean: Tensor
    sigma: Tensor
    lower: Tensor
    upper: Tensor
    acceleration: Tensor
    rest: Tensor

    @property
    def count(self) -> int:
        """Number of angles D."""
        return int(self.joint.shape[0])


def _prior_of(name: str) -> tuple[JointPrior | None, int]:
    """The left-side prior of a joint and its part (see :class:`Dofs`)."""
    bare = name.removeprefix("left_").removeprefix("right_")
    if bare in _BODY:
        return _BODY[bare], 0
    bare = bare.rstrip("123") if bare.startswith("spine") else bare
    if bare in _FACE:
        return _FACE[bare], 3
    hand = 1 if name.startswith("left_") else 2
    if bare in _HAND:
        return _HAND[bare], hand
    if bare[-1] in "123":
        return _HAND[f"finger{bare[-1]}"], hand
    return None, 0


def rest_pose(dtype: torch.dtype = torch.float32) -> Tensor:
    """(55, 3) axis-angle of the mean pose: arms hanging, fingers relaxed; the root is zero."""
    rest = torch.zeros(NUM_JOINTS, 3, dtype=dtype)
    for j, name in enumerate(JOINT_NAMES):
        prior, _ = _prior_of(name)
        if prior is not None:
            mirror = torch.tensor(_signs(name), dtype=dtype)
            rest[j] = torch.tensor(prior.mean, dtype=dtype) * mirror
    return rest


def _signs(name: str) -> tuple[float, float, float]:
    return (1.0, -1.0, -1.0) if name.startswith("right_") else (1.0, 1.0, 1.0)


def make_dofs(*, hands: tuple[bool, bool], face: bool, dtype: torch.dtype = torch.float32) -> Dofs:
    """Angles of the body and of those hands (left, right) and face that the clip shows."""
    wanted = {0, *(p for p, on in ((1, hands[0]), (2, hands[1]), (3, face)) if on)}
    rows: list[tuple[float, ...]] = []
    for j, name in enumerate(JOINT_NAMES):
        prior, part = _prior_of(name)
        if prior is None or part not in wanted:
            continue
        for a in prior.axes:
            sign = _signs(name)[a]
            low, high = prior.lower[a], prior.upper[a]
            if sign < 0:
                low, high = -high, -low
            rows.append(
                (j, a, part, sign * prior.mean[a], prior.sigma[a], low, high, prior.acceleration)
            )
    table = torch.tensor(rows, dtype=torch.float64)
    index, values = table[:, :3].long(), table[:, 3:].to(dtype)
    joint, axis, of_part = index.unbind(1)
    mean, sigma, lower, upper, acceleration = values.unbind(1)
    return Dofs(
        joint=joint,
        axis=axis,
        part=of_part,
        mean=mean,
        sigma=sigma,
        lower=lower,
        upper=upper,
        acceleration=acceleration,
        rest=rest_pose(dtype),
    )


def eye_pairs(dofs: Dofs) -> list[tuple[int, int]]:
    """Pairs of angles (left eye, right eye) about the same axis."""
    left, right = JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"]
    place = {
        (j, a): i
        for i, (j, a) in enumerate(zip(dofs.joint.tolist(), dofs.axis.tolist(), strict=True))
    }
    return [(place[left, a], place[right, a]) for a in range(3) if (left, a) in place]
