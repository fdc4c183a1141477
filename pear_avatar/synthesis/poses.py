"""Where training poses come from: motion capture, choreography, and poses made up by rule.

Rotations are local, in the T-pose's axes (x to the person's left, y up, z forward). Roots carry
only how the person stands, lies or leans; which way they face is the camera's business
(:mod:`pear_avatar.training.lifter.views`, :mod:`pear_avatar.synthesis.views`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES, NUM_JOINTS
from pear_avatar.body.mirror import mirrored_rotations
from pear_avatar.body.model import BodyModel
from pear_avatar.errors import PearError
from pear_avatar.geometry.rotations import (
    axis_angle_to_matrix,
    quat_wxyz_to_matrix,
    rotation_between,
)
from pear_avatar.motion.choreography import FILMED, UNSEEN, choreograph
from pear_avatar.motion.formats.registry import load_motion
from pear_avatar.motion.retarget.capture import CaptureMotion
from pear_avatar.motion.retarget.retarget import retarget

_log = logging.getLogger(__name__)

#: Clips that training never sees.
HELD_OUT = ("cmu1_jumping_jacks", "fair1_dab", "amp_humanoid_walk")
_FRAMES_PER_SECOND = 15.0
_FINGERS = ("index", "middle", "ring", "pinky")
#: Radians of a full curl at the three joints of a finger, about z.
_CURL = (1.2, 1.5, 0.9)
_UPPER = [
    JOINT_INDEX[n]
    for n in JOINT_NAMES[:22]
    if not any(part in n for part in ("pelvis", "hip", "knee", "ankle", "foot"))
]


@dataclass(frozen=True)
class PosePool:
    """Recorded body poses (M, 22, 3, 3), mirrored ones included; the root without its heading."""

    rotations: Tensor
    source: str

    @property
    def count(self) -> int:
        """M."""
        return int(self.rotations.shape[0])


def mocap_files(folder: Path) -> list[Path]:
    """Motion files below a folder, in a fixed order."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".amc", ".bvh", ".npz"))


def load_pool(body: BodyModel, folder: Path | None, *, held_out: bool) -> PosePool | None:
    """Poses of the folder's clips, either all but :data:`HELD_OUT` or only those.

    Returns None where there is nothing to read. Choreographed motions join the training poses.
    """
    clips: list[Tensor] = []
    names: list[str] = []
    for path in mocap_files(folder) if folder is not None else []:
        # The same recording may be there in two formats.
        if (path.stem in HELD_OUT) != held_out or path.stem in names:
            continue
        try:
            clips.append(_read(path, body))
            names.append(path.stem)
        except (PearError, OSError) as error:
            _log.warning("%s is left out: %s", path, error)
    if not held_out:
        betas = np.zeros(body.num_betas, np.float32)
        clips += [choreograph(body, betas, c, 200).rotations[:, :22] for c in (FILMED, UNSEEN)]
    if not clips:
        return None
    rotations = torch.cat([upright(clip.float()) for clip in clips])
    rotations = torch.cat([rotations, mirrored_rotations(rotations)])
    source = ", ".join(names) if names else "choreography only, no motion capture"
    return PosePool(rotations, source)


def _read(path: Path, body: BodyModel) -> Tensor:
    """(N, 22, 3, 3) at about fifteen poses a second."""
    joints = body.joint_template.numpy()
    if path.suffix.lower() == ".npz":
        clip = _physics_humanoid(path)
        motion = retarget(clip, joints)[0] if clip is not None else load_motion(path)
    else:
        motion = load_motion(path)
    step = max(1, round(motion.fps / _FRAMES_PER_SECOND))
    return motion.params.rotations[::step, :22]


def _physics_humanoid(path: Path) -> CaptureMotion | None:
    """A clip of the 15-body humanoid that physics simulators move; None for other files."""
    with np.load(path, allow_pickle=False) as data:
        if "rot_xyzw_local" not in data or "local_translation" not in data:
            return None
        quats, offsets = data["rot_xyzw_local"], data["local_translation"].astype(np.float64)
        names, parents = [str(n) for n in data["node_names"]], data["parents"].tolist()
        root, fps = data["root_translation"], float(data["fps"])
    wxyz = torch.from_numpy(np.roll(quats, 1, axis=-1)).double()
    positions = np.broadcast_to(offsets, (len(quats), *offsets.shape)).copy()
    positions[:, 0] = root
    ends: list[np.ndarray | None] = [None] * len(names)
    return CaptureMotion(
        names=tuple(names),
        parents=tuple(parents),
        offsets=offsets,
        end_offsets=tuple(ends),
        rotations=quat_wxyz_to_matrix(wxyz).numpy(),
        positions=positions,
        frame_time=1.0 / fps,
        source=path.name,
    )


