"""Pictures of synthetic people with everything known, and what the detector makes of them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.model import BodyModel
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.io.npz import load_npz, save_npz
from pear_avatar.perception.detectors import Detector, PartDetector, load_detectors
from pear_avatar.perception.judged import JudgedClip
from pear_avatar.perception.parts import search_parts
from pear_avatar.perception.passes import missing_parts, with_parts
from pear_avatar.perception.raw import raw_frame, stack_frames
from pear_avatar.synthesis.person import Person
from pear_avatar.synthesis.poses import PosePool, PoseSampler
from pear_avatar.synthesis.stage import Stage, film, make_stage
from pear_avatar.synthesis.synthetic_person import make_person
from pear_avatar.training.lifter.views import sample_headings, sample_views

_log = logging.getLogger(__name__)

_SIZES = ((512, 640), (640, 480), (480, 640), (600, 600))
_PEOPLE_EVERY = 40  # pictures of one person before the next one comes on


@dataclass(frozen=True)
class RenderSet:
    """M pictures: what was rendered and what was detected.

    rotations (M, 55, 3, 3), betas (M, S), expression (M, E), transl (M, 3): the truth, in the
    world of :mod:`pear_avatar.training.lifter.views`; focal (M,) and size (M, 2) in pixels.
    found (M,) bool; pose_px (M, 33, 2), pose_confidence (M, 33), pose_world (M, 33, 3);
    left_hand_px, right_hand_px (M, 21, 2), left_hand_confidence, right_hand_confidence (M,);
    face_px (M, 478, 2), face_confidence (M,): as in :class:`~pear_avatar.types.ClipDetections`.
    """

    rotations: np.ndarray
    betas: np.ndarray
    expression: np.ndarray
    transl: np.ndarray
    focal: np.ndarray
    size: np.ndarray
    found: np.ndarray
    pose_px: np.ndarray
    pose_confidence: np.ndarray
    pose_world: np.ndarray
    left_hand_px: np.ndarray
    left_hand_confidence: np.ndarray
    right_hand_px: np.ndarray
    right_hand_confidence: np.ndarray
    face_px: np.ndarray
    face_confidence: np.ndarray

    @property
    def count(self) -> int:
        """M."""
        return int(self.rotations.shape[0])

    def save(self, path: str) -> None:
        """Write everything to one npz."""
        save_npz(path, dict(self.__dict__), compressed=True)

    @classmethod
    def load(cls, path: str) -> RenderSet:
        """Read what :meth:`save` wrote."""
        return cls(**load_npz(path))


def make_renders(
    body: BodyModel,
    pool: PosePool | None,
    count: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> RenderSet:
    """Render ``count`` pictures of dressed people in random poses and run the detector on each."""
    generator = torch.Generator().manual_seed(seed)
    sampler = PoseSampler(pool, generator)
    rows: list[dict[str, np.ndarray]] = []
    networks = load_detectors()
    with (
        contextlib.closing(networks.person(False)) as whole,
        contextlib.closing(networks.face()) as faces,
        contextlib.closing(networks.hand()) as hands,
    ):
        while len(rows) < count:
            person = make_person(body, 1000 * seed + len(rows))
            for scene in _scenes(
                body, person, sampler, generator, min(_PEOPLE_EVERY, count - len(rows))
            ):
                rgb = scene.film(person, np.random.default_rng([seed, len(rows)]))
                rows.append(scene.truth | _detect(rgb, whole, faces, hands))
                if progress is not None:
                    progress(len(rows), count)
    return RenderSet(**{name: np.stack([row[name] for row in rows]) for name in rows[0]})


@dataclass(frozen=True)
class _Scene:
    """One picture about to be taken: its set, the posing transforms, and the truth to keep."""

    stage: Stage
    transforms: np.ndarray
    truth: dict[str, np.ndarray]

    def film(self, person: Person, noise: np.random.Generator) -> np.ndarray:
        vertices = person.pose(self.transforms, self.truth["expression"])
        return film(self.stage, person, vertices, noise)[0]


def _scenes(
    body: BodyModel, person: Person, sampler: PoseSampler, generator: torch.Generator, count: int
) -> list[_Scene]:
    rotations = sampler.fingers(sampler.body(count))
    rotations[:, 0] = sample_headings(rotations[:, 0], generator)
    actions = sampler.actions(count, body.arkit_names)
    expression, rotations = set_face(body, rotations, actions, sampler.gaze(count))
    betas = torch.from_numpy(person.betas)
    with torch.no_grad():
        shaped = body.shape(betas)
        points = shaped.pose(rotations).landmarks("mediapipe_pose")
        views = sample_views(points, generator)
        posed = shaped.pose(rotations, views.transl)
        transforms = posed.rest_to_posed.numpy()
    seeds = torch.randint(1 << 20, (len(_SIZES),), generator=generator).tolist()
    sets = [make_stage(*size, 1.7, seed) for size, seed in zip(_SIZES, seeds, strict=True)]
    scenes = []
    for i in range(count):
        stage = sets[int(torch.randint(len(sets), (1,), generator=generator))]
        # The longer side keeps its field of view.
        focal = 0.5 * max(stage.width, stage.height) / float(views.half[i].max())
        truth = {
            "rotations": rotations[i].numpy(),
            "betas": person.betas,
            "expression": expression[i].numpy(),
            "transl": views.transl[i].numpy(),
            "focal": np.array(focal, np.float32),
            "size": np.array([stage.width, stage.height]),
        }
        scenes.append(_Scene(replace(stage, focal=focal), transforms[i], truth))
    return scenes


def set_face(
    body: BodyModel, rotations: Tensor, actions: Tensor, gaze: Tensor
) -> tuple[Tensor, Tensor]:
    """Expression (B, E) and rotations (B, 55, 3, 3) of facial actions (B, 52) and gaze (B, 4).

    Eyes turn by what the actions say and by the gaze on top: pitch, then yaw, left eye first.
    """
    turns = (actions @ body.arkit_pose).unflatten(-1, (3, 3))
    eyes = torch.cat(
        [gaze.unflatten(-1, (2, 2)), torch.zeros_like(gaze).unflatten(-1, (2, 2))[..., :1]], -1
    )
    turns = torch.cat([turns[:, :1], turns[:, 1:] + eyes], 1)
    face = axis_angle_to_matrix(turns)
    rotations = torch.cat([rotations[:, :22], face, rotations[:, 25:]], 1)
    return actions @ body.arkit_coef, rotations


def _detect(
    rgb: np.ndarray, whole: Detector, faces: PartDetector, hands: PartDetector
) -> dict[str, np.ndarray]:
    """One picture through the detectors and the same tests as a clip's frames."""
    clip = JudgedClip(stack_frames([raw_frame(0, 0.0, rgb, whole.detect(rgb))]))
    for areas in missing_parts(clip).values():
        parts = {0: search_parts(rgb, areas, faces, hands)}
        clip = JudgedClip(with_parts(clip.raw, parts))
    raw, (left, right) = clip.raw, clip.hand_confidence
    return {
        "found": raw.found[0],
        "pose_px": raw.pose[0, :, :2],
        "pose_confidence": clip.pose_confidence[0],
        "pose_world": raw.world[0],
        "left_hand_px": raw.left_hand[0],
        "left_hand_confidence": left[0],
        "right_hand_px": raw.right_hand[0],
        "right_hand_confidence": right[0],
        "face_px": raw.face[0],
        "face_confidence": clip.face_confidence[0],
    }
