"""One person per clip: whoever else comes into the picture is left out."""

from dataclasses import replace

import numpy as np
from synthetic_people import HEIGHT, SCALE, WIDTH, clip, standing

from pear_avatar.perception.appearance import similarity
from pear_avatar.perception.identity import find_main_person, search_box
from pear_avatar.perception.measure import person_boxes
from pear_avatar.perception.raw import RawClip


def _dressed(raw: RawClip, first_bin: int) -> RawClip:
    colors = np.zeros_like(raw.colors)
    colors[:, first_bin : first_bin + 4] = 0.25
    return replace(raw, colors=colors)


def _moved(raw: RawClip, x: float, size: float = 1.0) -> RawClip:
    pose = raw.pose.copy()
    pose[..., :2] = (pose[..., :2] - (320, 220)) * size + (320 + x, 220)
    return replace(raw, pose=pose)


def _nobody(count: int) -> RawClip:
    raw = standing(count)
    return replace(raw, found=np.zeros(count, bool), pose=raw.pose * 0, colors=raw.colors * 0)


def _main(*parts: RawClip):
    raw = RawClip.concat(parts)
    raw = replace(raw, time=np.arange(raw.num_frames) / 25.0)
    boxes = person_boxes(raw.pose, raw.found, WIDTH, HEIGHT)
    scale = np.concatenate(
        [np.full(p.num_frames, SCALE * np.ptp(p.pose[0, :, 1]) / 312) for p in parts]
    )
    return find_main_person(raw, boxes, np.maximum(scale, 1.0)), raw, boxes


def test_one_person_is_kept_throughout():
    main, raw, _ = _main(standing(30))
    assert main.is_person.all()
    assert main.others == 0
    assert similarity(main.colors, raw.colors[0]) > 0.99


def test_jump_to_somebody_else_is_noticed():
    other = _dressed(_moved(standing(8), 200), 40)
    main, *_ = _main(standing(20), other, standing(20))
    assert np.flatnonzero(~main.is_person).tolist() == list(range(20, 28))
    assert main.others == 1


def test_cut_to_somebody_else_in_the_same_place_is_noticed():
    main, *_ = _main(standing(20), _dressed(standing(10), 40))
    assert main.is_person.tolist() == [True] * 20 + [False] * 10


def test_the_larger_and_longer_one_is_kept_not_the_first():
    passer_by = _dressed(_moved(standing(12), -250, 0.5), 40)
    main, *_ = _main(passer_by, standing(20))
    assert main.is_person.tolist() == [False] * 12 + [True] * 20


def test_somebody_who_leaves_and_comes_back_elsewhere_is_the_same_person():
    main, *_ = _main(standing(15), _nobody(10), _moved(standing(15), 150))
    assert main.is_person.tolist() == [True] * 15 + [False] * 10 + [True] * 15


def test_fast_movement_of_one_person_is_no_second_person():
    world = standing(30).world
    raw = clip(world)
    pose = raw.pose.copy()
    pose[15:, :, 0] += 0.9 * SCALE  # a leap, or a long stride between sampled frames
    main, *_ = _main(replace(raw, pose=pose))
    assert main.is_person.all()


def test_nobody_at_all():
    main, *_ = _main(_nobody(5))
    assert not main.is_person.any()


def test_search_box_surrounds_where_the_person_was_and_gives_up_in_time():
    main, raw, boxes = _main(standing(10), _nobody(40), standing(3))
    near = search_box(12, main.is_person, boxes, raw.time)
    assert near is not None
    assert (near[:2] < boxes[9, :2]).all()
    assert (near[2:] > boxes[9, 2:]).all()
    raw_far = replace(raw, time=raw.time * 4)
    assert search_box(25, main.is_person, boxes, raw_far.time) is None
