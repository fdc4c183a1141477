"""The whole chain on small clips: with made-up detectors, and on real footage where it is."""

import logging
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import pytest
from footage import DATA
from synthetic_people import SCALE, body, face, hand

from pear_avatar.errors import MediaError
from pear_avatar.io.video import (
    VideoWriter,
    probe_video,
    read_frames,
)
from pear_avatar.perception import passes
from pear_avatar.perception.clip import (
    detect_clip,
    detect_landmarks,
)
from pear_avatar.perception.detectors import Detectors, FrameDetection
from pear_avatar.perception.overlay import write_overlay
from pear_avatar.perception.trust import summarise
from pear_avatar.types import ClipDetections

real_footage = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"no test footage at {DATA} (set PEAR_AVATAR_DATA)"
)

WIDTH, HEIGHT = 320, 240
RED, BLUE = (200, 40, 40), (40, 40, 200)


class ColorDetector:
    """Finds the largest block of one of two colours and dresses it with a perfect body."""

    calls = 0

    def detect(self, rgb: np.ndarray) -> FrameDetection:
        type(self).calls += 1
        best = np.zeros(rgb.shape[:2], np.uint8)
        for color in (RED, BLUE):
            block = (np.abs(rgb.astype(int) - color).max(-1) < 40).astype(np.uint8)
            best = max(best, block, key=lambda m: int(m.sum()))
        if best.sum() < 300:
            return FrameDetection()
        x, y, w, h = cv2.boundingRect(best)
        scale = h / 1.6
        world = body()
        pixels = (world[:, :2] * scale + (x + w / 2, y + 0.45 * h)).astype(np.float32)
        zoom = scale / SCALE
        hands = [(hand(pixels[k]) - pixels[k]) * zoom + pixels[k] for k in (15, 16)]
        return FrameDetection(
            pose=np.column_stack([pixels, np.ones(33)]).astype(np.float32),
            pose_world=world,
            left_hand=hands[0].astype(np.float32),
            right_hand=hands[1].astype(np.float32),
            face=((face(pixels[0]) - pixels[0]) * zoom + pixels[0]).astype(np.float32),
            mask=cv2.GaussianBlur(best * 255, (0, 0), 2),
        )

    def reset(self) -> None: ...

    def close(self) -> None: ...


class NoParts:
    def find(self, rgb):
        return None

    def close(self) -> None: ...


FAKE = Detectors("fake", lambda follow: ColorDetector(), NoParts, NoParts)


def _clip(path: Path, people: list[tuple[int, int, int] | None]) -> Path:
    """A clip with one block of the given colour (or nobody) in each frame."""
    rng = np.random.default_rng(0)
    scene = cv2.resize(rng.integers(90, 160, (24, 32, 3), dtype=np.uint8), (WIDTH, HEIGHT))
    with VideoWriter(path, 25) as writer:
        for i, color in enumerate(people):
            frame = scene.copy()
            if color is not None:
                x = 160 + i % 20
                frame[35:205, x - 30 : x + 30] = color
            writer.write(frame)
    return path


@pytest.fixture(autouse=True)
def _count_from_zero():
    ColorDetector.calls = 0


def test_detections_have_the_promised_shapes(tmp_path):
    video = _clip(tmp_path / "a.mp4", [RED] * 6)
    stages = []
    found, masks = detect_clip(
        video, detectors=FAKE, progress=lambda stage, done, total: stages.append((stage, done))
    )
    n = 6
    shapes = {
        "frame_index": (n,), "time": (n,), "pose_px": (n, 33, 2), "pose_confidence": (n, 33),
        "pose_world": (n, 33, 3), "left_hand_px": (n, 21, 2), "left_hand_confidence": (n,),
        "right_hand_px": (n, 21, 2), "right_hand_confidence": (n,), "face_px": (n, 478, 2),
        "face_confidence": (n,), "box_xyxy": (n, 4), "trusted": (n,), "reason": (n,),
    }  # fmt: skip
    assert {k: getattr(found, k).shape for k in shapes} == shapes
    assert found.frame_index.dtype == np.int64
    assert found.time.dtype == np.float64
    assert all(
        getattr(found, k).dtype == np.float32
        for k in ("pose_px", "pose_confidence", "pose_world", "face_px", "box_xyxy")
    )
    assert (found.width, found.height) == (WIDTH, HEIGHT) == (masks.width, masks.height)
    assert found.trusted.all()
    assert (found.reason == "").all()
    assert masks.mask(3).shape == (HEIGHT, WIDTH)
    assert ("detect", n) in stages
    assert ("refine masks", n) in stages


