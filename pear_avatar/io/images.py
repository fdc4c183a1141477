"""Still images in and out: 8-bit RGB(A) arrays, upright, written atomically."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pear_avatar.errors import MediaError, PearError
from pear_avatar.io.atomic import atomic_path
from pear_avatar.io.media_kind import media_kind
from pear_avatar.io.replacing import MARK

_EXIF_SOFTWARE = 0x0131
#: File endings under which one still picture is written.
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})


def is_image_path(path: str | os.PathLike[str]) -> bool:
    """Whether the file name ends like a still picture's."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def check_media_file(path: str | os.PathLike[str]) -> Path:
    """The path, once it is known to name a readable, non-empty file.

    Raises:
        MediaError: nothing there, a folder, an empty file, or no permission to read it.
    """
    file = Path(path)
    if file.is_dir():
        raise MediaError(f"{file} is a folder, not a media file: name one file inside it")
    if not file.exists():
        raise MediaError(f"no such file: {file} (check the spelling and the folder)")
    if not os.access(file, os.R_OK):
        raise MediaError(f"no permission to read {file}: change its permissions or copy it")
    if file.stat().st_size == 0:
        raise MediaError(f"{file} is empty (0 bytes): copy or record it again")
    return file


def is_still_picture(path: str | os.PathLike[str]) -> bool:
    """Whether a file holds one still picture, by its content (by its name where it is absent)."""
    if not Path(path).is_file():
        return is_image_path(path)
    return media_kind(path) in ("picture", "heif")


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """One picture as (H, W, 3) uint8 RGB, turned upright by its EXIF orientation.

    Transparent pictures are laid on white; 16-bit and palette pictures are converted; of an
    animation or a multi-picture file the first picture is taken. HEIC needs ``pillow-heif``.

    Raises:
        MediaError: missing, unreadable or not a picture.
    """
    file = check_media_file(path)
    heif = media_kind(file) == "heif"
    with picture_errors(file), _open_heif(file) if heif else Image.open(file) as image:
        return _to_rgb8(ImageOps.exif_transpose(image))


@contextmanager
def picture_errors(file: Path) -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged picture into one line.

    Raises:
        MediaError: in place of the decoder's own exceptions.
    """
    try:
        yield
    except PearError:
        raise
    except UnidentifiedImageError:
        raise MediaError(f"{file} is not a picture that can be read (PNG and JPEG can)") from None
    except Image.DecompressionBombError as error:
        raise MediaError(f"{file} is too large a picture ({error}): scale it down") from None
    # Pillow's plug-ins raise all of these on damaged files.
    except (
        OSError,
        ValueError,
        SyntaxError,
        LookupError,
        struct.error,
        ZeroDivisionError,
        OverflowError,
        EOFError,
        TypeError,
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MediaError(f"{file} is damaged ({reason}): copy or export it again") from None


def _open_heif(file: Path) -> Image.Image:
    """A HEIC picture, its tiles put together and its turn applied by libheif.

    Raises:
        MediaError: ``pillow-heif`` is not installed.
    """
    try:
        import pillow_heif
    except ModuleNotFoundError:
        raise MediaError(
            f"{file} is a HEIC picture: install the reader with pip install "
            "'pear-avatar[heic]', or export it as JPEG"
        ) from None
    image: Image.Image = pillow_heif.open_heif(file, convert_hdr_to_8bit=True).to_pillow()
    return image


def _to_rgb8(image: Image.Image) -> np.ndarray:
    """Any Pillow mode as (H, W, 3) uint8."""
    if image.mode.startswith("I"):  # 16- or 32-bit grey; Pillow's own conversion would clip it
        grey = np.asarray(image, dtype=np.float64) / 257.0
        return np.repeat(grey.clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"), dtype=np.float32)
        alpha = rgba[..., 3:] / 255.0
        return (rgba[..., :3] * alpha + 255.0 * (1.0 - alpha)).round().astype(np.uint8)
    return np.array(image.convert("RGB"))


def write_image(path: str | os.PathLike[str], pixels: np.ndarray) -> None:
    """Write (H, W), (H, W, 3) or (H, W, 4) uint8 pixels; the ending picks the format.

    The file appears whole or not at all.

    Raises:
        ValueError: pixels of another shape or type.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise ValueError(
            f"expected (H, W[, 3 or 4]) uint8 pixels, got {pixels.shape} {pixels.dtype}"
        )
    if pixels.ndim == 3 and pixels.shape[2] not in (3, 4):
        raise ValueError(f"expected 3 or 4 channels, got {pixels.shape[2]}")
    exif = Image.Exif()
    exif[_EXIF_SOFTWARE] = MARK
    with atomic_path(Path(path)) as part:
        Image.fromarray(np.ascontiguousarray(pixels)).save(part, exif=exif)
