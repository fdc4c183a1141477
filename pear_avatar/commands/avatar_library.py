"""From avatar files to what the viewer shows: their motions, their videos, their pictures."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.avatar.file_format import (
    FORMAT,
    load_avatar,
)
from pear_avatar.commands.find_avatars import AVATAR_FILE, find_avatars
from pear_avatar.errors import AvatarFileError, MediaError, MotionFileError, PearError
from pear_avatar.io.tensors import read_shapes
from pear_avatar.io.video import probe_video
from pear_avatar.live.web_model import live_model
from pear_avatar.motion.formats.registry import load_motion
from pear_avatar.motion.resample import resample_motion
from pear_avatar.motion.track_file import load_track
from pear_avatar.rendering.portrait import cached_portrait
from pear_avatar.rendering.render_motion import fit_motion
from pear_avatar.types import Motion, Track
from pear_avatar.viewer.browser_video import plays_in_browsers, write_browser_video
from pear_avatar.viewer.library import (
    Lazy,
    Library,
    Packed,
    ShownAvatar,
    ShownMotion,
    ShownVideo,
)
from pear_avatar.viewer.motions import BUILTIN_MOTIONS, BuiltinMotion, builtin_motion
from pear_avatar.viewer.payload import avatar_payload, motion_payload, payload_size

logger = logging.getLogger(__name__)

TRACK_FILE = "track.npz"

#: Motions faster than this are thinned out: no screen shows more, and files stay small.
MAX_FPS = 60.0
_MAX_FRAMES = 36000  # ten minutes at that rate
_MAX_UNPACKED_BYTES = 512 << 20
_VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".3gp")
_BYTES_PER_SPLAT = 30


@dataclass(frozen=True)
class AvatarHeader:
    """What an avatar file says of itself before its tensors are read.

    metadata: plain strings from the fit, such as ``source``, the video's name.
    """

    path: Path
    num_splats: int
    num_vertices: int
    num_faces: int
    influences: int
    metadata: dict[str, str]

    @property
    def name(self) -> str:
        """What people call it: the name of its folder, or of the file."""
        if self.path.name == AVATAR_FILE:
            return self.path.resolve().parent.name.removesuffix("-avatar") or "avatar"
        return self.path.stem

    @property
    def source(self) -> str:
        """The video's file name, without any folder; empty where it is not known."""
        return Path(self.metadata.get("source", "").replace("\\", "/")).name


def read_header(path: Path) -> AvatarHeader:
    """The header of an avatar file.

    Raises:
        AvatarFileError: not an avatar, or damaged.
    """
    try:
        shapes, raw = read_shapes(path)
        if raw.get("format") != FORMAT:
            raise AvatarFileError(f"{path.name}: not a pear-avatar avatar")
        splats, faces = shapes["splat.face"][0], shapes["template.faces"][0]
        vertices, influences = shapes["template.skin_joints"]
    except AvatarFileError:
        raise
    except (SafetensorError, OSError, ValueError, LookupError) as error:
        raise AvatarFileError(f"{path.name}: not a readable avatar ({error})") from error
    metadata = {k.removeprefix("info."): v for k, v in raw.items() if k.startswith("info.")}
    return AvatarHeader(path, splats, vertices, faces, influences, metadata)


def open_library(
    target: str | Path,
    *,
    motions: Sequence[str | Path] = (),
    video: str | Path | None = None,
) -> Library:
    """All avatars of a file or folder, with motions to play.

    Args:
        target: see :func:`find_avatars`. Broken avatars of a folder are left out, with a warning.
        motions: pose files that every avatar can play.
        video: the input video, for a single avatar; by default it is looked for by its name
            beside the avatar and in the folder above.

    Raises:
        PearError, FileNotFoundError: nothing can be shown, or an input is at fault.
    """
    paths = find_avatars(target)
    if video is not None and len(paths) > 1:
        raise PearError(f"{target} holds {len(paths)} avatars: name one of them to use --video")
    given = [(Path(path), shortened(load_motion(path))) for path in motions]
    shown: dict[str, ShownAvatar] = {}
    persons: dict[str, Lazy[Avatar]] = {}
    for path in paths:
        try:
            header = read_header(path)
            person = _person(path)
            if len(paths) == 1:
                person()  # a single broken avatar is reported at once, not on the page
        except AvatarFileError as error:
            if len(paths) == 1:
                raise
            logger.warning("%s is left out: %s", path, error)
            continue
        avatar_id = _unique_id(header.name, shown)
        persons[avatar_id] = person
        shown[avatar_id] = _as_shown_avatar(avatar_id, header, person, given, video)
    if not shown:
        raise PearError(f"none of the {len(paths)} avatars in {target} can be read")

    def convert(avatar: ShownAvatar, name: str, data: bytes) -> bytes:
        return convert_motion(persons[avatar.id](), name, data)

    only = next(iter(shown.values())).name if len(shown) == 1 else Path(target).resolve().name
    return Library(only, tuple(shown.values()), convert, Lazy(live_model))


