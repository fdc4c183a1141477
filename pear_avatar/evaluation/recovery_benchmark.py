"""Measure feed-forward recovery on public data sets, on synthetic people, or on stills.

Every figure says which joints, which alignment and whose labels it is about, because published
figures for one data set do not compare when those differ.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body import BodyModel
from pear_avatar.body.ehm import EhmModel
from pear_avatar.body.topology import NUM_WHOLE_BODY, OPENPOSE_TO_COCO, WHOLE_BODY_PARTS
from pear_avatar.errors import MediaError
from pear_avatar.evaluation.datasets import Sample
from pear_avatar.evaluation.human_mesh import (
    Score,
    acceleration_error,
    box_length,
    mpjpe,
    pa_mpjpe,
    pa_pve,
    pck,
    pve,
)
from pear_avatar.evaluation.human_mesh.part_errors import MeshParts, parts_by_skinning
from pear_avatar.geometry.cameras import default_world_camera, project, to_camera
from pear_avatar.io.images import (
    read_image,
)
from pear_avatar.perception.measure import SEEN
from pear_avatar.recovery.recovered import RecoveredPeople, RecoveredPerson
from pear_avatar.types import Camera, ProgressFn

__all__ = ["Figure", "HmrReport", "PictureModel", "measure_recovery"]

_log = logging.getLogger(__name__)


NUM_BODY_JOINTS = 22
_THRESHOLDS = (0.05, 0.1)
_MM = 1e3

#: Layouts of keypoints that are landmark sets of the body by the same name.
_OWN_LAYOUTS = ("coco17", "wholebody133")
#: Rows of the 133 by part.
_PARTS_133 = {
    **{part: WHOLE_BODY_PARTS[part] for part in ("body", "feet", "face")},
    "hands": slice(WHOLE_BODY_PARTS["left_hand"].start, NUM_WHOLE_BODY),
}


class PictureModel(Protocol):
    """What is measured: a :class:`pear_avatar.recovery.Recoverer`, or anything like it."""

    def __call__(
        self, image: np.ndarray, *, box: tuple[float, ...] | None, camera: Camera | None
    ) -> RecoveredPeople:
        """The person in the box."""
        ...


@dataclass(frozen=True)
class Figure:
    """A mean and how many people (or keypoints) it is over."""

    name: str
    value: float
    unit: str
    count: int


@dataclass(frozen=True)
class HmrReport:
    """What one data set says of one source of parameters.

    people: samples asked for. found: those in which a person was recovered; figures in space are
    over these, and 2D scores count the others as wrong. skipped: samples whose picture could not
    be read.
    """

    people: int
    found: int
    skipped: int
    figures: tuple[Figure, ...]


@dataclass
class _Sums:
    """Running means and scores."""

    values: dict[str, list[float]] = field(default_factory=dict)
    scores: dict[str, Score] = field(default_factory=dict)
    tracks: dict[str, list[tuple[int, Tensor, Tensor]]] = field(default_factory=dict)

    def add(self, name: str, value: Tensor) -> None:
        number = float(value)
        if np.isfinite(number):
            self.values.setdefault(name, []).append(number)

    def score(self, name: str, score: Score) -> None:
        self.scores[name] = self.scores.get(name, Score(0, 0)) + score


@torch.no_grad()
def measure_recovery(
    samples: Iterable[Sample],
    recoverer: PictureModel,
    body: EhmModel,
    *,
    limit: int | None = None,
    progress: ProgressFn | None = None,
) -> HmrReport:
    """Recover every sample's person in its box and measure what the sample has truth for.

    Args:
        samples: of one data set.
        recoverer: whose results are measured.
        body: that the recovered parameters are for.
        limit: at most so many samples.
        progress: called with "measure", how many are done, and how many there are at least.
    """
    sums = _Sums()
    parts = parts_by_skinning(body.body)
    report = progress or (lambda *_: None)
    people = found = skipped = 0
    for sample in _first(samples, limit):
        try:
            image = read_image(sample.image)
        except MediaError as error:
            _log.warning("skipped: %s", error)
            skipped += 1
            continue
        people += 1
        person = _recover(recoverer, image, sample)
        found += person is not None
        _measure(sums, sample, person, body, parts)
        report("measure", people + skipped, people + skipped + 1)
    report("measure", people + skipped, people + skipped)
    return HmrReport(people, found, skipped, tuple(_figures(sums)))


def _first(samples: Iterable[Sample], limit: int | None) -> Iterator[Sample]:
    for number, sample in enumerate(samples):
        if limit is not None and number >= limit:
            return
        yield sample


def _recover(recoverer: PictureModel, image: np.ndarray, sample: Sample) -> RecoveredPerson | None:
    height, width = image.shape[:2]
    x0, y0, x1, y1 = sample.box_xyxy
    inside = (max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1))
    if not (inside[0] < inside[2] and inside[1] < inside[3]):
        return None
    camera = None
    if sample.K is not None:
        K = torch.from_numpy(np.asarray(sample.K)).float()
        camera = Camera(K, default_world_camera(), width, height)
    people = recoverer(image, box=tuple(float(v) for v in inside), camera=camera)
    return people[0] if len(people) else None


def _measure(
    sums: _Sums,
    sample: Sample,
    person: RecoveredPerson | None,
    body: EhmModel,
    parts: MeshParts,
) -> None:
    if person is None:
        if sample.keypoints is not None:
            _score_keypoints(sums, sample, None)
        return
    params = person.params
    own = body.person(person.proportions)
    # Eyelids follow the expression where the person's body has columns for them.
    expression = params.expression[: own.num_expression]
    posed = own.shape(params.betas, expression).pose(params.rotations, params.transl)
    joints = to_camera(person.camera, posed.joints)
    if sample.joints is not None:
        _measure_joints(sums, sample, joints)
    if sample.vertices is not None and len(sample.vertices) == own.num_vertices:
        vertices = to_camera(person.camera, posed.vertices())
        _measure_mesh(sums, torch.from_numpy(sample.vertices), vertices, own, parts)
    name = _landmark_set(sample.keypoint_layout)
    if name is not None:
        pixels, _ = project(person.camera, posed.landmarks(name))
        _score_keypoints(sums, sample, pixels)
    if sample.keypoints is None and sample.joints is None and sample.vertices is None:
        pixels, _ = project(person.camera, posed.landmarks("mediapipe_pose"))
        _score_agreement(sums, person, pixels)


def _measure_joints(sums: _Sums, sample: Sample, joints: Tensor) -> None:
    """SMPL's 24 and SMPL-X's 127 begin with the same 22 joints as the body."""
    truth = torch.from_numpy(np.asarray(sample.joints))[:NUM_BODY_JOINTS]
    guess = joints[:NUM_BODY_JOINTS]
    sums.add("MPJPE, 22 joints, pelvis aligned", _MM * mpjpe(guess, truth))
    sums.add("PA-MPJPE, 22 joints", _MM * pa_mpjpe(guess, truth))
    if sample.sequence:
        rooted = (guess - guess[:1], truth - truth[:1])
        sums.tracks.setdefault(sample.sequence, []).append((sample.frame, *rooted))


def _measure_mesh(
    sums: _Sums, truth: Tensor, vertices: Tensor, body: BodyModel, parts: MeshParts
) -> None:
    """Both meshes are brought together at joints that are regressed from them alike."""

    def at(joint: int) -> tuple[Tensor, Tensor]:
        index = body.joint_index[joint]
        weight = body.joint_weight[joint, :, None].double()
        own, true = ((mesh[index].double() * weight).sum(0) for mesh in (vertices, truth))
        return own, true

    hands = ((parts.left_hand, parts.left_wrist), (parts.right_hand, parts.right_wrist))
    sums.add("PVE, whole body, pelvis aligned", _MM * pve(vertices, truth, *at(parts.root)))
    sums.add("PA-PVE, whole body", _MM * pa_pve(vertices, truth))
    for rows, wrist in hands:
        sums.add("PVE, hands, wrist aligned", _MM * pve(vertices, truth, *at(wrist), rows))
        sums.add("PA-PVE, hands", _MM * pa_pve(vertices, truth, rows))
    sums.add("PVE, face, neck aligned", _MM * pve(vertices, truth, *at(parts.neck), parts.face))
    sums.add("PA-PVE, face", _MM * pa_pve(vertices, truth, parts.face))


def _landmark_set(layout: str) -> str | None:
    if layout in OPENPOSE_TO_COCO:
        return "coco17"
    return layout if layout in _OWN_LAYOUTS else None


def _score_keypoints(sums: _Sums, sample: Sample, pixels: Tensor | None) -> None:
    """PCK relative to the longer side of the sample's box; no detection counts as all wrong."""
    if _landmark_set(sample.keypoint_layout) is None:
        return
    truth = torch.from_numpy(np.asarray(sample.keypoints)).double()
    visible = torch.ones(len(truth), dtype=torch.bool)
    if sample.visible is not None:
        visible = torch.from_numpy(np.asarray(sample.visible))
    order = OPENPOSE_TO_COCO.get(sample.keypoint_layout)
    if order is not None:
        truth, visible = truth[list(order)], visible[list(order)]
    guess = torch.full_like(truth, torch.nan) if pixels is None else pixels.double()
    length = box_length(torch.from_numpy(np.asarray(sample.box_xyxy, dtype=np.float64)))
    parts = _PARTS_133 if len(truth) == NUM_WHOLE_BODY else {"body": slice(0, len(truth))}
    for part, rows in parts.items():
        for threshold in _THRESHOLDS:
            score = pck(guess[rows], truth[rows], visible[rows], length, threshold)
            sums.score(f"PCK@{threshold:g} of the box, {part} keypoints", score)


