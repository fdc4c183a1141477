"""What cameras and phones hand over besides plain videos: by content, upright, in true colours."""

from __future__ import annotations

import logging
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from footage import DATA
from PIL import Image

from pear_avatar.commands.recover_inputs import pictures_in, resolve_input
from pear_avatar.errors import MediaError
from pear_avatar.io.frame_pixels import Orientation, _of_matrix
from pear_avatar.io.images import is_still_picture, read_image, write_image
from pear_avatar.io.media_kind import media_kind
from pear_avatar.io.video import VideoReader, VideoWriter, probe_video, read_frames

FAULTS = DATA / "faults"
needs_faults = pytest.mark.skipif(not FAULTS.is_dir(), reason=f"no fault files at {FAULTS}")


def colours(size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """A picture whose quarters differ, so that every turn and reflection shows."""
    pixels = np.full((size[1], size[0], 3), 40, np.uint8)
    pixels[: size[1] // 2, : size[0] // 2] = (220, 60, 60)
    pixels[: size[1] // 2, size[0] // 2 :] = (60, 200, 60)
    pixels[size[1] // 2 :, : size[0] // 2] = (60, 60, 220)
    return pixels


def animation(path: Path, frames: int, milliseconds: int) -> Path:
    pictures = [Image.fromarray(np.full((24, 32, 3), 30 + 20 * k, np.uint8)) for k in range(frames)]
    pictures[0].save(
        path,
        save_all=True,
        append_images=pictures[1:],
        duration=milliseconds,
        loop=0,
        **({"lossless": True} if path.suffix == ".webp" else {}),
    )
    return path


@pytest.mark.parametrize("ending", ["webp", "gif", "png"])
def test_animated_pictures_are_clips(tmp_path: Path, ending: str) -> None:
    path = animation(tmp_path / f"wave.{ending}", 5, 80)
    assert media_kind(path) == "animation"
    info = probe_video(path)
    assert (info.num_frames, info.width, info.height) == (5, 32, 24)
    assert info.fps == pytest.approx(12.5)
    found = list(read_frames(path, indices=[1, 4]))
    assert [(k, round(t, 3)) for k, t, _ in found] == [(1, 0.08), (4, 0.32)]
    assert abs(int(found[1][2].mean()) - 110) <= 2
    assert resolve_input(str(path)).kind == "video"


@pytest.mark.parametrize("ending", ["webp", "png", "jpg", "bmp", "tiff"])
def test_still_pictures_are_pictures_whatever_their_name(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    write_image(path, colours())
    renamed = tmp_path / "IMG_0001.dat"
    shutil.copy(path, renamed)
    assert is_still_picture(renamed)
    assert probe_video(renamed).num_frames == 1
    assert np.abs(read_image(renamed).astype(int) - read_image(path)).max() == 0


def test_avif_and_jfif_and_mpo_in_a_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    picture = Image.fromarray(colours())
    picture.save(tmp_path / "a.jfif", "JPEG")
    picture.save(tmp_path / "b.MPO", "JPEG")
    picture.save(tmp_path / "c.avif")
    (tmp_path / "notes.txt").write_text("no picture")
    with VideoWriter(tmp_path / "d.mp4", 10) as video:
        video.write(colours())
    with caplog.at_level(logging.WARNING):
        names = [p.name for p in pictures_in(tmp_path)]
    assert sorted(names) == ["a.jfif", "b.MPO", "c.avif"]
    assert "d.mp4, notes.txt" in caplog.text
    for name in names:
        assert read_image(tmp_path / name).shape == (48, 64, 3)


def test_heic_is_read_whole_and_upright(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "phone.heic"
    large = np.kron(colours(), np.ones((20, 20, 1), np.uint8))  # 1280 x 960
    pillow_heif.from_pillow(Image.fromarray(large)).save(path, quality=95)
    assert media_kind(path) == "heif"
    found = read_image(path)
    assert found.shape == large.shape
    assert np.abs(found.astype(int) - large).mean() < 4
    assert resolve_input(str(path)).kind == "picture"


def test_without_the_reader_heic_names_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    path = tmp_path / "phone.heic"
    path.write_bytes(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(100))
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MediaError, match=r"pear-avatar\[heic\]"):
        read_image(path)


@pytest.mark.parametrize(
    "damage",
    [b"", b"\x89PNG\r\n\x1a\n" + bytes(40), b"\xff\xd8\xff\xe0" + bytes(20), b"GIF89a\x01"],
)
def test_damaged_pictures_are_one_line(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(damage)
    with pytest.raises(MediaError, match=r"broken\.png"):
        read_image(path)


def test_every_cut_of_a_png_is_one_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole.png"
    write_image(whole, np.random.default_rng(0).integers(0, 255, (20, 20, 3), np.uint8))
    data = whole.read_bytes()
    refused = 0
    for cut in range(1, len(data), 37):
        path = tmp_path / "cut.png"
        path.write_bytes(data[:cut])
        try:
            read_image(path)
        except MediaError:
            refused += 1
    assert refused > len(data) / 37 / 2  # some cuts leave the picture whole


# Display matrices in 16.16 fixed point as mov files hold them: a b u c d v x y w.
_ONE = 1 << 16
MATRICES = {
    "as stored": (1, 0, 0, 1),
    "mirrored": (-1, 0, 0, 1),
    "upside down mirrored": (1, 0, 0, -1),
    "half turn": (-1, 0, 0, -1),
    "quarter turn": (0, 1, -1, 0),
    "three quarter turns": (0, -1, 1, 0),
    "transposed": (0, 1, 1, 0),
    "transposed the other way": (0, -1, -1, 0),
}


@pytest.mark.parametrize("name", MATRICES)
def test_every_display_matrix_is_applied_as_it_says(name: str) -> None:
    """Against the matrix itself, pixel by pixel: x' = a x + c y, y' = b x + d y."""
    a, b, c, d = MATRICES[name]
    matrix = np.array([a, b, 0, c, d, 0, 0, 0, 1], np.float64) * _ONE
    stored = np.arange(12).reshape(3, 4, 1)
    shown = _of_matrix(matrix).apply(stored)
    places = {}
    for y in range(3):
        for x in range(4):
            places[(a * x + c * y, b * x + d * y)] = stored[y, x, 0]
    left, top = min(x for x, _ in places), min(y for _, y in places)
    for (x, y), value in places.items():
        assert shown[y - top, x - left, 0] == value
    assert _of_matrix(matrix).mirrored == (a * d - b * c < 0)


def test_a_turned_video_equals_its_orientation(tmp_path: Path) -> None:
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.set_display_rotation(90)
        frame = av.VideoFrame.from_ndarray(colours(), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    shown = next(read_frames(path))[2]
    assert shown.shape == (64, 48, 3)
    assert np.abs(shown.astype(int) - np.rot90(colours())).mean() < 8
    assert Orientation(True, True, False).apply(colours()).shape == (64, 48, 3)


def test_of_several_streams_the_real_one_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        small, large = (container.add_stream("libx264", rate=10) for _ in range(2))
        for stream, side in ((small, 32), (large, 96)):
            stream.width = stream.height = side
            stream.pix_fmt = "yuv420p"
        for _ in range(4):
            for stream, side in ((small, 32), (large, 96)):
                picture = np.full((side, side, 3), side, np.uint8)
                for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                    container.mux(packet)
        for stream in (small, large):
            for packet in stream.encode(None):
                container.mux(packet)
    assert probe_video(path).width == 96


def test_names_are_never_protocols(tmp_path: Path) -> None:
    for name in ("take:2.mp4", "2024-05-01T12:30:15.mp4", "concat:a.mp4"):
        path = tmp_path / name
        with VideoWriter(path, 10) as video:
            video.write(colours())
        assert probe_video(path).num_frames == 1


def test_interlaced_material_is_combed_no_more(tmp_path: Path) -> None:
    """A bright bar that moves between the two fields of each frame."""
    path = tmp_path / "interlaced.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.options = {"x264-params": "tff=1", "crf": "5"}
        stream.codec_context.flags |= 0x20000  # interlaced coding
        for k in range(6):
            picture = np.full((96, 160, 3), 40, np.uint8)
            picture[0::2, 20 + 16 * k : 40 + 16 * k] = 220
            picture[1::2, 28 + 16 * k : 48 + 16 * k] = 220
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    with av.open(str(path)) as container:
        raw = next(container.decode(video=0))
        if not raw.interlaced_frame:
            pytest.skip("this build of FFmpeg does not mark interlaced frames")
        combed = comb(raw.to_ndarray(format="rgb24"))
    found = list(read_frames(path))
    assert [k for k, _, _ in found] == list(range(6))
    assert np.allclose([t for _, t, _ in found], np.arange(6) / 25, atol=1e-3)
    assert comb(found[2][2]) < 0.35 * combed


def comb(rgb: np.ndarray) -> float:
    """How much neighbouring rows differ more than rows two apart."""
    grey = rgb.mean(-1)
    return float(np.abs(np.diff(grey, axis=0)).mean() - np.abs(grey[2:] - grey[:-2]).mean())


def hdr_clip(path: Path, transfer: int, tagged: bool) -> Path:
    """A ramp from black over diffuse white to five times that, as a phone would code it."""
    light = np.linspace(0.0, 5.0, 160)  # in units of diffuse white, 203 cd/m2
    light[:80] = np.linspace(0.0, 1.0, 80)
    if transfer == 16:
        y = (light * 203 / 10000) ** (2610 / 16384)
        code = ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)
    else:
        scene = (light * 203 / 1000) ** (1 / 1.2)
        code = np.where(
            scene <= 1 / 12,
            np.sqrt(3 * scene),
            0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073,
        )
    ramp = np.repeat(np.repeat((code * 65535).astype(np.uint16)[None, :, None], 96, 0), 3, 2)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p10le"
        stream.options = {"x265-params": "log-level=none:crf=4"}
        context = stream.codec_context
        context.colorspace, context.color_primaries = 9, 9
        if tagged:
            context.color_trc = transfer
        frame = av.VideoFrame.from_ndarray(ramp, format="rgb48le")
        frame = frame.reformat(format="yuv420p10le", dst_colorspace=9)
        frame.colorspace, frame.color_primaries = 9, 9
        if tagged:
            frame.color_trc = transfer
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


@pytest.mark.parametrize("transfer", [16, 18])
def test_high_dynamic_range_looks_like_the_scene(tmp_path: Path, transfer: int) -> None:
    path = hdr_clip(tmp_path / "hdr.mp4", transfer, tagged=True)
    rgb = next(read_frames(path))[2]
    row = rgb[48].mean(-1)
    # Half of diffuse white is sRGB 188; white itself leaves room for highlights.
    assert abs(row[40] - 188) < 8
    assert 215 < row[79] < 245
    assert (np.diff(row[:150:10]) > 0).all()  # highlights keep their steps
    assert np.ptp(rgb[48, 30:120].astype(int), axis=-1).max() <= 6  # grey stays grey


@needs_faults
def test_files_that_came_from_users() -> None:
    assert VideoReader(FAULTS / "twostreams.mp4").info.width == 240
    with pytest.raises(MediaError, match="cover art"):
        probe_video(FAULTS / "audio_cover.m4a")
    assert not probe_video(FAULTS / "editlist.mp4").truncated
    assert probe_video(FAULTS / "anim.webp").num_frames == 15
    plain = next(read_frames(FAULTS / "interl.mp4"))[2].mean()
    for name in ("hlg.mov", "pq.mov"):  # the same take, without tags
        assert abs(next(read_frames(FAULTS / name))[2].mean() - plain) < 20
    pytest.importorskip("pillow_heif")
    assert read_image(FAULTS / "phone_grid.heic").shape == (1536, 1024, 3)
    assert len(pictures_in(FAULTS / "heic_folder")) == 2
