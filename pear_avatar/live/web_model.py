"""The landmark lifter as the page reads it: network and landmark rig in one file."""

from __future__ import annotations

import numpy as np
import torch

from pear_avatar.body.joints import JOINT_NAMES, PARENTS
from pear_avatar.body.topology import LIFTED_FACE_POINTS
from pear_avatar.geometry.rotations import matrix_to_quat_wxyz
from pear_avatar.recovery.lifter.landmark_rig import LandmarkRig, make_rig
from pear_avatar.recovery.lifter.layout import NUM_BETAS
from pear_avatar.recovery.lifter.lifter import Lifter, relaxed_fingers
from pear_avatar.viewer.schema import LIVE_FORMAT, SCHEMA_VERSION, LiveMeta
from pear_avatar.viewer.tensor_file import pack

__all__ = ["live_model"]


def live_model(lifter: Lifter | None = None) -> bytes:
    """The live model file; the lifter that ships with the package by default."""
    lifter = lifter or Lifter.load()
    body, network = lifter.body, lifter.network
    fixed = {name for name, _ in network.named_buffers()}
    tensors = {
        name: value.numpy().astype(np.float32 if name in fixed else np.float16)
        for name, value in network.state_dict().items()
    }
    tensors |= _rig_tensors(make_rig(body, NUM_BETAS))
    tensors |= {
        "arkit.coef": body.arkit_coef.numpy(),
        "arkit.pose": body.arkit_pose.numpy(),
        "fingers.relaxed": matrix_to_quat_wxyz(relaxed_fingers()).numpy(),
        "face.points": np.array(LIFTED_FACE_POINTS, np.uint16),
    }
    meta = LiveMeta(
        format=LIVE_FORMAT,
        version=SCHEMA_VERSION,
        joint_names=JOINT_NAMES,
        parents=PARENTS,
        arkit_names=tuple(body.arkit_names),
        heads=network.size.heads,
    )
    return pack(tensors, meta)


def _rig_tensors(rig: LandmarkRig) -> dict[str, np.ndarray]:
    """Each pair moves one landmark, so the mixing matrix is a number and an index a pair."""

    def by_direction(dirs: torch.Tensor) -> np.ndarray:
        """(3 * N, C) -> (C, N, 3)."""
        return dirs.unflatten(0, (3, -1)).permute(2, 1, 0).contiguous().numpy()

    landmark = rig.mix.argmax(0)
    return {
        "joint.template": rig.joint_template.t().contiguous().numpy(),
        "joint.dirs": by_direction(rig.joint_dirs),
        "joint.part": rig.joint_part.numpy().astype(np.uint8),
        "pair.joint": rig.pair_joint.numpy().astype(np.uint8),
        "pair.part": rig.pair_part.numpy().astype(np.uint8),
        "pair.landmark": landmark.numpy().astype(np.uint16),
        "pair.share": rig.mix[landmark, torch.arange(len(landmark))].contiguous().numpy(),
        "pair.template": rig.pair_template.t().contiguous().numpy(),
        "pair.dirs": by_direction(rig.pair_dirs),
    }
