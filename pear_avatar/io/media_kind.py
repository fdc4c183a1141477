"""What a media file is, by its first bytes: names lie, and folders hold what cameras put there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

__all__ = ["MediaKind", "media_kind"]

MediaKind = Literal["picture", "heif", "animation", "video", "unknown"]

_SNIFFED = 1 << 16
#: Brands of ISO files (``ftyp``) that are still pictures; sequences of them are videos.
_STILL_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"avif"})
_SEQUENCE_BRANDS = frozenset({b"hevc", b"hevx", b"msf1", b"avis"})
#: How many bytes of an ISO file's list of brands are read.
_BRANDS_END = 256


def media_kind(path: str | os.PathLike[str]) -> MediaKind:
    """The kind of an existing file.

    Returns:
        "picture" (JPEG, PNG, BMP, TIFF, still WebP, AVIF), "heif" (HEIC and its relatives),
        "animation" (GIF, APNG and WebP with several frames), "video" (containers that FFmpeg
        reads), or "unknown". A file that cannot be read is "unknown".
    """
    try:
        with Path(path).open("rb") as file:
            head = file.read(_SNIFFED)
    except OSError:
        return "unknown"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "animation" if b"acTL" in head[: head.find(b"IDAT") % _SNIFFED] else "picture"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "animation"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "animation" if b"ANIM" in head[:64] else "picture"
    if head[4:8] == b"ftyp":
        return _iso_kind(head)
    if head.startswith((b"\xff\xd8\xff", b"BM", b"II*\x00", b"MM\x00*")):
        return "picture"
    return "video" if _is_container(head) else "unknown"


def _iso_kind(head: bytes) -> MediaKind:
    end = min(int.from_bytes(head[:4], "big"), _BRANDS_END)
    brands = {head[8:12], *(head[k : k + 4] for k in range(16, end, 4))}
    if head[8:12] in _SEQUENCE_BRANDS:
        return "video"
    if b"avif" in brands and head[8:12] not in _SEQUENCE_BRANDS:
        return "picture"
    return "heif" if head[8:12] in _STILL_BRANDS else "video"


def _is_container(head: bytes) -> bool:
    """Whether the bytes begin like a video container other than ISO's."""
    signatures = (
        b"\x1aE\xdf\xa3",  # Matroska, WebM
        b"OggS",
        b"FLV\x01",
        b"0&\xb2u",
        b"\x00\x00\x01\xba",
        b"\x00\x00\x01\xb3",
        b".RMF",
    )
    if head.startswith(signatures) or (head[:4] == b"RIFF" and head[8:11] == b"AVI"):
        return True
    old_quicktime = head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
    transport = len(head) > 376 and head[0] == head[188] == head[376] == 0x47
    return old_quicktime or transport
