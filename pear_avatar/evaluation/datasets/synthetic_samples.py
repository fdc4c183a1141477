"""Synthetic people with everything known, as samples."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from pear_avatar.body.model import BodyModel
from pear_avatar.evaluation.datasets.sample import Sample, box_about
from pear_avatar.geometry.cameras import project, to_camera
from pear_avatar.io.images import write_image
from pear_avatar.synthesis.synthetic_clip import make_synthetic_clip

__all__ = ["make_synthetic_samples"]

_POSES = 12


def make_synthetic_samples(folder: str | Path, body: BodyModel, people: int) -> Iterator[Sample]:
    """Draw people in twelve poses each and yield them with joints, mesh and keypoints.

    The mesh is the body under the clothes; keypoints are its own, projected.
    """
    for seed in range(people):
        home = Path(folder) / f"person{seed}"
        clip = make_synthetic_clip(home, body, seed=seed, num_frames=2, num_unseen=_POSES)
        scene = clip.unseen
        assert scene.images is not None
        for i, pixels in enumerate(scene.images):
            picture = home / f"pose{i:02d}.png"
            write_image(picture, pixels)
            params = scene.motion.params[i]
            posed = body.shape(params.betas, params.expression)
            moved = posed.pose(params.rotations, params.transl)
            keypoints, _ = project(scene.camera, moved.landmarks("coco17"))
            joints = torch.from_numpy(scene.joints[i])
            seen, _ = project(scene.camera, joints)
            yield Sample(
                image=picture,
                name=f"{seed}/{i}",
                box_xyxy=box_about(seen.double().numpy()),
                person=0,
                K=scene.camera.K.double().numpy(),
                joints=to_camera(scene.camera, joints).double().numpy(),
                joint_layout="smplx55",
                vertices=to_camera(scene.camera, moved.vertices()).double().numpy(),
                keypoints=keypoints.double().numpy(),
                keypoint_layout="coco17",
            )
