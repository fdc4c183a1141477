"""The detectors' networks: decoding, following, and whole people in real pictures, offline."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from footage import DATA

from pear_avatar.body import face_from_arkit, load_body
from pear_avatar.io.images import read_image
from pear_avatar.perception.detectors.mediapipe import (
    FaceMeshDetector,
    HandCropDetector,
    HolisticDetector,
)
from pear_avatar.perception.networks.actions import facial_actions
from pear_avatar.perception.networks.anchors import AnchorDetector
from pear_avatar.perception.networks.regions import Region
from pear_avatar.perception.networks.tracking import Tolerance, followed_region
from pear_avatar.perception.people import PeopleFinder

STILL = DATA / "stills" / "standing_ryota.png"
real_footage = pytest.mark.skipif(not STILL.exists(), reason="needs the shared footage")
_TOLERANCE = Tolerance(degrees=15.0, shift=0.1, scale=0.3, margin=-0.2)


class _FixedNetwork:
    """Two boxes that overlap, one elsewhere and one below the least score."""

    size = 128

    def __call__(self, values: np.ndarray) -> list[np.ndarray]:
        boxes, logits = np.zeros((1, 896, 16), np.float32), np.full((1, 896, 1), -9.0, np.float32)
        for anchor, logit in ((0, 2.0), (1, 1.0), (100, 3.0), (300, -0.1)):
            boxes[0, anchor, 2:4] = 32.0
            logits[0, anchor] = logit
        return [boxes, logits]


def test_boxes_that_overlap_are_one_detection() -> None:
    detector = AnchorDetector("face_detection_short_range", (8, 16, 16, 16), low=-1.0)
    detector._network = _FixedNetwork()  # type: ignore[assignment]
    found = detector.find(np.zeros((64, 128, 3), np.uint8), Region.of_picture(128, 64))
    assert [round(f.score, 2) for f in found] == [0.95, 0.88]
    assert found[0].score > found[1].score
    np.testing.assert_allclose(found[1].box[2:] - found[1].box[:2], 32.0, atol=1e-4)
    # The first cell's centre in a picture that lies in the middle of the square.
    np.testing.assert_allclose(found[1].points[0], [4.0, 4.0 - 32.0], atol=1e-4)


@pytest.mark.parametrize(
    ("region", "stays"),
    [
        (Region(np.array([52.0, 50.0]), 40.0, 0.1), True),
        (Region(np.array([60.0, 50.0]), 40.0, 0.1), False),
        (Region(np.array([52.0, 50.0]), 40.0, 0.5), False),
        (Region(np.array([52.0, 50.0]), 60.0, 0.1), False),
    ],
)
def test_the_last_region_is_kept_while_it_fits(region: Region, stays: bool) -> None:
    landmarks = np.array([[45.0, 45.0], [55.0, 55.0]])
    expected = Region(np.array([50.0, 50.0]), 40.0)
    used = followed_region(region, landmarks, expected, _TOLERANCE)
    assert used is (region if stays else expected)


def test_landmarks_that_left_the_expected_region_end_following() -> None:
    region = Region(np.array([50.0, 50.0]), 40.0)
    outside = np.array([[20.0, 50.0], [55.0, 55.0]])
    assert followed_region(region, outside, region.grown(1.0), _TOLERANCE) is not region
    assert followed_region(None, None, region, _TOLERANCE) is region


def test_nothing_is_found_in_an_empty_picture() -> None:
    empty = np.full((90, 120, 3), 128, np.uint8)
    detector = HolisticDetector()
    assert detector.detect(empty).pose is None
    detector.close()
    assert FaceMeshDetector().find(empty) is None
    assert HandCropDetector().find(empty) is None
    assert PeopleFinder().find(empty) == []


def test_what_a_face_does_is_read_from_its_landmarks() -> None:
    body = load_body()
    done = ("jawOpen", "mouthSmileLeft", "eyeBlinkRight", "browInnerUp")
    weights = torch.zeros(len(done) + 1, 52)
    for i, name in enumerate(done):
        weights[i, body.arkit_names.index(name)] = 1.0
    face = face_from_arkit(body, weights)
    rotations = face.apply(torch.eye(3).expand(55, 3, 3))
    marks = body.shape(torch.zeros(10), face.expression).pose(rotations).landmarks("mediapipe_face")
    points = marks[..., :2].numpy() * np.array([1000.0, -1000.0], np.float32) + 500.0
    seen = np.ones(len(points), bool)
    found = facial_actions(points, seen)
    assert found.shape == (5, 52)
    assert found.min() >= 0.0
    assert found.max() <= 1.0
    neutral = found[-1]
    for i, name in enumerate(done):
        k = body.arkit_names.index(name)
        assert found[i, k] > neutral[k] + 0.15, name
    assert (facial_actions(points, ~seen) == 0.0).all()


@pytest.mark.data
@real_footage
def test_a_real_person_whole_and_in_parts() -> None:
    rgb = read_image(STILL)
    detector = HolisticDetector()
    first, second = detector.detect(rgb), detector.detect(rgb, hands=False, face=False, mask=False)
    assert first.pose is not None
    assert first.face is not None
    assert first.mask is not None
    assert second.pose is not None
    assert second.mask is None
    assert second.face is None
    assert second.left_hand is None
    seen = first.pose[:, 2] > 0.8
    height = float(np.ptp(first.pose[seen, 1]))
    apart = np.linalg.norm((first.pose - second.pose)[seen, :2], axis=1)
    assert np.median(apart) < 0.01 * height
    # Face and hands lie where the body says; the mask covers the body.
    assert np.linalg.norm(first.face[1] - first.pose[0, :2]) < 0.03 * height
    for hand, wrist in ((first.left_hand, 15), (first.right_hand, 16)):
        if hand is not None:
            assert np.linalg.norm(hand[0] - first.pose[wrist, :2]) < 0.05 * height
    columns, rows = first.pose[[11, 12, 23, 24], :2].mean(0).astype(int)
    assert first.mask[rows, columns] > 200
    detector.reset()
    again = detector.detect(rgb)
    assert again.pose is not None
    np.testing.assert_array_equal(again.pose, first.pose)
    detector.close()


@pytest.mark.data
@real_footage
@pytest.mark.skipif(not shutil.which("unshare"), reason="needs unshare to take the network away")
def test_detection_needs_no_network() -> None:
    code = (
        "from pear_avatar.io.images import read_image\n"
        "from pear_avatar.perception.detectors.mediapipe import HolisticDetector\n"
        f"print(HolisticDetector().detect(read_image({str(STILL)!r})).pose is not None)"
    )
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        pytest.skip("this system lets no process leave the network")
    offline = ["unshare", "-rn", sys.executable, "-c", code]
    assert subprocess.run(offline, capture_output=True, text=True).stdout.strip() == "True"