def upright(rotations: Tensor) -> Tensor:
    """Turn each pose (M, J, 3, 3) about the vertical so that it faces +z."""
    forward = rotations[:, 0, :, 2]
    heading = torch.atan2(forward[:, 0], forward[:, 2])
    zero = torch.zeros_like(heading)
    turn = axis_angle_to_matrix(torch.stack([zero, -heading, zero], -1))
    return torch.cat([(turn @ rotations[:, 0])[:, None], rotations[:, 1:]], 1)


class PoseSampler:
    """Draws whole-body poses, B at a time.

    Args:
        pool: recorded poses, or None to make all of them up.
        generator: source of randomness.
        recorded_share: how many of the poses start from a recorded one.
    """

    def __init__(
        self, pool: PosePool | None, generator: torch.Generator, recorded_share: float = 0.5
    ) -> None:
        self._pool, self._g = pool, generator
        self._recorded_share = recorded_share if pool is not None else 0.0

    def body(self, count: int) -> Tensor:
        """(B, 55, 3, 3) with everything but face and fingers at identity."""
        R = self.made_up(count)
        if self._pool is None:
            return R
        recorded = self._uniform(count) < self._recorded_share
        R[recorded, :22] = self._read_recordings(int(recorded.sum()))
        return R

    def recorded(self, count: int) -> Tensor:
        """(B, 55, 3, 3) recorded poses just as they are."""
        if self._pool is None:
            raise PearError("there are no recorded poses to draw from")
        R = torch.eye(3).repeat(count, NUM_JOINTS, 1, 1)
        pick = torch.randint(self._pool.count, (count,), generator=self._g)
        R[:, :22] = self._pool.rotations[pick]
        return R

    def _read_recordings(self, count: int) -> Tensor:
        """(B, 22, 3, 3): recorded poses, some with the upper body of another, all shaken a bit."""
        assert self._pool is not None
        a, b = torch.randint(self._pool.count, (2, count), generator=self._g)
        R = self._pool.rotations[a].clone()
        mixed = torch.nonzero(self._uniform(count) < 0.4).flatten()
        R[mixed[:, None], _UPPER] = self._pool.rotations[b[mixed]][:, _UPPER]
        shake = 0.12 * self._uniform(count, 1, 1) * self._normal(count, 22, 3)
        # Recordings hold hands and neck stiffer than people do.
        shake[:, 20:22] += self._normal(count, 2, 3) * torch.tensor([0.35, 0.25, 0.35])
        loose = torch.tensor([JOINT_INDEX["neck"], JOINT_INDEX["head"]])
        shake[:, loose] += self._normal(count, 2, 3) * torch.tensor([0.12, 0.15, 0.08])
        return R @ axis_angle_to_matrix(shake)

    def made_up(self, count: int) -> Tensor:
        """(B, 55, 3, 3) by rule: standing, walking, sitting and reaching people, a few lying."""
        g = self._normal
        aa = torch.zeros(count, NUM_JOINTS, 3)
        amount = 0.3 + 0.9 * self._uniform(count, 1)
        for name, spread in _SPREADS.items():
            aa[:, JOINT_INDEX[name]] = g(count, 3) * torch.tensor(spread) * amount
        stoop = (self._uniform(count) < 0.15).float() * self._uniform(count)
        for name, share in (("spine1", 0.45), ("spine2", 0.35), ("spine3", 0.2), ("pelvis", 0.5)):
            aa[:, JOINT_INDEX[name], 0] += stoop * share
        self._legs(aa, amount[:, 0])
        R = axis_angle_to_matrix(aa)
        for side, sign in (("left", 1.0), ("right", -1.0)):
            self._arm(R, side, sign, amount[:, 0])
        tilt = g(count, 3) * torch.tensor([0.15, 0.0, 0.10])
        lying = self._uniform(count) < 0.05
        tilt = torch.where(lying[:, None], 1.2 * g(count, 3), tilt)
        R[:, 0] = upright((axis_angle_to_matrix(tilt) @ R[:, 0])[:, None])[:, 0]
        return R

    def _legs(self, aa: Tensor, amount: Tensor) -> None:
        count = len(aa)
        sitting, squat = self._uniform(count) < 0.22, self._uniform(count) < 0.06
        for side, sign in (("left", 1.0), ("right", -1.0)):
            flex = self._normal(count).abs() * 0.45 * amount - 0.1 * self._uniform(count)
            lifted = self._uniform(count) < 0.12
            flex = torch.where(lifted, 0.3 + 1.6 * self._uniform(count), flex)
            flex = torch.where(sitting, 0.9 + 1.0 * self._uniform(count), flex)
            flex = torch.where(squat, 1.5 + 0.6 * self._uniform(count), flex)
            knee = self._normal(count).abs() * 0.5 * amount
            knee = torch.where(lifted | sitting, 2.2 * self._uniform(count), knee)
            knee = torch.where(squat, flex + 0.3 * self._uniform(count), knee)
            spread = (
                0.08 + 0.20 * self._normal(count) * amount + 0.4 * sitting * self._uniform(count)
            )
            twist = 0.28 * self._normal(count) * amount + sign * 0.4 * sitting * self._uniform(
                count
            )
            aa[:, JOINT_INDEX[f"{side}_hip"]] = torch.stack([-flex, twist, sign * spread], -1)
            aa[:, JOINT_INDEX[f"{side}_knee"], 0] = knee
            aa[:, JOINT_INDEX[f"{side}_knee"], 1:] = 0.05 * self._normal(count, 2)

    def _arm(self, R: Tensor, side: str, sign: float, amount: Tensor) -> None:
        """Point the upper arm somewhere usual, then bend the elbow and twist."""
        count = len(R)
        kind = torch.bucketize(self._uniform(count), torch.tensor(_ARM_SHARES).cumsum(0)[:-1])
        mean = torch.tensor(_ARM_DIRECTIONS)[kind] * torch.tensor([sign, 1.0, 1.0])
        spread = self._normal(count, 3) * torch.tensor([0.30, 0.35, 0.35])
        direction = mean + spread * (0.5 + 0.5 * amount[:, None])
        # A hand behind the back is rare, an elbow far behind it impossible.
        direction[:, 2] = direction[:, 2].clamp_min(-0.5)
        axis = torch.tensor([sign, 0.0, 0.0])
        swing = rotation_between(axis.expand(count, 3), normalize(direction, dim=-1))
        twist = axis * (torch.tensor(_ARM_TWISTS)[kind] + 0.55 * self._normal(count))[:, None]
        R[:, JOINT_INDEX[f"{side}_shoulder"]] = swing @ axis_angle_to_matrix(twist)
        low, high = torch.tensor(_ARM_BENDS)[kind].unbind(-1)
        bend = low + (high - low) * self._uniform(count)
        elbow = torch.stack(
            [0.5 * self._normal(count) * amount, -sign * bend, 0.08 * self._normal(count)], -1
        )
        R[:, JOINT_INDEX[f"{side}_elbow"]] = axis_angle_to_matrix(elbow)

    def fingers(self, R: Tensor) -> Tensor:
        """Give (B, 55, 3, 3) poses hands: relaxed, flat, fists, pointing, pinching, counting."""
        count = len(R)
        aa = torch.zeros(count, NUM_JOINTS, 3)
        for side, sign in (("left", 1.0), ("right", -1.0)):
            kind = torch.bucketize(self._uniform(count), torch.tensor(_HAND_SHARES).cumsum(0)[:-1])
            level = torch.tensor(_HAND_CURLS)[kind]  # (B, 5): four fingers, thumb
            free = self._uniform(count, 5)
            level = torch.where((kind == len(_HAND_CURLS) - 1)[:, None], free, level)
            level = (level + 0.12 * self._normal(count, 5)).clamp(-0.15, 1.1)
            fan = 0.10 * self._normal(count) + 0.10 * (kind == 1)
            for rank, finger in enumerate(_FINGERS):
                for k in range(3):
                    bend = level[:, rank] * _CURL[k] + 0.08 * self._normal(count)
                    joint = aa[:, JOINT_INDEX[f"{side}_{finger}{k + 1}"]]
                    joint[:, 2] = -sign * bend
                    if k == 0:
                        joint[:, 1] = sign * (fan * (1.5 - rank) + 0.06 * self._normal(count))
                        joint[:, 0] = 0.05 * self._normal(count)
            self._thumb(aa, side, sign, level[:, 4])
        R = R.clone()
        R[:, 25:] = axis_angle_to_matrix(aa[:, 25:])
        return R

    def _thumb(self, aa: Tensor, side: str, sign: float, level: Tensor) -> None:
        count = len(aa)
        base = self._normal(count, 3) * torch.tensor([0.22, 0.25, 0.28])
        base[:, 1] -= sign * 0.45 * level
        aa[:, JOINT_INDEX[f"{side}_thumb1"]] = base
        for k, full in ((2, 0.6), (3, 0.9)):
            bend = self._normal(count, 3) * torch.tensor([0.08, 0.18, 0.15])
            bend[:, 1] -= sign * full * level
            aa[:, JOINT_INDEX[f"{side}_thumb{k}"]] = bend

    def actions(self, count: int, names: tuple[str, ...]) -> Tensor:
        """(B, 52) strengths of facial actions: mostly few at a time, both sides mostly alike."""
        share = 0.22 * self._uniform(count, 1)
        on = self._uniform(count, len(names)) < share
        weights = on * self._uniform(count, len(names))
        alike = self._uniform(count) < 0.7
        index = {name: i for i, name in enumerate(names)}
        for name, i in index.items():
            if name.endswith("Left") and not name.startswith(("jaw", "mouthLeft")):
                other = index.get(name[:-4] + "Right")
                if other is not None:
                    weights[:, other] = torch.where(alike, weights[:, i], weights[:, other])
        speaking = self._uniform(count)
        weights[:, index["jawOpen"]] = torch.where(
            speaking < 0.5, weights[:, index["jawOpen"]] * 0.2, (speaking - 0.5) * 1.8
        )
        blink = self._uniform(count) < 0.15
        strength = self._uniform(count)
        for side in ("Left", "Right"):
            i = index[f"eyeBlink{side}"]
            weights[:, i] = torch.where(blink, strength, weights[:, i])
            smile = index[f"mouthSmile{side}"]
            happy = (self._uniform(count) < 0.15) & alike
            weights[:, smile] = torch.where(happy, self._uniform(count), weights[:, smile])
        resting = self._uniform(count) < 0.2
        return torch.where(resting[:, None], torch.zeros(()), weights)

    def gaze(self, count: int) -> Tensor:
        """(B, 4) pitch and yaw of the left eye, then of the right, radians: both look together."""
        angle = self._normal(count, 2) * torch.tensor([0.12, 0.20])
        angle = angle.clamp(-0.5, 0.5) * (self._uniform(count, 1) < 0.8)
        each = 0.03 * self._normal(count, 2, 2)
        return (angle[:, None] + each).flatten(1)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(*shape, generator=self._g)

    def _normal(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self._g)


