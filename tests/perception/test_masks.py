"""Masks: packing, and keeping only the person."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pear_avatar.perception.masks import (
    PackedMask,
    PersonMasks,
    keep_person,
    masks_from_arrays,
    masks_to_arrays,
)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_packing_loses_nothing(height, width, seed):
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 256, (height, width), dtype=np.uint8)
    mask[: rng.integers(0, height + 1)] = 0
    assert np.array_equal(PackedMask.pack(mask).unpack(height, width), mask)


def test_masks_go_through_plain_arrays():
    rng = np.random.default_rng(1)
    masks = [rng.integers(0, 256, (7, 9), dtype=np.uint8), np.zeros((7, 9), np.uint8)]
    packed = PersonMasks.from_arrays(masks)
    back = masks_from_arrays(masks_to_arrays(packed.packed))
    assert len(packed) == 2
    for i, mask in enumerate(masks):
        assert np.array_equal(back[i].unpack(7, 9), mask)
        assert np.array_equal(packed.mask(i), mask)
    with pytest.raises(IndexError, match="2 frames"):
        packed.mask(2)


def test_wrong_masks_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        PackedMask.pack(np.zeros((3, 3), np.float32))
    with pytest.raises(ValueError, match="different sizes"):
        PersonMasks.from_arrays([np.zeros((3, 3), np.uint8), np.zeros((3, 4), np.uint8)])
    with pytest.raises(ValueError, match="no mask"):
        PersonMasks.from_arrays([])


def test_only_parts_with_landmarks_or_the_largest_part_stay():
    mask = np.zeros((120, 160), np.uint8)
    mask[20:100, 30:60] = 255  # the body
    mask[100:110, 30:60] = 60  # its soft rim
    mask[60:75, 80:95] = 255  # a hand cut off by a table
    mask[20:40, 130:150] = 255  # somebody else
    kept = keep_person(mask, np.array([[40.0, 50.0], [85.0, 65.0], [-5.0, 500.0]]))
    assert np.array_equal(
        kept[:, :100], np.where(mask[:, :100] == 60, kept[:, :100], mask[:, :100])
    )
    assert kept[100, 45] == 60
    assert not kept[:, 120:].any()
    assert not keep_person(np.zeros((9, 9), np.uint8), np.zeros((0, 2))).any()
