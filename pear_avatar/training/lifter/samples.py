"""Training samples, made as they are needed: a body, a camera, and what a detector would see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.body.topology import (
    LEFT_ARM_POINTS,
    LEG_POINTS,
    MIRROR_POSE,
    NUM_HAND,
    NUM_POSE,
    RIGHT_ARM_POINTS,
)
from pear_avatar.recovery.lifter import layout
from pear_avatar.recovery.lifter.decode import FaceBasis
from pear_avatar.recovery.lifter.features import Box, LandmarkRays, person_box, pose_mask
from pear_avatar.recovery.lifter.landmark_rig import Shape, make_rig
from pear_avatar.synthesis.poses import PosePool, PoseSampler
from pear_avatar.training.lifter.noise import NoiseBank, body_keys
from pear_avatar.training.lifter.views import in_sight, sample_headings, sample_views, to_rays

#: Shape coefficients that people vary in; only the first are asked of the network.
NUM_VARIED = 48
#: Each pose is seen by this many cameras.
VIEWS_PER_POSE = 2
_CANDIDATES = 10
_ARM_GROUPS = (LEFT_ARM_POINTS, RIGHT_ARM_POINTS)


@dataclass(frozen=True)
class Target:
    """The truth of B samples.

    rotations (B, 55, 3, 3); joints (B, 55, 3) about the pelvis, metres; rays (B, 33 + F, 2) of
    the pose and face landmarks, in_sight (B, 33 + F); betas (B, 16); scales (B, 6) logs;
    actions (B, 52); gaze (B, 4). arms, legs, hands (B, 2): left and right were seen; face (B,).
    """

    rotations: Tensor
    joints: Tensor
    rays: Tensor
    in_sight: Tensor
    betas: Tensor
    scales: Tensor
    actions: Tensor
    gaze: Tensor
    arms: Tensor
    legs: Tensor
    hands: Tensor
    face: Tensor


class SampleMaker:
    """Makes batches of :class:`LandmarkRays`, its box, and :class:`Target`.

    Args:
        body: the open body.
        pool: recorded poses or None.
        noise: the detector's measured behaviour.
        seed: of everything random.
        noisy: False gives perfect detections (to see what noise costs).
    """

    def __init__(
        self,
        body: BodyModel,
        pool: PosePool | None,
        noise: NoiseBank,
        seed: int,
        *,
        noisy: bool = True,
    ) -> None:
        self._g = torch.Generator().manual_seed(seed)
        self._poses = PoseSampler(pool, self._g)
        self._rig = make_rig(body, NUM_VARIED)
        self._face = FaceBasis(body.arkit_coef, body.arkit_pose)
        self._names = body.arkit_names
        self._bank = _Bank.of(noise)
        self._noisy = noisy

    def reseed(self, seed: int) -> None:
        """Start the random numbers anew."""
        self._g.manual_seed(seed)

    def draw(self, count: int, *, recorded_only: bool = False) -> tuple[LandmarkRays, Box, Target]:
        """``count`` samples (rounded up to whole poses)."""
        bodies = -(-count // VIEWS_PER_POSE)
        R = self._poses.recorded(bodies) if recorded_only else self._poses.body(bodies)
        R = self._poses.fingers(R)
        actions, gaze = self._poses.actions(bodies, self._names), self._poses.gaze(bodies)
        face = self._face.turns(actions, gaze)
        R = torch.cat([R[:, :22], face, R[:, 25:]], 1)
        scales = 0.05 * torch.randn(bodies, 6, generator=self._g)
        betas = 0.9 * torch.randn(bodies, NUM_VARIED, generator=self._g)
        shape = Shape(betas, actions @ self._face.coef, scales[:, :3].exp(), scales[:, 3:].exp())
        G, joints, points = self._rig.pose(R, shape)
        joints, points = joints - joints[:, :1], points - joints[:, :1]

        def views_of(x: Tensor) -> Tensor:
            return x.repeat(VIEWS_PER_POSE, *[1] * (x.dim() - 1))

        return self._film(
            views_of(R),
            views_of(G),
            views_of(joints),
            views_of(points),
            betas=views_of(betas),
            scales=views_of(scales),
            actions=views_of(actions),
            gaze=views_of(gaze),
        )

    def _film(
        self,
        R: Tensor,
        G: Tensor,
        joints: Tensor,
        points: Tensor,
        *,
        betas: Tensor,
        scales: Tensor,
        actions: Tensor,
        gaze: Tensor,
    ) -> tuple[LandmarkRays, Box, Target]:
        root = sample_headings(R[:, 0], self._g)
        turn = root @ R[:, 0].transpose(1, 2)
        R = torch.cat([root[:, None], R[:, 1:]], 1)
        turned = turn.transpose(1, 2)
        joints, points = joints @ turned, points @ turned
        G = turn[:, None] @ G
        views = sample_views(points[:, :NUM_POSE], self._g)
        placed = points + views.transl[:, None]
        # The assumed focal length is a guess: everything seen is stretched a little.
        stretch = (0.12 * torch.randn(len(R), generator=self._g)).exp()
        rays = to_rays(placed) * stretch[:, None, None]
        half = views.half * stretch[:, None]
        visible = in_sight(placed, views.half)
        seen = self._detect(placed, rays, half, visible, G, stretch=stretch)
        box = person_box(seen)
        pose, face = slice(0, NUM_POSE), slice(NUM_POSE + 2 * NUM_HAND, None)
        mask = pose_mask(seen.pose_confidence)

        def any_of(*groups: tuple[int, ...]) -> Tensor:
            return torch.stack([mask[:, list(g)].amax(1) for g in groups], 1)

        return seen, box, Target(
            rotations=R,
            joints=joints,
            rays=torch.cat([rays[:, pose], rays[:, face]], 1),
            in_sight=torch.cat([visible[:, pose], visible[:, face]], 1).float(),
            betas=betas[:, : layout.NUM_BETAS],
            scales=scales,
            actions=actions,
            gaze=gaze,
            arms=any_of((13, 15), (14, 16)),
            legs=any_of((25, 27), (26, 28)),
            hands=torch.stack([seen.left_confidence, seen.right_confidence], 1).gt(0).float(),
            face=seen.face_confidence.gt(0).float(),
        )  # fmt: skip

    def _detect(
        self,
        placed: Tensor,
        rays: Tensor,
        half: Tensor,
        visible: Tensor,
        G: Tensor,
        *,
        stretch: Tensor,
    ) -> LandmarkRays:
        splits = self._rig.splits
        shown = visible.split(splits, 1)
        exact = _exact_detection(rays.split(splits, 1), shown, torch.cat([-half, half], 1))
        pose, left, right, face = placed.split(splits, 1)
        nothing = torch.zeros(len(placed))
        turn = person_box(
            replace(
                exact,
                left_confidence=nothing,
                right_confidence=nothing,
                face_confidence=nothing,
            )
        ).turn
        if not self._noisy:
            world = (pose - pose[:, 23:25].mean(1, keepdim=True)) @ turn
            return replace(exact, pose_world=world)
        carrier = self._rig.landmark_joint[:NUM_POSE]
        pose = pose + (G[:, carrier] @ self._bank.pose_offset[..., None])[..., 0]
        scale = stretch[:, None] / (-pose[..., 2]).clamp_min(0.1)
        pose_ray, confidence, world = self._noisy_pose(pose, stretch, scale, shown[0], G, turn=turn)
        left_ray, left_found = self._noisy_hand(exact.left_hand, shown[1], left, stretch, -1.0)
        right_ray, right_found = self._noisy_hand(exact.right_hand, shown[2], right, stretch, 1.0)
        face_ray, face_found = self._noisy_face(exact.face, shown[3], face, stretch, G, turn=turn)
        # Whole parts go missing, and left and right get confused.
        drop = torch.rand(len(placed), generator=self._g) < 0.08
        world = torch.where(drop[:, None, None], torch.zeros(()), world)
        return replace(
            exact,
            pose=pose_ray,
            pose_confidence=confidence,
            pose_world=world,
            left_hand=left_ray,
            left_confidence=left_found,
            right_hand=right_ray,
            right_confidence=right_found,
            face=face_ray,
            face_confidence=face_found,
        )

    def _noisy_pose(
        self,
        pose: Tensor,
        stretch: Tensor,
        scale: Tensor,
        shown: Tensor,
        G: Tensor,
        *,
        turn: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        B, g, bank = len(pose), self._g, self._bank
        keys = body_keys(G, turn, shown)
        record = bank.match(keys, g)
        other = bank.match(keys, g)
        error, sure, world_error = (
            x[record].clone() for x in (bank.pose_error, bank.pose_confidence, bank.world_error)
        )
        for group in _ARM_GROUPS:  # arms fail independently of each other
            swap = torch.nonzero(torch.rand(B, generator=g) < 0.5).flatten()
            for mine, pool in (
                (error, bank.pose_error),
                (sure, bank.pose_confidence),
                (world_error, bank.world_error),
            ):
                mine[swap[:, None], list(group)] = pool[other[swap]][:, list(group)]
        # A record of another crop says nothing of points it did not show.
        unknown = shown & (sure < 0.02)
        guess = 0.5 + 0.5 * torch.rand(B, NUM_POSE, generator=g)
        sure = torch.where(unknown, guess, sure) * shown
        amount = (0.35 * torch.randn(B, 1, 1, generator=g)).exp()
        jitter = 0.008 * torch.randn(B, NUM_POSE, 2, generator=g)
        ray = to_rays(pose) * stretch[:, None, None] + (error * amount + jitter) * scale[..., None]
        truth = (pose - pose[:, 23:25].mean(1, keepdim=True)) @ turn
        gain = bank.world_gain * (1 + 0.08 * torch.randn(B, 1, 3, generator=g))
        size = 1 + 0.06 * torch.randn(B, 1, 1, generator=g)
        world = (truth * gain + bank.world_bias) * size + world_error * amount
        world = world + 0.01 * torch.randn(B, NUM_POSE, 3, generator=g)
        dropped = torch.rand(B, NUM_POSE, generator=g) < 0.06 * torch.rand(B, 1, generator=g)
        sure = sure * ~dropped
        return self._confuse(ray, sure, world)

    def _confuse(self, ray: Tensor, sure: Tensor, world: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Exchange left and right of everything, of the legs, or turn the depth inside out."""
        chance = torch.rand(len(ray), generator=self._g)
        mirror = torch.tensor(MIRROR_POSE)
        legs = torch.arange(NUM_POSE)
        legs[list(LEG_POINTS)] = mirror[list(LEG_POINTS)]
        for rows, index in ((chance < 0.02, mirror), ((chance > 0.02) & (chance < 0.05), legs)):
            rows = torch.nonzero(rows).flatten()
            for values in (ray, sure, world):
                values[rows] = values[rows][:, index]
        inside_out = torch.nonzero(chance > 0.98).flatten()
        world[inside_out] = world[inside_out] * torch.tensor([1.0, 1.0, -1.0])
        return ray, sure, world

    def _noisy_hand(
        self, ray: Tensor, shown: Tensor, points: Tensor, stretch: Tensor, sign: float
    ) -> tuple[Tensor, Tensor]:
        B, g = len(ray), self._g
        record = torch.randint(len(self._bank.hand_error), (B,), generator=g)
        amount = (0.3 * torch.randn(B, 1, 1, generator=g)).exp()
        error = self._bank.hand_error[record] * torch.tensor([sign, 1.0]) * amount
        found = (shown.float().mean(1) > 0.6) & (torch.rand(B, generator=g) < 0.7)
        ray = ray + error * stretch[:, None, None] / (-points[..., 2:]).clamp_min(0.1)
        confidence = (0.4 + 0.6 * torch.rand(B, generator=g)) * found
        return ray, confidence

    def _noisy_face(
        self,
        ray: Tensor,
        shown: Tensor,
        points: Tensor,
        stretch: Tensor,
        G: Tensor,
        *,
        turn: Tensor,
    ) -> tuple[Tensor, Tensor]:
        B, g, bank = len(ray), self._g, self._bank
        heading = (turn.transpose(1, 2) @ G[:, layout.HEAD, :, 2:])[..., 0][:, [0, 2]]
        record = _nearest(bank.face_key, heading, 6, g)
        amount = (0.3 * torch.randn(B, 1, 1, generator=g)).exp()
        # Faces differ from the body's by more than its shape space holds.
        own = 0.0025 * torch.randn(B, layout.NUM_FACE, 2, generator=g)
        error = bank.face_error[record] * amount + own
        whole = shown.float().mean(1) > 0.7
        found = whole & bank.face_found[record] & (torch.rand(B, generator=g) < 0.95)
        ray = ray + error * stretch[:, None, None] / (-points[..., 2:]).clamp_min(0.1)
        return ray, (0.5 + 0.5 * torch.rand(B, generator=g)) * found