_SPREADS: dict[str, tuple[float, float, float]] = {
    **dict.fromkeys(("spine1", "spine2", "spine3"), (0.16, 0.13, 0.11)),
    "neck": (0.20, 0.25, 0.15),
    "head": (0.22, 0.30, 0.18),
    **{f"{side}_collar": (0.08, 0.12, 0.12) for side in ("left", "right")},
    **{f"{side}_wrist": (0.45, 0.30, 0.40) for side in ("left", "right")},
    **{f"{side}_ankle": (0.30, 0.20, 0.15) for side in ("left", "right")},
    **{f"{side}_foot": (0.15, 0.02, 0.02) for side in ("left", "right")},
}

#: How upper arms are held: hanging, hanging with the forearm up, hand at the face, across the
#: body, out to the side, forward, up, anywhere. Shares, directions of the left upper arm, twists
#: about it, and ranges of the elbow's bend in radians.
_ARM_SHARES = (0.30, 0.16, 0.10, 0.10, 0.12, 0.10, 0.07, 0.05)
_ARM_DIRECTIONS = (
    (0.22, -1.0, 0.05), (0.28, -0.9, 0.30), (0.25, -0.6, 0.75), (0.05, -0.8, 0.6),
    (1.0, 0.0, 0.1), (0.25, -0.1, 1.0), (0.45, 0.9, 0.2), (0.3, 0.0, 0.3),
)  # fmt: skip
_ARM_TWISTS = (0.0, 0.2, 0.3, 0.6, 0.0, 0.0, 0.0, 0.0)
_ARM_BENDS = (
    (0.0, 0.6), (0.6, 2.2), (1.6, 2.6), (0.9, 2.0), (0.0, 1.6), (0.0, 1.5), (0.0, 1.8), (0.0, 2.5),
)  # fmt: skip

#: Hands: relaxed, flat, fist, pointing, pinching, holding, and any curl of any finger. Curls of
#: index, middle, ring, little finger and thumb, 1 for a fist.
_HAND_SHARES = (0.30, 0.16, 0.12, 0.08, 0.08, 0.10, 0.16)
_HAND_CURLS = (
    (0.25, 0.28, 0.30, 0.32, 0.2), (0.0, 0.0, 0.0, 0.0, 0.0), (0.95, 0.95, 0.95, 0.95, 0.7),
    (0.05, 0.9, 0.92, 0.95, 0.6), (0.5, 0.3, 0.25, 0.2, 0.5), (0.5, 0.5, 0.5, 0.5, 0.4),
    (0.0, 0.0, 0.0, 0.0, 0.0),
)  # fmt: skip
