"""Still pictures: formats, orientation, clear errors."""

import numpy as np
import pytest
from PIL import Image

from pear_avatar.errors import MediaError
from pear_avatar.io.images import (
    read_image,
    write_image,
)


def _picture(height: int = 6, width: int = 9) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_png_round_trip_is_exact(tmp_path):
    pixels = _picture()
    write_image(tmp_path / "deep" / "a.png", pixels)
    assert np.array_equal(read_image(tmp_path / "deep" / "a.png"), pixels)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["a.png"]


def test_alpha_is_written_and_read_over_white(tmp_path):
    pixels = np.dstack([_picture(), np.zeros((6, 9), np.uint8)])
    pixels[:, 4:, 3] = 255
    write_image(tmp_path / "a.png", pixels)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), pixels)
    rgb = read_image(tmp_path / "a.png")
    assert (rgb[:, :4] == 255).all()
    assert np.array_equal(rgb[:, 4:], pixels[:, 4:, :3])


def test_exif_orientation_is_applied(tmp_path):
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :10, 0] = 255  # red on the left of what is stored
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned a quarter clockwise, so the red is on top
    Image.fromarray(pixels).save(tmp_path / "phone.jpg", exif=exif, quality=95)
    rgb = read_image(tmp_path / "phone.jpg")
    assert rgb.shape == (40, 20, 3)
    assert rgb[2, 10, 0] > 200
    assert rgb[-3, 10, 0] < 60


def test_sixteen_bit_grey_keeps_its_range(tmp_path):
    grey = np.array([[0, 32768, 65535]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "g.png")
    assert read_image(tmp_path / "g.png")[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.mkdir(), "folder"),
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda p: p.write_text("hello"), "not a picture"),
    ],
)
def test_unusable_files_say_what_was_found(tmp_path, make, words):
    path = tmp_path / "x.png"
    make(path)
    with pytest.raises(MediaError, match=words) as error:
        read_image(path)
    assert "\n" not in str(error.value)


def test_cut_off_png_is_called_damaged(tmp_path):
    write_image(tmp_path / "a.png", _picture(64, 64))
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "b.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match="damaged"):
        read_image(tmp_path / "b.png")


def test_wrong_pixels_are_refused(tmp_path):
    with pytest.raises(ValueError, match="uint8"):
        write_image(tmp_path / "a.png", np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match="3 or 4 channels"):
        write_image(tmp_path / "a.png", np.zeros((4, 4, 2), np.uint8))
