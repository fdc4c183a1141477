"""Types that flow: detections are cut and joined as a whole."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from pear_avatar.types import ClipDetections


def clip(count: int) -> ClipDetections:
    rng = np.random.default_rng(count)
    return ClipDetections(
        frame_index=np.arange(count),
        time=np.arange(count) / 25.0,
        pose_px=rng.random((count, 33, 2)),
        pose_confidence=rng.random((count, 33)),
        pose_world=rng.random((count, 33, 3)),
        left_hand_px=rng.random((count, 21, 2)),
        left_hand_confidence=rng.random(count),
        right_hand_px=rng.random((count, 21, 2)),
        right_hand_confidence=rng.random(count),
        face_px=rng.random((count, 478, 2)),
        face_confidence=rng.random(count),
        box_xyxy=rng.random((count, 4)),
        trusted=rng.random(count) > 0.5,
        reason=np.array(["", "small"] * count)[:count],
        width=640,
        height=480,
        face_actions=rng.random((count, 52)),
    )


def equal(a: ClipDetections, b: ClipDetections) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))


def test_parts_joined_are_the_whole() -> None:
    whole = clip(7)
    assert equal(ClipDetections.concat([whole[:3], whole[3:4], whole[4:]]), whole)


@pytest.mark.parametrize("index", [slice(1, 6, 2), np.array([1, 3, 5]), np.arange(7) % 2 == 1])
def test_frames_are_picked_by_slice_numbers_or_mask(index: slice | np.ndarray) -> None:
    whole = clip(7)
    part = whole[index]
    assert part.num_frames == 3
    assert part.frame_index.tolist() == [1, 3, 5]
    assert np.array_equal(part.face_px, whole.face_px[[1, 3, 5]])
    assert (part.width, part.height) == (640, 480)
    assert whole.face_actions is not None
    assert np.array_equal(part.face_actions, whole.face_actions[[1, 3, 5]])


def test_pictures_of_different_sizes_are_not_joined() -> None:
    with pytest.raises(ValueError, match="one picture size"):
        ClipDetections.concat([clip(2), replace(clip(2), width=320)])


def test_facial_actions_that_one_part_lacks_are_lacking_in_the_whole() -> None:
    assert (
        ClipDetections.concat([clip(2), replace(clip(2), face_actions=None)]).face_actions is None
    )
    assert replace(clip(3), face_actions=None)[:2].face_actions is None