def test_landmarks_alone_are_those_of_the_whole_search_and_cost_no_matting(tmp_path):
    video = _clip(tmp_path / "a.mp4", [RED] * 6)
    stages = set()
    alone = detect_landmarks(
        video, detectors=FAKE, progress=lambda stage, done, total: stages.add(stage)
    )
    assert "refine masks" not in stages
    whole, _ = detect_clip(video, detectors=FAKE)
    for name in ("pose_px", "pose_confidence", "face_confidence", "box_xyxy", "trusted"):
        assert np.array_equal(getattr(alone, name), getattr(whole, name)), name


def test_max_side_scales_results_and_max_frames_thins_them(tmp_path):
    video = _clip(tmp_path / "a.mp4", [RED] * 12)
    full, _ = detect_clip(video, detectors=FAKE)
    half, masks = detect_clip(video, detectors=FAKE, max_side=160, max_frames=4)
    assert half.frame_index.tolist() == [0, 3, 6, 9]
    assert (half.width, half.height) == (160, 120)
    assert masks.mask(0).shape == (120, 160)
    assert np.abs(half.pose_px * 2 - full.pose_px[::3]).max() < 4


def test_second_call_reads_the_cache_and_damage_is_repaired(tmp_path, caplog):
    video = _clip(tmp_path / "a.mp4", [RED] * 6)
    first, masks = detect_clip(video, cache_dir=tmp_path / "c", detectors=FAKE)
    calls = ColorDetector.calls
    again, same = detect_clip(video, cache_dir=tmp_path / "c", detectors=FAKE)
    assert ColorDetector.calls == calls
    for f in fields(ClipDetections):
        assert np.array_equal(getattr(first, f.name), getattr(again, f.name)), f.name
    assert all(np.array_equal(masks.mask(i), same.mask(i)) for i in range(6))
    (file,) = (tmp_path / "c").rglob("*.npz")
    file.write_bytes(file.read_bytes()[:-2000])
    with caplog.at_level(logging.WARNING):
        repaired, _ = detect_clip(video, cache_dir=tmp_path / "c", detectors=FAKE)
    assert "damaged" in caplog.text
    assert np.array_equal(repaired.pose_px, first.pose_px)
    other, _ = detect_clip(video, cache_dir=tmp_path / "c", detectors=FAKE, max_frames=3)
    assert other.num_frames == 3


def test_interrupted_run_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(passes, "CHUNK", 6)
    video = _clip(tmp_path / "a.mp4", [RED] * 18)
    whole, _ = detect_clip(video, detectors=FAKE)
    for stage, at in (("detect", 13), ("refine masks", 11)):

        def stop(now: str, done: int, total: int, stage: str = stage, at: int = at) -> None:
            if (now, done) == (stage, at):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            detect_clip(video, cache_dir=tmp_path / "c", detectors=FAKE, progress=stop)
    ColorDetector.calls = 0
    resumed, _ = detect_clip(video, cache_dir=tmp_path / "c", detectors=FAKE)
    assert ColorDetector.calls == 0  # the first pass was finished by the second run
    for f in fields(ClipDetections):
        assert np.array_equal(getattr(whole, f.name), getattr(resumed, f.name)), f.name
    assert [p.name for p in (tmp_path / "c").rglob("*.npz")] == ["person.npz"]


def test_nobody_in_the_clip_is_one_clear_line(tmp_path):
    video = _clip(tmp_path / "a.mp4", [None] * 5)
    with pytest.raises(MediaError, match="no person found in 5 frames") as error:
        detect_clip(video, detectors=FAKE)
    assert "\n" not in str(error.value)


def test_second_person_and_absence_are_marked(tmp_path, caplog):
    people = [RED] * 12 + [BLUE] * 6 + [None] * 4 + [RED] * 8
    video = _clip(tmp_path / "a.mp4", people)
    with caplog.at_level(logging.INFO):
        found, masks = detect_clip(video, detectors=FAKE)
    assert found.reason[12:18].tolist() == ["another person"] * 6
    assert found.reason[18:22].tolist() == ["no person found"] * 4
    assert np.flatnonzero(found.trusted).tolist() == [*range(12), *range(22, 30)]
    assert not found.pose_confidence[~found.trusted].any()
    assert not masks.mask(14).any()
    assert masks.mask(24).any()
    quality = summarise(found)
    assert (quality.frames, quality.trusted) == (30, 20)
    assert "6 another person" in str(quality)
    assert "20 of 30" in caplog.text


