"""Clips with several people: one is kept, and the user is told so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_people import RED, Scripted, follow, person_at

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.errors import ConfigError, MediaError
from pear_avatar.geometry.cameras import default_world_camera, intrinsics, project
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.io.video import VideoWriter
from pear_avatar.perception.clip import detect_landmarks
from pear_avatar.perception.detectors import FrameDetection
from pear_avatar.perception.everyone import FollowedPeople, PersonChoice
from pear_avatar.perception.following import Follower
from pear_avatar.perception.masks import PackedMask
from pear_avatar.perception.raw import RawFrame
from pear_avatar.perception.trust import OTHER_PERSON
from pear_avatar.synthesis import Attributes, draw_person, dress_person
from pear_avatar.synthesis.person import Person
from pear_avatar.types import BodyParams, Camera


def frame_at(x: float) -> RawFrame:
    """A detection of somebody 100 px wide and 200 px high at column x."""
    pose = np.zeros((33, 3), np.float32)
    pose[:, 0] = x + 100 * np.linspace(0, 1, 33)
    pose[:, 1] = 50 + 200 * np.linspace(0, 1, 33)
    mask = PackedMask.pack(np.zeros((300, 900), np.uint8))
    colors = np.zeros(256, np.float32)
    return RawFrame(
        frame_index=0,
        time=0.0,
        detection=FrameDetection(pose=pose, pose_world=pose),
        colors=colors,
        mask=mask,
        width=900,
        height=300,
    )


def followed(rows: list[dict[int, RawFrame]]) -> FollowedPeople:
    count = len(rows)
    return FollowedPeople(rows, [], np.arange(count), np.arange(count) / 10, 900, 300)


def test_people_in_like_clothes_keep_their_own_way() -> None:
    frames = [[person_at(20 + 15 * t, RED), person_at(500 - 15 * t, RED)] for t in range(30)]
    found = follow(frames)
    first, second = sorted(found[0], key=lambda i: found[0][i])
    assert all(f.get(first, 20 + 15 * t) == 20 + 15 * t for t, f in enumerate(found))
    assert all(f.get(second, 500 - 15 * t) == 500 - 15 * t for t, f in enumerate(found))


def test_somebody_away_is_not_known_again_where_two_could_be_meant() -> None:
    both = [person_at(50, RED), person_at(600, RED)]
    gone: list = [[]] * 12
    follower = Follower(
        Scripted([both] * 4 + gone + [[person_at(330, RED)]]), look_every=1, forget_after=4
    )  # type: ignore[arg-type]
    for i in range(17):
        seen = follower.update(np.full((1, 1, 3), i, np.uint8))
    assert [s.identity for s in seen] == [2]  # neither of the two


def test_the_largest_and_longest_seen_is_the_first() -> None:
    people = followed([{0: frame_at(400), 1: frame_at(0)}] * 6 + [{0: frame_at(400)}] * 4)
    assert people.people() == [0, 1]
    assert people.select(None) == people.select(PersonChoice(number=1)) == 0
    assert people.select(PersonChoice(number=2)) == 1
    assert people.select(PersonChoice(at=(50, 100, 3))) == 1
    raw, other = people.clip_of(1)
    assert raw.found.tolist() == [True] * 6 + [False] * 4
    assert other.tolist() == [False] * 6 + [True] * 4
    assert any("2 people" in note for note in people.notes(1))
    assert any("4 frames" in note for note in people.notes(1))


def test_nobody_at_the_place_is_an_error_that_names_where_people_are() -> None:
    people = followed([{0: frame_at(400)}] * 4)
    with pytest.raises(MediaError, match="x 400 to 500"):
        people.select(PersonChoice(at=(50, 100, 2)))
    with pytest.raises(MediaError, match="no person 3: 1 were found"):
        people.select(PersonChoice(number=3))


def test_choices_that_make_no_sense() -> None:
    with pytest.raises(ConfigError, match="not by both"):
        PersonChoice(number=1, at=(1, 1, 1))
    with pytest.raises(ConfigError, match="counted from 1"):
        PersonChoice(number=0)
    with pytest.raises(ConfigError, match="negative"):
        PersonChoice(at=(-1, 0, 0))


# ---------------------------------------------------------------- two takes on one film

FRAMES, FPS = 40, 12.0
WIDTH, HEIGHT = 640, 480


@dataclass(frozen=True)
class Take:
    """A person who walks: pictures, coverage and the middle of the hips in every frame."""

    pictures: list[np.ndarray]
    coverage: list[np.ndarray]
    hips: np.ndarray


def camera() -> Camera:
    K = intrinsics(620.0, WIDTH, HEIGHT)
    return Camera(K, default_world_camera(), WIDTH, HEIGHT)


def walk(person: Person, x: np.ndarray, depth: float, facing: float) -> Take:
    """Walk along x (FRAMES,) metres at ``depth`` metres, turned by ``facing`` degrees."""
    body = load_body()
    swing = np.sin(np.linspace(0, 6 * np.pi, FRAMES))
    aa = torch.zeros(FRAMES, 55, 3)
    aa[:, 0, 1] = np.radians(facing)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        aa[:, JOINT_INDEX[f"{side}_shoulder"], 2] = -1.15 * sign
        aa[:, JOINT_INDEX[f"{side}_hip"], 0] = torch.from_numpy(-0.35 * sign * swing)
        aa[:, JOINT_INDEX[f"{side}_knee"], 0] = torch.from_numpy(0.3 + 0.25 * sign * swing)
    place = torch.zeros(FRAMES, 3)
    place[:, 0], place[:, 1], place[:, 2] = torch.from_numpy(x), 0.05, -depth
    params = BodyParams(
        torch.from_numpy(person.betas),
        torch.zeros(FRAMES, body.num_expression),
        axis_angle_to_matrix(aa),
        place,
    )
    with torch.no_grad():
        posed = body.shape(params.betas).pose(params.rotations, params.transl)
    pictures, coverage = [], []
    for i, transforms in enumerate(posed.rest_to_posed.numpy()):
        rgb, alpha = draw_person(
            person, person.pose(transforms, params.expression[i].numpy()), camera()
        )
        pictures.append(rgb)
        coverage.append(alpha)
    hips = project(camera(), posed.joints[:, 1:3].mean(1, keepdim=True))[0][:, 0]
    return Take(pictures, coverage, hips.numpy())


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Take, Take]:
    """A woman crosses the picture; a man dressed alike walks the other way behind her, leaves
    the picture and comes back."""
    body = load_body()
    woman = dress_person(body, Attributes(seed=1, sex="female"))
    man = dress_person(body, replace(Attributes(seed=2, sex="male"), stature=0.6))
    t = np.linspace(0, 1, FRAMES)
    near = walk(woman, -0.9 + 1.8 * t, 3.3, 60.0)
    far = walk(man, np.interp(t, (0, 0.45, 0.6, 1), (1.2, -2.6, -2.6, -0.6)), 4.2, -60.0)
    path = tmp_path_factory.mktemp("crossing") / "two.mp4"
    wall = np.full((HEIGHT, WIDTH, 3), (0.62, 0.66, 0.70), np.float32)
    wall[HEIGHT * 3 // 4 :] = (0.45, 0.42, 0.40)
    with VideoWriter(path, FPS) as writer:
        for i in range(FRAMES):
            picture = far.pictures[i] + (1 - far.coverage[i][..., None]) * wall
            picture = near.pictures[i] + (1 - near.coverage[i][..., None]) * picture
            writer.write(np.round(255 * picture.clip(0, 1)).astype(np.uint8))
    return path, near, far


def share_on(detections, take: Take, other: Take) -> tuple[float, int]:  # type: ignore[no-untyped-def]
    """Of the trusted frames: the share nearer to one person's hips than to the other's, and how
    many they are; frames in which both cover each other count for either."""
    hips = detections.pose_px[:, 23:25].mean(1)
    own = np.linalg.norm(hips - take.hips, axis=1)
    wrong = np.linalg.norm(hips - other.hips, axis=1)
    apart = np.linalg.norm(take.hips - other.hips, axis=1) > 60
    rows = detections.trusted & apart
    return float((own < wrong)[rows].mean()), int(rows.sum())


def test_crossing_leaving_and_coming_back_keeps_to_one_and_says_so(
    crossing: tuple[Path, Take, Take],
) -> None:
    video, near, far = crossing
    found = detect_landmarks(video)
    on_her, frames = share_on(found, near, far)
    assert frames > 0.6 * FRAMES
    assert on_her == 1.0
    assert any("2 people" in note for note in found.notes)


def test_the_other_one_is_kept_where_he_is_pointed_at(crossing: tuple[Path, Take, Take]) -> None:
    video, near, far = crossing
    start = far.hips[0]
    found = detect_landmarks(video, person=PersonChoice(at=(start[0], start[1], 0)))
    on_him, frames = share_on(found, far, near)
    assert frames > 6
    assert on_him == 1.0
    assert (found.reason[~found.trusted] == OTHER_PERSON).any()