def _score_agreement(sums: _Sums, person: RecoveredPerson, pixels: Tensor) -> None:
    """Agreement with the detector that fed the recovery: a check of the fit, not of the truth."""
    seen = person.detections
    truth = torch.from_numpy(seen.pose_px[0]).double()
    visible = torch.from_numpy(seen.pose_confidence[0] > SEEN)
    length = box_length(torch.from_numpy(seen.box_xyxy[0]))
    for threshold in _THRESHOLDS:
        score = pck(pixels.double(), truth, visible, length, threshold)
        sums.score(f"PCK@{threshold:g} of the box, AGREEMENT WITH THE DETECTOR", score)


def _figures(sums: _Sums) -> Iterator[Figure]:
    for name, values in sums.values.items():
        yield Figure(name, float(np.mean(values)), "mm", len(values))
    errors = [e for track in sums.tracks.values() for e in _acceleration(track)]
    if errors:
        mean = float(np.mean(errors))
        yield Figure("acceleration error, 22 joints", mean, "mm/frame^2", len(errors))
    for name, score in sums.scores.items():
        yield Figure(name, 100 * score.share, "%", score.counted)


def _acceleration(track: list[tuple[int, Tensor, Tensor]]) -> Iterator[float]:
    """Of each run of consecutive frames of one person."""
    track = sorted(track, key=lambda row: row[0])
    start = 0
    for end in range(1, len(track) + 1):
        if end < len(track) and track[end][0] == track[end - 1][0] + 1:
            continue
        run = track[start:end]
        start = end
        if len(run) >= 3:
            guess = torch.stack([own for _, own, _ in run])
            truth = torch.stack([true for _, _, true in run])
            error = _MM * float(acceleration_error(guess, truth))
            yield from [error] * (len(run) - 2)