def test_few_trusted_frames_are_a_warning(tmp_path, caplog):
    video = _clip(tmp_path / "a.mp4", [RED] * 6 + [None] * 14)
    with caplog.at_level(logging.WARNING):
        detect_clip(video, detectors=FAKE)
    assert "6 of 20 frames can be trusted" in caplog.text


def test_one_frame_and_a_still_picture_will_do(tmp_path):
    video = _clip(tmp_path / "a.mp4", [RED])
    found, _ = detect_clip(video, detectors=FAKE)
    assert found.trusted.tolist() == [True]
    rgb = next(iter(read_frames(video)))[2]
    cv2.imwrite(str(tmp_path / "a.png"), rgb[..., ::-1])
    found, masks = detect_clip(tmp_path / "a.png", detectors=FAKE)
    assert found.trusted.tolist() == [True]
    assert masks.mask(0).any()


def test_overlay_shows_every_frame_with_a_bar_below(tmp_path):
    video = _clip(tmp_path / "a.mp4", [RED] * 4 + [None] * 2)
    found, masks = detect_clip(video, detectors=FAKE)
    write_overlay(video, found, masks, tmp_path / "o.mp4")
    info = probe_video(tmp_path / "o.mp4")
    assert info.num_frames == 6
    assert info.width == WIDTH
    assert info.height > HEIGHT
    frames = [rgb.astype(int) for _, _, rgb in read_frames(tmp_path / "o.mp4")]
    bars = [f[HEIGHT:, :30].reshape(-1, 3) for f in frames]
    green = [(b[:, 1] - b[:, 0]).max() > 80 for b in bars]
    # The lamp at the bar's left; the strip below it is green at its start in every frame.
    lamp = [
        (f[HEIGHT : HEIGHT + 22, :24, 0] - f[HEIGHT : HEIGHT + 22, :24, 1]).max() for f in frames
    ]
    assert all(green)
    assert max(lamp[:4]) < 80 < min(lamp[4:])


@pytest.mark.data
@pytest.mark.slow
@real_footage
def test_real_man_seen_whole(tmp_path, capfd):
    found, masks = detect_clip(DATA / "video" / "fullbody_juggle.mp4", max_frames=13)
    assert found.trusted.all()
    assert (found.face_confidence > 0).mean() > 0.8
    # He faces the camera: his left is on the right of the picture and his nose nearer than his
    # hips (z points away from the camera), above them (y points down).
    front = slice(0, 8)
    assert (found.pose_px[front, 11, 0] > found.pose_px[front, 12, 0]).all()
    assert (found.pose_world[front, 0, 2] < -0.05).all()
    assert (found.pose_world[:, 0, 1] < -0.4).all()
    left = found.left_hand_confidence > 0
    assert left.any()
    to_left = np.linalg.norm(found.left_hand_px[left, 0] - found.pose_px[left, 15], axis=1)
    to_right = np.linalg.norm(found.left_hand_px[left, 0] - found.pose_px[left, 16], axis=1)
    assert (to_left < to_right).all()
    area = np.mean([(masks.mask(i) > 127).mean() for i in range(len(masks))])
    assert 0.06 < area < 0.12
    assert capfd.readouterr().err == ""


@pytest.mark.data
@pytest.mark.slow
@real_footage
def test_real_back_view_gets_no_face_and_is_trusted(tmp_path):
    found, _ = detect_clip(DATA / "video" / "back_longhair_cardigan.mp4", max_frames=10)
    assert found.trusted.all()
    assert not found.face_confidence.any()


@pytest.mark.data
@pytest.mark.slow
@real_footage
def test_real_masks_beat_the_raw_ones_on_a_human_drawn_outline(tmp_path):
    found, masks = detect_clip(DATA / "stills" / "standing_ryota.png")
    truth = cv2.imread(str(DATA / "stills" / "standing_ryota_mask.png"), cv2.IMREAD_GRAYSCALE) > 127
    mask = masks.mask(0) > 127
    assert found.trusted.all()
    assert (mask & truth).sum() / (mask | truth).sum() > 0.98