def convert_motion(avatar: Avatar, name: str, data: bytes) -> bytes:
    """A pose file's bytes as a motion file of the viewer, fitted to an avatar.

    Raises:
        MotionFileError: the bytes are no motion; one line says why.
    """
    name = Path(name).name
    with tempfile.TemporaryDirectory(prefix="pear-avatar-") as folder:
        path = Path(folder) / f"motion{Path(name).suffix.lower()}"
        path.write_bytes(data)
        if path.suffix == ".npz":
            _check_npz(path, name)
        try:
            motion = shortened(load_motion(path))
        except PearError as error:
            raise MotionFileError(str(error).replace(path.name, name)) from error
    return motion_payload(fit_motion(avatar, motion), Path(name).stem, source=name)


def short_facts(header: AvatarHeader) -> dict[str, str]:
    """Facts about an avatar that the viewer shows: label -> value."""
    facts = {}
    if header.source:
        facts["Source"] = header.source
    if "steps" in header.metadata:
        facts["Fit"] = f"{header.metadata['steps']} steps"
    try:
        heldout = json.loads(header.metadata.get("heldout", "{}"))
        facts["Held-out PSNR"] = f"{float(heldout['psnr_masked']):.2f} dB"
    except (ValueError, KeyError, TypeError):
        pass
    if "pear_avatar" in header.metadata:
        facts["Made with"] = f"pear-avatar {header.metadata['pear_avatar']}"
    return {label: text[:200] for label, text in facts.items()}


def find_video(header: AvatarHeader, named: str | Path | None = None) -> Path | None:
    """The input video: the one named, or the avatar's source beside it or one folder up.

    The avatar file only says a name; where it is looked for does not depend on the file.
    """
    if named is not None:
        return Path(named)
    folder = header.path.resolve().parent
    if not header.source or Path(header.source).suffix.lower() not in _VIDEO_SUFFIXES:
        return None
    for candidate in (folder / header.source, folder.parent / header.source):
        if candidate.is_file() and candidate.resolve().is_relative_to(folder.parent):
            return candidate
    return None


def own_track(header: AvatarHeader) -> Track | None:
    """The track that the fit left beside the avatar."""
    path = header.path.parent / TRACK_FILE
    if not path.is_file() or not path.resolve().is_relative_to(header.path.resolve().parent):
        return None
    try:
        return load_track(path)
    except (PearError, OSError) as error:
        logger.warning("%s cannot be used: %s", path, error)
        return None


def track_payload(track: Track, name: str, source: str) -> bytes:
    """A track as a motion file, with its cameras and the video's times."""
    return motion_payload(
        track.motion, name, source=source, camera=track.camera, video_time=track.motion.time
    )


def cache_folder(avatar: Path) -> Path:
    """Where what is made for the viewer is kept: the fit's own cache, or the user's."""
    beside = avatar.resolve().parent / "cache"
    if beside.is_dir() and os.access(beside, os.W_OK):
        return beside
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    name = hashlib.sha256(str(avatar.resolve()).encode()).hexdigest()[:16]
    return Path(base) / "pear-avatar" / name


def _person(path: Path) -> Lazy[Avatar]:
    return Lazy(lambda: load_avatar(path))


