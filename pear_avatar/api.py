"""The verbs of ``import pear_avatar``: what the commands do, as calls.

Each imports what it needs when it is called: looking a verb up costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from pear_avatar.avatar.avatar import Avatar
    from pear_avatar.body.model import BodyModel
    from pear_avatar.choices import NpzLayout
    from pear_avatar.commands.configuration import FitConfig
    from pear_avatar.commands.fit import FitResult
    from pear_avatar.commands.recover import RecoverSummary
    from pear_avatar.commands.recover_outputs import MeshKind
    from pear_avatar.fitting.objective import Term
    from pear_avatar.perception.detectors import Detectors
    from pear_avatar.recovery.recovered import RecoveredPeople
    from pear_avatar.recovery.recoverer import Recoverer
    from pear_avatar.rendering.render_motion import CameraName
    from pear_avatar.types import Camera, Motion, ProgressFn, Track

__all__ = ["fit", "recover", "recover_files", "render", "save_motion"]


def fit(
    video: str | Path,
    out: str | Path | None = None,
    *,
    preset: str | Path | FitConfig = "default",
    settings: Mapping[str, Any] | Sequence[str] = (),
    camera: Camera | None = None,
    body_models: str | Path | None = None,
    detectors: Detectors | None = None,
    unseen_tail: bool = False,
    terms: Sequence[Term] = (),
    progress: ProgressFn | None = None,
) -> FitResult:
    """Fit an avatar to a video of one person.

    The same call continues a fit that was interrupted, and does nothing twice.

    Args:
        video: a file of any frame rate, upright or rotated.
        out: folder of the results; by default ``<name of the video>-avatar`` in the current
            folder.
        preset: ``"fast"``, ``"default"``, ``"high"``, a YAML file of settings, or a whole
            configuration.
        settings: changes to a preset, as ``{"fitting.num_splats": 40000}`` or as
            ``["fitting.num_splats=40000"]``.
        camera: the calibrated camera, without batch axes; None estimates one.
        body_models: folder of licensed model files, for the setting ``body.name = "smplx"``; None
            takes the folder that ``PEAR_AVATAR_BODY_MODELS`` names.
        detectors: the networks that detect the person; None takes those that the setting
            ``perception.detector`` names.
        unseen_tail: keep the last fifth of the clip out of the fit, and measure on it.
        terms: further terms of the fit's objective, each with a curve in the report.
        progress: called with (stage, done, total).

    Returns:
        The folder, the avatar, its track and the figures of the report.

    Raises:
        ConfigError: an unknown preset, setting or value; the message names the nearest one.
        PearError, FileNotFoundError: the video cannot be used.
    """
    from pear_avatar.commands.configuration import resolve_config
    from pear_avatar.commands.fit import fit_video

    config = resolve_config(preset, settings)
    folder = Path.cwd() / f"{Path(video).stem}-avatar" if out is None else out
    return fit_video(
        video,
        folder,
        config,
        camera=camera,
        body_models=body_models,
        detectors=detectors,
        unseen_tail=unseen_tail,
        terms=terms,
        progress=progress,
    )


def recover(
    picture: str | Path | np.ndarray,
    *,
    everyone: bool = False,
    box: Sequence[float] | None = None,
    camera: Camera | None = None,
    detectors: Detectors | None = None,
) -> RecoveredPeople:
    """Recover the people of one picture: shape, pose, hands, face and place.

    Networks are loaded for this call; for many pictures keep one
    :class:`~pear_avatar.recovery.recoverer.Recoverer` and call it.

    Args:
        picture: a file, or (H, W, 3) uint8 RGB.
        everyone: all people, largest first; otherwise only the largest.
        box: (4,) x0, y0, x1, y1 in pixels: the person to recover.
        camera: of the picture, without batch axes; by default a usual lens is assumed.
        detectors: the networks that detect people; by default mediapipe's.

    Returns:
        The people; empty if the picture shows none.

    Raises:
        MediaError: the file is not a picture that can be read.
        PearError: the array is not an RGB picture, or box or camera do not fit it.
    """
    from pear_avatar.perception.picture import PictureDetector
    from pear_avatar.recovery.recoverer import Recoverer

    with Recoverer(detector=PictureDetector(detectors)) as recoverer:
        return recoverer(picture, everyone=everyone, box=box, camera=camera)


def recover_files(
    source: str | Path,
    out: str | Path | None = None,
    *,
    everyone: bool = False,
    mesh: MeshKind = "glb",
    overlay: bool = True,
    max_frames: int | None = None,
    camera: Camera | None = None,
    recoverer: Recoverer | None = None,
    progress: ProgressFn | None = None,
) -> RecoverSummary:
    """Recover a picture, a folder of pictures or a video, and write the results.

    A file of a folder that cannot be used is skipped and listed; the others go on.

    Args:
        source: the picture, folder or video.
        out: folder of the results; by default ``<name of the source>-recovered`` in the current
            folder.
        everyone: all people; otherwise the largest.
        mesh: kind of the mesh files: ``"glb"``, ``"ply"``, ``"obj"`` or ``"none"``.
        overlay: draw what was found over the input.
        max_frames: at most so many frames of a video, evenly over its length.
        camera: calibrated camera of all inputs; by default a usual lens is assumed.
        recoverer: networks that are already loaded; by default they are loaded for this call.
        progress: called with (stage, done, total).

    Returns:
        Where the results are, how many people there were, and what was skipped and why.

    Raises:
        MediaError: the only picture, or the video, cannot be used.
        PearError: there is no such source, or no picture in the folder.
    """
    from pear_avatar.commands.recover import RecoverOptions, recover_pictures
    from pear_avatar.commands.recover_inputs import resolve_input
    from pear_avatar.commands.recover_video import recover_video
    from pear_avatar.errors import PearError
    from pear_avatar.recovery.recoverer import Recoverer

    found = resolve_input(str(source))
    if found.is_live:
        raise PearError(f"{source} is a live input, which has no end: use `pear-avatar recover`")
    folder = Path.cwd() / f"{found.name}-recovered" if out is None else Path(out)
    options = RecoverOptions(
        everyone=everyone, mesh=mesh, overlay=overlay, max_frames=max_frames, camera=camera
    )
    run = recover_video if found.kind == "video" else recover_pictures
    if recoverer is not None:
        return run(found, folder, options, recoverer, progress=progress)
    with Recoverer() as loaded:
        return run(found, folder, options, loaded, progress=progress)


def render(
    avatar: str | Path | Avatar,
    motion: str | Path | Motion | Track,
    out: str | Path,
    *,
    camera: CameraName = "fixed",
    background: str = "white",
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    max_frames: int | None = None,
    device: str = "auto",
    progress: ProgressFn | None = None,
) -> Path:
    """Render an avatar in a motion, as a video or as numbered pictures.

    The motion of another body is fitted to the avatar: steps as long as its legs, feet on the
    floor. For single pictures from a camera of your own, use ``Avatar.gaussians`` and
    ``Gaussians.render``.

    Args:
        avatar: an avatar or its file.
        motion: a motion, a track, or a file of any pose format.
        out: an ``.mp4`` file, or a folder (no ending) for ``frame_00000.png`` and so on.
        camera: ``"fixed"`` sees the whole motion, ``"orbit"`` circles the moving person,
            ``"turntable"`` circles the first pose, ``"clip"`` takes the cameras of a track.
        background: a colour name, ``#rrggbb``, a picture file, or ``transparent`` (pictures only).
        size: width and height in pixels; by default 512x512, for ``"clip"`` the video's own.
        fps: frame rate of the result; by default the motion's, at most 60.
        max_frames: render only so many frames.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        progress: called with ("render", done, total).

    Returns:
        ``out``.

    Raises:
        PearError, FileNotFoundError: the input is at fault.
    """
    from pear_avatar.rendering.render_motion import render_motion_file

    return render_motion_file(
        avatar,
        motion,
        out,
        camera=camera,
        background=background,
        size=size,
        fps=fps,
        max_frames=max_frames,
        device=device,
        progress=progress,
    )


def save_motion(
    path: str | Path,
    motion: Motion,
    *,
    layout: NpzLayout = "amass",
    body: BodyModel | None = None,
) -> None:
    """Write a motion as a file of the kind that its ending says; see ``write_motion``.

    ``pear-avatar convert`` does the same for files, and can cut, resample and stream them.

    Args:
        path: the file; it appears whole or not at all.
        motion: N frames.
        layout: names of the arrays in an ``.npz`` file, of
            :data:`~pear_avatar.choices.NPZ_LAYOUTS` all but ``"track"``, for which there is
            :func:`~pear_avatar.motion.track_file.save_track`.
        body: whose skeleton and mesh the other files hold; by default the open body's.

    Raises:
        PearError: the ending or the layout is none of these.
    """
    from pear_avatar.commands.write_motion import write_motion

    write_motion(path, motion, layout=layout, body=body)
