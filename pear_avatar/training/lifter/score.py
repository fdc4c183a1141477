"""Figures of a lifter on synthetic samples: what training watches and the benchmark prints."""

from __future__ import annotations

import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.evaluation.metrics import procrustes_align
from pear_avatar.recovery.lifter import layout
from pear_avatar.recovery.lifter.decode import FaceBasis, Lifted, decode
from pear_avatar.recovery.lifter.features import Box, LandmarkRays, encode
from pear_avatar.recovery.lifter.landmark_rig import Shape, make_rig
from pear_avatar.recovery.lifter.lifter_network import LifterNetwork
from pear_avatar.synthesis.poses import PosePool
from pear_avatar.training.lifter.losses import action_directions
from pear_avatar.training.lifter.noise import NoiseBank
from pear_avatar.training.lifter.samples import SampleMaker, Target

_SEED = 999


class Scorer:
    """Scores networks on fixed samples: held-out recordings, and poses of all kinds."""

    def __init__(
        self, body: BodyModel, held_out: PosePool | None, noise: NoiseBank, count: int = 3000
    ) -> None:
        self._body = body
        self._sets: dict[str, tuple[LandmarkRays, Box, Target]] = {}
        maker = SampleMaker(body, held_out, noise, _SEED)
        self._sets["all"] = maker.draw(count)
        if held_out is not None:
            self._sets["mocap"] = maker.draw(count, recorded_only=True)
        self._face = FaceBasis(body.arkit_coef, body.arkit_pose)
        self._dirs = action_directions(body, self._face)
        self._rig = make_rig(body, layout.NUM_BETAS, ("pose",))

    @torch.no_grad()
    def __call__(self, network: LifterNetwork) -> dict[str, float]:
        """Errors in mm (joints), degrees, and % (face: of what a neutral face would have)."""
        scores: dict[str, float] = {}
        for name, (seen, box, target) in self._sets.items():
            lifted = decode(network(*encode(seen, box)), box, self._face)
            one = self._score(lifted, target)
            keep = one if name == "all" else {k: one[k] for k in ("full", "full_pa", "mpjpe")}
            scores |= {f"{name}/{k}": v for k, v in keep.items()}
        return scores

    def _score(self, lifted: Lifted, target: Target) -> dict[str, float]:
        shape = Shape(
            lifted.betas, lifted.actions @ self._face.coef, lifted.head_scale, lifted.hand_scale
        )
        joints = self._rig.pose(lifted.rotations, shape)[1]
        a, b = (x[:, :22] - x[:, :1] for x in (joints, target.joints))
        error = 1e3 * (a - b).norm(dim=-1).mean(1)
        aligned = 1e3 * (procrustes_align(a, b) - b).norm(dim=-1).mean(1)
        full = target.in_sight[:, 23:29].all(1)
        hands = []
        for k, (wrist, fingers) in enumerate(
            ((20, layout.LEFT_FINGERS), (21, layout.RIGHT_FINGERS))
        ):
            x, y = (j[:, fingers] - j[:, wrist : wrist + 1] for j in (joints, target.joints))
            hands.append(1e3 * (x - y).norm(dim=-1).mean(1)[target.hands[:, k] > 0])
        face = target.face > 0

        def moved(actions: Tensor) -> Tensor:
            return (actions @ self._dirs).unflatten(-1, (-1, 3)).norm(dim=-1).mean(1)[face].mean()

        cos = ((lifted.rotations[:, 0] * target.rotations[:, 0]).sum((1, 2)) - 1) / 2
        return {
            "full": float(error[full].mean()),
            "full_pa": float(aligned[full].mean()),
            "mpjpe": float(error.mean()),
            "root": float(cos.clamp(-1, 1).acos().rad2deg().median()),
            "hand": float(torch.cat(hands).mean()),
            "face%": float(100 * moved(lifted.actions - target.actions) / moved(target.actions)),
            "beta0": float((lifted.betas[:, 0] - target.betas[:, 0]).abs().mean()),
            "betas": float((lifted.betas - target.betas).abs().mean()),
        }