def _as_shown_avatar(
    avatar_id: str,
    header: AvatarHeader,
    person: Lazy[Avatar],
    given: Iterable[tuple[Path, Motion]],
    video: str | Path | None,
) -> ShownAvatar:
    payload = Lazy(lambda: Packed.of(avatar_payload(person(), header.name, short_facts(header))))
    track = own_track(header)
    found = find_video(header, video)
    motions: dict[str, ShownMotion] = {}
    if track is not None:
        motions["clip"] = _shown_track(track, header)
    for path, motion in given:
        motion_id = _unique_id(path.stem, motions)
        motions[motion_id] = _shown_motion(motion_id, path, motion, person)
    for builtin in BUILTIN_MOTIONS:
        motion_id = _unique_id(builtin.id, motions)
        motions[motion_id] = _shown_builtin(motion_id, builtin, person)
    parts = [f"{header.num_splats:,} splats", *([header.source] if header.source else [])]
    return ShownAvatar(
        id=avatar_id,
        name=header.name,
        splats=header.num_splats,
        details=" · ".join(parts),
        payload_bytes=payload_size(
            header.num_vertices, header.num_faces, header.num_splats, header.influences
        ),
        load=payload,
        thumbnail=Lazy(
            lambda: cached_portrait(person, track, header.path, cache_folder(header.path))
        ),
        video=_shown_video(found, header) if found is not None and track is not None else None,
        motions=tuple(motions.values()),
    )


def _shown_track(track: Track, header: AvatarHeader) -> ShownMotion:
    motion = track.motion
    name = header.source or "The input video"
    return ShownMotion(
        "clip",
        name,
        motion.params.num_frames,
        round(motion.fps, 3),
        True,
        Lazy(lambda: Packed.of(track_payload(track, name, header.source))),
    )


def _shown_motion(motion_id: str, path: Path, motion: Motion, person: Lazy[Avatar]) -> ShownMotion:
    def load() -> Packed:
        return Packed.of(motion_payload(fit_motion(person(), motion), path.stem, source=path.name))

    frames, fps = motion.params.num_frames, round(motion.fps, 3)
    return ShownMotion(motion_id, path.stem, frames, fps, False, Lazy(load))


def _shown_builtin(motion_id: str, builtin: BuiltinMotion, person: Lazy[Avatar]) -> ShownMotion:
    def load() -> Packed:
        motion = builtin_motion(person(), builtin)
        return Packed.of(motion_payload(motion, builtin.name, source="built in"))

    fps = builtin.frames / builtin.seconds
    return ShownMotion(motion_id, builtin.name, builtin.frames, round(fps, 3), False, Lazy(load))


def _shown_video(path: Path, header: AvatarHeader) -> ShownVideo | None:
    try:
        info = probe_video(path)
    except MediaError as error:
        logger.warning("%s; shown without the input video", error)
        return None

    def load() -> Path:
        if plays_in_browsers(path):
            return path
        stat = path.stat()
        key = hashlib.sha256(f"{path.resolve()} {stat.st_mtime_ns} {stat.st_size}".encode())
        copy = cache_folder(header.path) / f"browser-{key.hexdigest()[:16]}.mp4"
        return copy if copy.is_file() else write_browser_video(path, copy)

    return ShownVideo(info.width, info.height, round(info.fps, 3), info.num_frames, Lazy(load))


def shortened(motion: Motion) -> Motion:
    """A motion at a rate and of a length that a page can hold."""
    if motion.fps > MAX_FPS + 0.5:
        motion, _ = resample_motion(motion, MAX_FPS)
    count = motion.params.num_frames
    if count <= _MAX_FRAMES:
        return motion
    logger.warning("%s: only its first %d frames are shown", motion.name, _MAX_FRAMES)
    kept = torch.arange(_MAX_FRAMES)
    return replace(motion, params=motion.params[kept], time=motion.time[:_MAX_FRAMES])


def _check_npz(path: Path, name: str) -> None:
    """Refuse archives of other things, and those that unpack to more than memory can hold."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise MotionFileError(f"{name}: not a readable npz file ({error})") from error
    strange = [entry.filename for entry in entries if not entry.filename.endswith(".npy")]
    if strange:
        raise MotionFileError(f"{name}: not an npz file, it holds {strange[0][:80]!r}")
    size = sum(entry.file_size for entry in entries)
    if size > _MAX_UNPACKED_BYTES:
        raise MotionFileError(f"{name}: unpacks to {size >> 20} MB, more than a motion can have")


def _unique_id(name: str, taken: Iterable[str]) -> str:
    """A name as it can stand in a URL, different from those taken."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "item"
    known, number, found = set(taken), 2, plain
    while found in known:
        found, number = f"{plain}-{number}", number + 1
    return found
