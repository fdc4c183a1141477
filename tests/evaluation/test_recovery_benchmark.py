"""Measuring recovery with a recoverer that knows the truth, or misses it by a known amount."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pear_avatar.body import load_body
from pear_avatar.body.ehm import EhmModel, open_ehm
from pear_avatar.body.topology import OPENPOSE_TO_COCO
from pear_avatar.cli.bench import _table
from pear_avatar.evaluation.datasets import Sample, read_stills
from pear_avatar.evaluation.human_mesh.published import PROTOCOLS, PUBLISHED
from pear_avatar.evaluation.recovery_benchmark import measure_recovery
from pear_avatar.geometry.cameras import default_world_camera, intrinsics, project, to_camera
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.io.images import write_image
from pear_avatar.recovery.recovered import RecoveredPeople, RecoveredPerson
from pear_avatar.types import BodyParams, Camera, ClipDetections, Proportions

WIDTH, HEIGHT = 320, 400


@pytest.fixture(scope="module")
def model() -> EhmModel:
    return open_ehm(load_body())


def truth(model: EhmModel, seed: int) -> tuple[BodyParams, Camera]:
    generator = torch.Generator().manual_seed(seed)
    pose = 0.2 * torch.randn(55, 3, generator=generator)
    pose[0] = 0
    body = model.body
    params = BodyParams(
        0.5 * torch.randn(body.num_betas, generator=generator),
        torch.zeros(body.num_expression),
        axis_angle_to_matrix(pose),
        torch.tensor([0.0, -0.2, -3.5]),
    )
    return params, Camera(intrinsics(350.0, WIDTH, HEIGHT), default_world_camera(), WIDTH, HEIGHT)


def empty_detections() -> ClipDetections:
    def zeros(*shape: int) -> np.ndarray:
        return np.zeros((1, *shape), np.float32)

    return ClipDetections(
        frame_index=np.zeros(1, np.int64),
        time=np.zeros(1),
        pose_px=zeros(33, 2),
        pose_confidence=zeros(33),
        pose_world=zeros(33, 3),
        left_hand_px=zeros(21, 2),
        left_hand_confidence=zeros(),
        right_hand_px=zeros(21, 2),
        right_hand_confidence=zeros(),
        face_px=zeros(478, 2),
        face_confidence=zeros(),
        box_xyxy=np.array([[0, 0, 100, 200]], np.float32),
        trusted=np.ones(1, bool),
        reason=np.array([""]),
        width=WIDTH,
        height=HEIGHT,
    )


class Oracle:
    """Recovers the people it was constructed with, in order; None recovers no person."""

    def __init__(self, people: list[tuple[BodyParams, Camera] | None]) -> None:
        self.people = iter(people)

    def __call__(
        self, image: np.ndarray, *, box: tuple[float, ...] | None, camera: Camera | None
    ) -> RecoveredPeople:
        assert box is not None
        assert 0 <= box[0] < box[2] <= WIDTH
        given = next(self.people)
        if given is None:
            return RecoveredPeople((), WIDTH, HEIGHT)
        person = RecoveredPerson(
            params=given[0],
            proportions=Proportions.neutral(),
            camera=given[1],
            box_xyxy=np.array(box),
            confidence=1.0,
            reason="",
            identity=0,
            detections=empty_detections(),
        )
        return RecoveredPeople((person,), WIDTH, HEIGHT)


def sample_of(model: EhmModel, folder: Path, seed: int, frame: int = 0) -> Sample:
    params, camera = truth(model, seed)
    picture = folder / f"{seed}.png"
    write_image(picture, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    shaped = model.body.shape(params.betas, params.expression)
    posed = shaped.pose(params.rotations, params.transl)
    keypoints, _ = project(camera, posed.landmarks("coco17"))
    return Sample(
        image=picture,
        name=str(seed),
        box_xyxy=np.array([40.0, 10.0, 280.0, 390.0]),
        sequence="walk",
        frame=frame,
        K=camera.K.numpy(),
        joints=to_camera(camera, posed.joints).double().numpy(),
        joint_layout="smplx55",
        vertices=to_camera(camera, posed.vertices()).double().numpy(),
        keypoints=keypoints.double().numpy(),
        keypoint_layout="coco17",
    )


def test_the_truth_has_no_error(model: EhmModel, tmp_path: Path) -> None:
    samples = [sample_of(model, tmp_path, seed, seed) for seed in range(3)]
    report = measure_recovery(samples, Oracle([truth(model, s) for s in range(3)]), model)
    assert (report.people, report.found, report.skipped) == (3, 3, 0)
    figures = {f.name: f for f in report.figures}
    for name, figure in figures.items():
        if figure.unit != "%":
            assert figure.value < 0.01, name  # mm: float32 against float64
    assert figures["PCK@0.05 of the box, body keypoints"].value == 100
    assert figures["PCK@0.05 of the box, body keypoints"].count == 51
    assert figures["PVE, hands, wrist aligned"].count == 6
    assert figures["acceleration error, 22 joints"].count == 1
    table = _table("synthetic", report)
    assert "3 people, 3 recovered" in table
    assert PROTOCOLS["synthetic"] in table


def test_a_known_error_is_found_and_only_where_it_is(model: EhmModel, tmp_path: Path) -> None:
    params, camera = truth(model, 0)
    moved = replace(params, transl=params.transl + torch.tensor([0.3, 0.0, 0.0]))
    report = measure_recovery([sample_of(model, tmp_path, 0)], Oracle([(moved, camera)]), model)
    figures = {f.name: f.value for f in report.figures}
    assert figures["MPJPE, 22 joints, pelvis aligned"] < 0.01  # roots are brought together
    assert figures["PCK@0.05 of the box, body keypoints"] == 0  # but the picture tells

    bent = params.rotations.clone()
    bent[18] = bent[18] @ axis_angle_to_matrix(torch.tensor([0.0, 1.0, 0.0]))  # left elbow
    bent_params = replace(params, rotations=bent)
    report = measure_recovery(
        [sample_of(model, tmp_path, 0)], Oracle([(bent_params, camera)]), model
    )
    figures = {f.name: f.value for f in report.figures}
    forearm = float((model.body.joint_template[20] - model.body.joint_template[18]).norm())
    expected = 1e3 * 2 * np.sin(0.5) * forearm / 22  # one wrist of 22 joints
    assert figures["MPJPE, 22 joints, pelvis aligned"] == pytest.approx(expected, rel=0.15)
    assert figures["PVE, face, neck aligned"] < 0.01
    assert figures["PA-PVE, hands"] < 3


def test_nobody_and_unreadable_pictures_are_counted(model: EhmModel, tmp_path: Path) -> None:
    samples = [sample_of(model, tmp_path, seed) for seed in range(3)]
    samples[1].image.write_bytes(b"not a picture")
    report = measure_recovery(samples, Oracle([None, truth(model, 2)]), model)
    assert (report.people, report.found, report.skipped) == (2, 1, 1)
    figures = {f.name: f for f in report.figures}
    assert figures["PCK@0.1 of the box, body keypoints"].value == 50
    assert figures["MPJPE, 22 joints, pelvis aligned"].count == 1
    assert "1 pictures could not be read" in _table("3dpw", report)
    limited = measure_recovery(samples[:1], Oracle([None]), model, limit=1)
    assert limited.people == 1


OPENPOSE_18 = "nose neck rsho relb rwri lsho lelb lwri rhip rkne rank lhip lkne lank reye leye rear"
OPENPOSE_25 = OPENPOSE_18.replace("lwri rhip", "lwri mid rhip")
COCO_17 = "nose leye reye lear rear lsho rsho lelb relb lwri rwri lhip rhip lkne rkne lank rank"


@pytest.mark.parametrize(
    ("layout", "names"), [("openpose18", OPENPOSE_18), ("openpose25", OPENPOSE_25)]
)
def test_openpose_orders_name_the_same_points(layout: str, names: str) -> None:
    order = [*names.split(), "lear"]
    assert [order[i] for i in OPENPOSE_TO_COCO[layout]] == COCO_17.split()


def test_stills_with_and_without_labels(model: EhmModel, tmp_path: Path) -> None:
    for name in ("a", "b", "b_mask"):
        write_image(tmp_path / f"{name}.png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    labels = {"bbox": [10, 20, 100, 200], "keypoints": [5, 6, 2] * 17}
    import json

    (tmp_path / "a.json").write_text(json.dumps({"annotations": [labels]}))
    first, second = read_stills(tmp_path)
    assert first.keypoint_layout == "coco17"
    np.testing.assert_allclose(first.box_xyxy, [10, 20, 110, 220])
    np.testing.assert_allclose(second.box_xyxy, [0, 0, WIDTH, HEIGHT])
    report = measure_recovery([second], Oracle([truth(model, 0)]), model)
    # Nothing was seen by the detector here, so that nothing is counted.
    assert {f.count for f in report.figures} == {0}
    assert all("AGREEMENT WITH THE DETECTOR" in f.name for f in report.figures)
    with pytest.raises(FileNotFoundError, match="holds no pictures"):
        list(read_stills(tmp_path / "none"))


def test_every_data_set_says_its_protocol() -> None:
    assert set(PUBLISHED) < set(PROTOCOLS)
