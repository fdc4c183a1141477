"""An avatar as one file for other programs: a web page, splats in a pose, a rigged mesh."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from pear_avatar.avatar.avatar import Avatar
from pear_avatar.avatar.file_format import load_avatar
from pear_avatar.choices import SplatAxes
from pear_avatar.commands.avatar_library import (
    MAX_FPS,
    find_video,
    open_library,
    read_header,
    shortened,
)
from pear_avatar.commands.find_avatars import find_avatars
from pear_avatar.commands.write_motion import write_viewer_motion
from pear_avatar.errors import PearError
from pear_avatar.export import (
    VrmMeta,
    save_avatar_glb,
    save_splat_gltf,
    save_splat_ply,
    save_spz,
    save_usd,
    save_vrm,
)
from pear_avatar.export.gltf import as_motions
from pear_avatar.export.rig import RigStyle
from pear_avatar.io.atomic import write_text_atomic
from pear_avatar.io.video import probe_video
from pear_avatar.rendering.render_motion import fit_motion, motion_for
from pear_avatar.rendering.showcase import standard_pose
from pear_avatar.splatting import Gaussians
from pear_avatar.types import Motion
from pear_avatar.viewer.browser_video import write_browser_video
from pear_avatar.viewer.server import static_folder
from pear_avatar.viewer.single_file import EmbeddedVideo, single_file_html
from pear_avatar.viewer.web_folder import write_web_folder

_VIDEO_SIDE, _VIDEO_CRF = 480, 30
_DEFAULT_RIG = RigStyle()


def export_html(
    avatar: str | Path,
    out: str | Path,
    *,
    motions: Sequence[str | Path] = (),
    with_video: bool = False,
    video: str | Path | None = None,
) -> Path:
    """Write one HTML file with the viewer, an avatar and its motions in it.

    It opens from disk, without a server or a network.

    Args:
        avatar: an avatar file or a result folder.
        out: the ``.html`` file.
        motions: pose files to include beside the fit's own and the built-in motions.
        with_video: include the input video, scaled down, for comparing.
        video: where that video is, if not beside the avatar.

    Raises:
        PearError, ValueError, FileNotFoundError: an input is at fault.
    """
    path = one_avatar(avatar)
    out = Path(out)
    if out.is_dir():
        raise PearError(f"{out} is a folder: name an .html file in it")
    library = open_library(path, motions=motions)
    embedded = None
    if with_video:
        found = find_video(read_header(path), video)
        if found is None:
            raise PearError("the input video was not found: say where it is with --video FILE")
        embedded = _small_video(found)
    write_text_atomic(out, single_file_html(library.avatars[0], embedded, static_folder()))
    return out


def export_web(avatar: str | Path, out: str | Path, *, motions: Sequence[str | Path] = ()) -> int:
    """Write a folder for a static web host: the viewer, an avatar, and the camera that drives it.

    Args:
        avatar: an avatar file or a result folder.
        out: the folder; it must not exist, or be empty.
        motions: pose files to include beside the fit's own and the built-in motions.

    Returns:
        the bytes written.

    Raises:
        PearError, ValueError, FileNotFoundError: an input is at fault.
    """
    library = open_library(one_avatar(avatar), motions=motions)
    return write_web_folder(library, static_folder(), Path(out))


def export_splats(
    avatar: str | Path,
    out: str | Path,
    *,
    pose: str | Path | None = None,
    frame: int = 0,
    axes: SplatAxes = "y-up",
) -> Path:
    """Write an avatar's splats in one pose; the ending says as what: ply, spz, gltf or glb.

    ``axes`` are those of PLY files; SPZ and glTF state theirs, y up.

    Raises:
        PearError, ValueError, FileNotFoundError: an input is at fault.
    """
    out = Path(out)
    writers: dict[str, Callable[[Path, Gaussians], None]] = {
        ".ply": partial(save_splat_ply, axes=axes),
        ".spz": save_spz,
        ".gltf": save_splat_gltf,
        ".glb": save_splat_gltf,
    }
    writer = writers.get(out.suffix.lower())
    if writer is None:
        raise PearError(f"splats are written as {', '.join(writers)}, not as {out.suffix!r}")
    writer(out, posed_splats(load_avatar(one_avatar(avatar)), pose, frame))
    return out


def export_mesh(
    avatar: str | Path,
    out: str | Path,
    *,
    motions: Sequence[str | Path] = (),
    rig: RigStyle = _DEFAULT_RIG,
    texture_size: int = 1024,
) -> Path:
    """Write an avatar's skinned, textured mesh as glTF, each motion as a clip of its file's name.

    Raises:
        PearError, ValueError, FileNotFoundError: an input is at fault.
    """
    person = load_avatar(one_avatar(avatar))
    clips = _clips(person, motions)
    save_avatar_glb(out, person, clips, rig=rig, texture_size=texture_size)
    return Path(out)


def export_usd(
    avatar: str | Path,
    out: str | Path,
    *,
    motions: Sequence[str | Path] = (),
    rig: RigStyle = _DEFAULT_RIG,
    texture_size: int = 1024,
) -> Path:
    """Write an avatar as USD (``.usdz``), with each motion as an animation of its skeleton.

    Raises:
        PearError, ValueError, FileNotFoundError: an input is at fault, or ``usd-core`` is missing.
    """
    person = load_avatar(one_avatar(avatar))
    save_usd(out, person, _clips(person, motions), rig=rig, texture_size=texture_size)
    return Path(out)


def export_vrm(
    avatar: str | Path, out: str | Path, *, meta: VrmMeta, texture_size: int = 1024
) -> Path:
    """Write an avatar as VRM 1.0, for VTuber programs and virtual worlds.

    Raises:
        PearError, ValueError, FileNotFoundError: an input is at fault.
    """
    save_vrm(out, load_avatar(one_avatar(avatar)), meta, texture_size=texture_size)
    return Path(out)


def _clips(person: Avatar, motions: Sequence[str | Path]) -> list[Motion]:
    """The motions of pose files, fitted to a person, at a rate that programs play."""
    clips: list[Motion] = []
    for path in motions:
        motion = replace(fit_motion(person, motion_for(person, path)), name=Path(path).stem)
        clips += as_motions(motion, min(motion.fps, MAX_FPS))
    return clips


def export_motion(avatar: str | Path, out: str | Path, *, pose: str | Path) -> Path:
    """Write a pose file as a motion of the viewer, to be dropped onto an exported page.

    Raises:
        PearError, ValueError, FileNotFoundError: an input is at fault.
    """
    person = load_avatar(one_avatar(avatar))
    motion = fit_motion(person, shortened(motion_for(person, pose)))
    motion = replace(motion, name=Path(pose).stem)
    write_viewer_motion(out, motion, source=Path(pose).name)
    return Path(out)


def posed_splats(avatar: Avatar, pose: str | Path | None = None, frame: int = 0) -> Gaussians:
    """An avatar's splats in one pose.

    Args:
        avatar: whose.
        pose: a pose file; standing with the arms down by default.
        frame: which frame of it, counted from 0; negative ones count from its end.

    Raises:
        PearError, FileNotFoundError: the pose file is at fault or has no such frame.
    """
    if pose is None:
        params = standard_pose(avatar, "down")
    else:
        motion = fit_motion(avatar, motion_for(avatar, pose))
        count = motion.params.num_frames
        if not -count <= frame < count:
            raise PearError(f"{Path(pose).name} has frames 0 to {count - 1}, not {frame}")
        params = motion.params[frame]
    with torch.no_grad():
        return avatar.gaussians(params)


def one_avatar(target: str | Path) -> Path:
    """The avatar file that a file or result folder stands for.

    Raises:
        PearError: there is none, or several.
    """
    paths = find_avatars(target)
    if len(paths) > 1:
        raise PearError(f"{target} holds {len(paths)} avatars: name one of them")
    return paths[0]


def _small_video(source: Path) -> EmbeddedVideo:
    with tempfile.TemporaryDirectory(prefix="pear-avatar-") as folder:
        small = write_browser_video(
            source, Path(folder) / "video.mp4", max_side=_VIDEO_SIDE, crf=_VIDEO_CRF
        )
        info = probe_video(source)
        fps = round(info.fps, 3)
        # The size is that of the original, whose pixels the cameras use.
        return EmbeddedVideo(small.read_bytes(), info.width, info.height, fps, info.num_frames)
