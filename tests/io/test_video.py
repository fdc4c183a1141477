"""Videos: what phones and cameras really produce, and files that are broken."""

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pear_avatar.errors import MediaError
from pear_avatar.io.images import write_image
from pear_avatar.io.video import (
    VideoWriter,
    pick_frames,
    probe_video,
    read_frames,
)


def _level(i: int) -> int:
    """Grey level that tells which frame it is."""
    return 20 + 7 * i


def _make(
    path: Path,
    frames: int = 20,
    size: tuple[int, int] = (64, 48),
    *,
    times: list[int] | None = None,
    turn: int = 0,
    pixel_format: str = "yuv420p",
    codec: str = "libx264",
    gop: int = 5,
    aspect: Fraction | None = None,
) -> Path:
    """A clip whose frame i is grey level 20 + 7 i with a brighter left quarter."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        stream.codec_context.gop_size = gop
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if turn:
            stream.set_display_rotation(turn)
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for i in range(frames):
            rgb = np.full((size[1], size[0], 3), _level(i), np.uint8)
            rgb[:, : size[0] // 4] = np.minimum(rgb[:, : size[0] // 4] + 60, 255)
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = times[i] if times else 40 * i
            frame.time_base = Fraction(1, 1000)
            for packet in stream.encode(frame.reformat(format=pixel_format)):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def _numbers(path: Path, **options) -> list[tuple[int, float, int]]:
    """(index, time, level in the right half) of each frame read."""
    return [
        (i, t, int(np.median(rgb[:, rgb.shape[1] // 2 :])))
        for i, t, rgb in read_frames(path, **options)
    ]


def test_frames_come_in_order_with_their_times(tmp_path):
    path = _make(tmp_path / "a.mp4")
    info = probe_video(path)
    assert (info.width, info.height, info.num_frames) == (64, 48, 20)
    assert info.fps == pytest.approx(25)
    assert info.duration == pytest.approx(0.8)
    assert not info.truncated
    assert not info.variable_rate
    got = _numbers(path)
    assert [g[0] for g in got] == list(range(20))
    assert [g[1] for g in got] == pytest.approx([0.04 * i for i in range(20)])
    assert max(abs(g[2] - _level(i)) for i, g in enumerate(got)) <= 4


def test_chosen_frames_are_the_right_ones_after_jumps(tmp_path):
    path = _make(tmp_path / "a.mp4", 30)
    wanted = [1, 14, 15, 29]
    got = _numbers(path, indices=[29, 15, 14, 1, 14])
    assert [g[0] for g in got] == wanted
    assert all(abs(g[2] - _level(g[0])) <= 4 for g in got)
    assert [g[1] for g in got] == pytest.approx([0.04 * i for i in wanted])


def test_max_frames_spans_the_whole_clip_at_one_stride(tmp_path):
    path = _make(tmp_path / "a.mp4", 30)
    indices = [i for i, _, _ in read_frames(path, max_frames=7)]
    assert indices == [0, 5, 10, 15, 20, 25]
    assert pick_frames(18000, 300).tolist()[:3] == [0, 60, 120]
    assert len(pick_frames(10, 300)) == 10
    with pytest.raises(ValueError, match="at least 1"):
        pick_frames(10, 0)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_variable_frame_rate_keeps_true_times(tmp_path, suffix):
    times = np.cumsum([0, 33, 33, 100, 20, 250, 33, 41, 33, 120]).tolist()
    path = _make(tmp_path / f"v.{suffix}", 10, times=times)
    info = probe_video(path)
    assert info.variable_rate
    assert info.fps == pytest.approx(9 / (times[-1] / 1000), rel=0.02)
    assert [t for _, t, _ in read_frames(path)] == pytest.approx(
        [t / 1000 for t in times], abs=2e-3
    )


@pytest.mark.parametrize(("turn", "bright_side"), [(90, "bottom"), (-90, "top"), (180, "right")])
def test_phone_video_is_turned_upright(tmp_path, turn, bright_side):
    path = _make(tmp_path / "r.mp4", 5, turn=turn)
    info = probe_video(path)
    _, _, rgb = next(iter(read_frames(path)))
    assert rgb.shape[:2] == (info.height, info.width) == ((64, 48) if turn % 180 else (48, 64))
    sides = {"top": rgb[4], "bottom": rgb[-5], "left": rgb[:, 4], "right": rgb[:, -5]}
    assert max(sides, key=lambda s: np.median(sides[s])) == bright_side


def test_scaling_happens_on_the_way(tmp_path):
    path = _make(tmp_path / "big.mp4", 3, size=(640, 360), turn=90)
    info = probe_video(path)
    assert info.scaled_size(160) == (90, 160)
    for _, _, rgb in read_frames(path, max_side=160):
        assert rgb.shape == (160, 90, 3)
    with pytest.raises(ValueError, match="max_side"):
        read_frames(path, max_side=0)


@pytest.mark.parametrize(
    ("size", "pixel_format", "codec"),
    [
        ((65, 49), "yuv444p", "libx264"),
        ((64, 48), "yuv420p10le", "libx264"),
        ((63, 47), "gray", "ffv1"),
        ((64, 48), "bgr0", "ffv1"),
    ],
)
def test_odd_sizes_grey_ten_bit_and_rgb(tmp_path, size, pixel_format, codec):
    path = _make(tmp_path / "o.mkv", 6, size=size, pixel_format=pixel_format, codec=codec)
    info = probe_video(path)
    assert (info.width, info.height) == size
    got = _numbers(path)
    assert len(got) == 6
    assert all(abs(level - _level(i)) <= 4 for i, _, level in got)


def test_anamorphic_pixels_become_square(tmp_path):
    path = _make(tmp_path / "a.mp4", 4, aspect=Fraction(3, 2))
    assert (probe_video(path).width, probe_video(path).height) == (96, 48)
    assert next(iter(read_frames(path)))[2].shape == (48, 96, 3)


def test_truncated_file_gives_what_decodes_and_says_so(tmp_path, caplog):
    whole = _make(tmp_path / "whole.mkv", 60, gop=10)
    data = whole.read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(data[: len(data) * 6 // 10])
    with caplog.at_level(logging.WARNING):
        info = probe_video(path)
    assert info.truncated
    assert 10 <= info.num_frames < 60
    assert "breaks off" in caplog.text
    assert len(_numbers(path)) >= info.num_frames - 2


def test_mp4_without_its_index_is_a_clear_error(tmp_path):
    data = _make(tmp_path / "a.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match="cut off"):
        probe_video(path)


def test_damaged_middle_leaves_numbers_in_place(tmp_path):
    path = _make(tmp_path / "a.mkv", 30, size=(160, 120), codec="mjpeg", pixel_format="yuvj420p")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    path.write_bytes(bytes(data))
    got = _numbers(path)
    assert got[0][0] == 0
    assert all(abs(g[2] - _level(g[0])) <= 6 for g in got[:8])


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("none.mp4", lambda p: None, "no such file"),
        ("folder.mp4", lambda p: p.mkdir(), "folder"),
        ("empty.mp4", lambda p: p.write_bytes(b""), "empty"),
        ("text.mp4", lambda p: p.write_text("not a video at all " * 50), "not a video"),
    ],
)
def test_unusable_files_say_what_was_found_and_what_to_do(tmp_path, name, make, words):
    path = tmp_path / name
    make(path)
    for use in (probe_video, lambda p: list(read_frames(p))):
        with pytest.raises(MediaError, match=words) as error:
            use(path)
        assert "\n" not in str(error.value)
        assert str(path) in str(error.value)


def test_sound_only_is_not_a_video(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(
            np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
        )
        frame.rate = 8000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    with pytest.raises(MediaError, match="no picture"):
        probe_video(path)


def test_frames_outside_the_clip_are_refused(tmp_path):
    path = _make(tmp_path / "a.mp4", 5)
    with pytest.raises(MediaError, match="frames 0 to 4"):
        list(read_frames(path, indices=[7]))
    with pytest.raises(ValueError, match="not both"):
        read_frames(path, indices=[1], max_frames=2)
    assert list(read_frames(path, indices=[])) == []


def test_still_picture_is_a_clip_of_one_frame(tmp_path):
    write_image(tmp_path / "a.png", np.full((30, 50, 3), 90, np.uint8))
    assert probe_video(tmp_path / "a.png").num_frames == 1
    ((index, time, rgb),) = read_frames(tmp_path / "a.png", max_side=25)
    assert (index, time, rgb.shape) == (0, 0.0, (15, 25, 3))


def test_writer_keeps_colours_pads_odd_sizes_and_appears_whole(tmp_path):
    path = tmp_path / "new" / "out.mp4"
    rgb = np.zeros((31, 45, 3), np.uint8)
    rgb[:, :20], rgb[:, 20:] = (200, 60, 30), (20, 160, 220)
    with VideoWriter(path, 29.97) as writer:
        for _ in range(4):
            writer.write(rgb)
            assert not path.exists()
    info = probe_video(path)
    assert (info.width, info.height, info.num_frames) == (46, 32, 4)
    assert info.fps == pytest.approx(29.97, rel=1e-3)
    back = next(iter(read_frames(path)))[2][:31, :45]
    for column in (5, 38):
        assert np.abs(back[15, column].astype(int) - rgb[15, column]).max() <= 4
    assert [p.name for p in path.parent.iterdir()] == ["out.mp4"]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"


def _write(path: Path, *shapes: tuple[int, int, int], interrupt: bool = False) -> None:
    with VideoWriter(path, 25) as writer:
        for shape in shapes:
            writer.write(np.zeros(shape, np.uint8))
        if interrupt:
            raise KeyboardInterrupt


def test_writer_leaves_nothing_behind_when_interrupted(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        _write(tmp_path / "o.mp4", (16, 16, 3), interrupt=True)
    assert list(tmp_path.iterdir()) == []


def test_writer_refuses_what_it_cannot_write(tmp_path):
    with pytest.raises(ValueError, match="fps"):
        VideoWriter(tmp_path / "o.mp4", 0)
    with pytest.raises(MediaError, match="no frame"):
        _write(tmp_path / "o.mp4")
    with pytest.raises(ValueError, match="the first"):
        _write(tmp_path / "o.mp4", (16, 16, 3), (16, 18, 3))
    assert list(tmp_path.iterdir()) == []