def _exact_detection(
    rays: Sequence[Tensor], shown: Sequence[Tensor], border: Tensor
) -> LandmarkRays:
    """What a perfect detector sees of pose, hands and face; ``pose_world`` is left at zero."""
    pose, left, right, face = rays
    return LandmarkRays(
        pose=pose,
        pose_confidence=shown[0].float(),
        pose_world=pose.new_zeros(*pose.shape[:2], 3),
        left_hand=left,
        left_confidence=shown[1].all(1).float(),
        right_hand=right,
        right_confidence=shown[2].all(1).float(),
        face=face,
        face_confidence=shown[3].all(1).float(),
        border=border,
    )


@dataclass(frozen=True)
class _Bank:
    """The noise bank as tensors, with every record's mirror image beside it."""

    pose_offset: Tensor
    world_gain: Tensor
    world_bias: Tensor
    body_key: Tensor
    pose_error: Tensor
    pose_confidence: Tensor
    world_error: Tensor
    hand_error: Tensor
    face_key: Tensor
    face_found: Tensor
    face_error: Tensor

    @classmethod
    def of(cls, bank: NoiseBank) -> _Bank:
        t = torch.from_numpy
        index = list(MIRROR_POSE)
        flip2, flip3 = torch.tensor([-1.0, 1.0]), torch.tensor([-1.0, 1.0, 1.0])

        def both(x: Tensor, flip: Tensor) -> Tensor:
            return torch.cat([x, x[:, index] * flip])

        key = t(bank.body_key)
        mirrored_key = key * torch.tensor([-1.0, 1.0, 1.0, 1.0, 1.0])
        return cls(
            pose_offset=t(bank.pose_offset),
            world_gain=t(bank.world_gain),
            world_bias=t(bank.world_bias),
            body_key=torch.cat([key, mirrored_key]),
            pose_error=both(t(bank.pose_error), flip2),
            pose_confidence=both(t(bank.pose_confidence)[..., None], torch.ones(1))[..., 0],
            world_error=both(t(bank.world_error), flip3),
            hand_error=t(bank.hand_error),
            face_key=t(bank.face_key),
            face_found=t(bank.face_found.astype(bool)),
            face_error=t(bank.face_error),
        )

    def match(self, keys: Tensor, generator: torch.Generator) -> Tensor:
        """(B,) records taken in a similar situation."""
        return _nearest(self.body_key, keys, _CANDIDATES, generator)


def _nearest(bank: Tensor, keys: Tensor, candidates: int, generator: torch.Generator) -> Tensor:
    """(B,) of a few random rows of the bank, the one nearest to each key."""
    pick = torch.randint(len(bank), (len(keys), candidates), generator=generator)
    gap = (bank[pick] - keys[:, None]).square().sum(-1)
    return pick.gather(1, gap.argmin(1, keepdim=True))[:, 0]
