"""Finding everybody in a picture, and keeping their identities in a video."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from footage import DATA
from hypothesis import given
from hypothesis import strategies as st

from pear_avatar.io.images import read_image
from pear_avatar.perception.detectors import PersonArea
from pear_avatar.perception.following import Follower
from pear_avatar.perception.people import distinct_areas, tiles
from pear_avatar.perception.picture import DetectedPerson, PictureDetector, at_time
from pear_avatar.types import ClipDetections


def area(x: float, y: float, radius: float, score: float = 0.95) -> PersonArea:
    return PersonArea(np.array([x, y], np.float32), radius, score)


@given(st.integers(16, 4000), st.integers(16, 4000), st.integers(0, 3))
def test_tiles_lie_in_the_picture_and_cover_it(width: int, height: int, levels: int) -> None:
    found = tiles(width, height, levels)
    assert found[0] == (0, 0, width, height)
    for x, y, w, h in found:
        assert x >= 0
        assert y >= 0
        assert x + w <= width
        assert y + h <= height
    squares = [t for t in found[1:] if t[2] == min(width, height)]
    if squares:
        assert min(t[0] for t in squares) == 0
        assert max(t[0] + t[2] for t in squares) == width


def test_a_person_seen_in_several_tiles_counts_once() -> None:
    found = distinct_areas([area(100, 100, 80, 0.9), area(106, 97, 90, 0.97), area(400, 90, 85)])
    assert sorted(float(a.centre[0]) for a in found) == [106.0, 400.0]


def test_an_arm_in_a_tile_is_not_a_person_but_a_sure_child_is() -> None:
    adult = area(200, 300, 200, 0.98)
    assert distinct_areas([adult, area(260, 350, 50, 0.6)]) == [adult]
    assert len(distinct_areas([adult, area(260, 350, 50, 0.96)])) == 2


def person_at(x: float, colors: np.ndarray) -> DetectedPerson:
    """A standing person of 100 x 200 px at column x, all landmarks on their outline."""
    rng = np.random.default_rng(0)
    pose = np.stack([x + 100 * rng.random(33), 50 + 200 * rng.random(33)], -1).astype(np.float32)
    zero = np.zeros(1, np.float32)
    return DetectedPerson(
        ClipDetections(
            frame_index=np.zeros(1, np.int64),
            time=np.zeros(1),
            pose_px=pose[None],
            pose_confidence=np.ones((1, 33), np.float32),
            pose_world=np.zeros((1, 33, 3), np.float32),
            left_hand_px=np.zeros((1, 21, 2), np.float32),
            left_hand_confidence=zero,
            right_hand_px=np.zeros((1, 21, 2), np.float32),
            right_hand_confidence=zero,
            face_px=np.zeros((1, 478, 2), np.float32),
            face_confidence=zero,
            box_xyxy=np.array([[x, 50, x + 100, 250]], np.float32),
            trusted=np.ones(1, bool),
            reason=np.array([""]),
            width=900,
            height=300,
        ),
        colors,
    )


class Scripted:
    """Stands in for the networks: the people of each frame are given, the frame is its number."""

    def __init__(self, frames: list[list[DetectedPerson]]) -> None:
        self.frames = frames

    def everyone(self, rgb: np.ndarray) -> list[DetectedPerson]:
        return self.frames[int(rgb[0, 0, 0])]

    def in_box(self, rgb: np.ndarray, box: np.ndarray) -> DetectedPerson | None:
        def inside(p: DetectedPerson) -> float:
            middle = (p.box_xyxy[0] + p.box_xyxy[2]) / 2
            return abs(middle - (box[0] + box[2]) / 2)

        near = [p for p in self.frames[int(rgb[0, 0, 0])] if box[0] < p.box_xyxy[0] < box[2]]
        return min(near, key=inside, default=None)


def follow(frames: list[list[DetectedPerson]]) -> list[dict[int, float]]:
    """identity -> column, for every frame."""
    follower = Follower(Scripted(frames), look_every=5, forget_after=4)  # type: ignore[arg-type]
    result = []
    for i in range(len(frames)):
        seen = follower.update(np.full((1, 1, 3), i, np.uint8))
        result.append({s.identity: float(s.person.box_xyxy[0]) for s in seen})
    return result


RED, BLUE = np.eye(256, dtype=np.float32)[[0, 1]]


def test_identities_stay_with_people_who_walk_past_each_other() -> None:
    frames = [[person_at(20 + 15 * t, RED), person_at(500 - 15 * t, BLUE)] for t in range(30)]
    found = follow(frames)
    red, blue = sorted(found[0], key=lambda i: found[0][i])
    # One of them may be missed where they cover each other, but never mistaken for the other.
    assert all(f.get(red, 20 + 15 * t) == 20 + 15 * t for t, f in enumerate(found))
    assert all(f.get(blue, 500 - 15 * t) == 500 - 15 * t for t, f in enumerate(found))
    assert [t for t, f in enumerate(found) if set(f) != {red, blue}] in ([], [15], [16])


def test_somebody_hidden_for_long_gets_their_number_back() -> None:
    both = [person_at(50, RED), person_at(600, BLUE)]
    frames = [both] * 3 + [[person_at(50, RED)]] * 12 + [[person_at(50, RED), person_at(300, BLUE)]]
    found = follow(frames + [frames[-1]] * 6)
    blue = next(i for i, x in found[0].items() if x == 600)
    assert found[-1][blue] == 300
    assert set(found[-1]) == set(found[0])


def test_a_stranger_gets_a_new_number() -> None:
    green = np.eye(256, dtype=np.float32)[2]
    found = follow([[person_at(50, RED)]] * 5 + [[person_at(50, RED), person_at(500, green)]] * 6)
    assert set(found[0]) == {0}
    assert set(found[-1]) == {0, 1}


def test_a_find_can_be_put_at_its_place_in_a_video() -> None:
    moved = at_time(person_at(0, RED), 7, 0.25).detections
    assert moved.frame_index.tolist() == [7]
    assert moved.time.tolist() == [0.25]


@pytest.fixture(scope="module")
def detector() -> Iterator[PictureDetector]:
    with PictureDetector() as made:
        yield made


def still(name: str, height: int = 480) -> np.ndarray:
    if not DATA.is_dir():
        pytest.skip(f"no test footage at {DATA} (set PEAR_AVATAR_DATA)")
    rgb = read_image(DATA / "stills" / name)
    return cv2.resize(rgb, (round(rgb.shape[1] * height / rgb.shape[0]), height))


def test_all_four_people_of_a_wide_picture_are_found(detector: PictureDetector) -> None:
    names = ("yoga_warrior.jpg", "skier_coco785.jpg", "sitting_outdoor_strong_light.jpg")
    parts = [still(n) for n in names] + [still(names[0])[:, ::-1]]
    edges = np.cumsum([0] + [p.shape[1] for p in parts])
    people = detector.everyone(np.concatenate(parts, axis=1))
    columns = [(p.box_xyxy[0] + p.box_xyxy[2]) / 2 for p in people]
    where = sorted(int(np.searchsorted(edges, c)) - 1 for c in columns)
    assert where == [0, 1, 2, 3]
    assert [p.area for p in people] == sorted((p.area for p in people), reverse=True)


def test_the_box_chooses_the_person(detector: PictureDetector) -> None:
    left, right = still("yoga_warrior.jpg"), still("skier_coco785.jpg")
    both = np.concatenate([left, right], axis=1)
    split = left.shape[1]
    for x0, x1 in ((0, split), (split, both.shape[1])):
        person = detector.in_box(both, (x0, 0, x1, both.shape[0]))
        assert person is not None
        assert x0 <= person.box_xyxy[0]
        assert person.box_xyxy[2] <= x1


def test_nobody_in_an_empty_picture(detector: PictureDetector) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (120, 160, 3), np.uint8)
    assert detector.everyone(noise) == []
    assert detector.largest(noise) is None
    assert detector.largest(np.zeros((8, 8, 3), np.uint8)) is None
