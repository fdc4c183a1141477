"""Clips of the synthetic person with everything known, and the file that keeps the truth."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from pear_avatar.body.model import BodyModel
from pear_avatar.errors import DataFileError, MissingFileError, PearError
from pear_avatar.geometry.cameras import default_world_camera, intrinsics
from pear_avatar.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from pear_avatar.io.npz import load_npz, save_npz
from pear_avatar.io.video import VideoWriter
from pear_avatar.motion.choreography import FILMED, UNSEEN, Keys, choreograph
from pear_avatar.synthesis.attributes import Attributes
from pear_avatar.synthesis.person import Person
from pear_avatar.synthesis.stage import Stage, film, make_stage, person_distance
from pear_avatar.synthesis.synthetic_person import make_person
from pear_avatar.synthesis.tailor import dress_person
from pear_avatar.types import BodyParams, Camera, Motion, ProgressFn

VIDEO_NAME, TRUTH_NAME, UNSEEN_NAME = "clip.mp4", "truth.npz", "unseen.npz"
_MAX_THREADS = 4
_FORMAT = "pear-avatar-truth-1"


#: Largest picture, memory for a clip's masks and poses, and what one pose takes, roughly.
_MOST_PIXELS = 4096 * 2304
_MOST_BYTES = 2 << 30
_BYTES_A_POSE = 1 << 15


@dataclass(frozen=True)
class SceneTruth:
    """What is known of N frames of a synthetic person.

    motion: N frames of the open body; the world of :mod:`pear_avatar.types` (camera at the origin).
    camera: one camera for all frames, no batch axes.
    joints: (N, 55, 3) float32 world positions in metres.
    alpha:  (N, H, W) uint8 coverage of the person, 255 where fully covered.
    images: (N, H, W, 3) uint8 the pictures themselves, or None where a video holds them.
    """

    motion: Motion
    camera: Camera
    joints: np.ndarray
    alpha: np.ndarray
    images: np.ndarray | None


@dataclass(frozen=True)
class SyntheticClip:
    """A video of a synthetic person, its truth, and a motion that the video does not show.

    video: path of the clip.
    filmed: truth of the video's frames.
    unseen: truth and pictures of other poses: same person, light and camera.
    """

    video: Path
    filmed: SceneTruth
    unseen: SceneTruth


def make_synthetic_clip(
    out_dir: str | Path,
    body: BodyModel,
    *,
    seed: int = 0,
    person: Attributes | None = None,
    num_frames: int = 120,
    num_unseen: int = 24,
    size: tuple[int, int] = (512, 640),
    fps: float = 24.0,
    filmed: Mapping[str, Keys] = FILMED,
    progress: ProgressFn | None = None,
) -> SyntheticClip:
    """Film a synthetic person into a folder: ``clip.mp4``, ``truth.npz`` and ``unseen.npz``.

    The same arguments give the same pictures on the same machine.

    Args:
        out_dir: folder, made if absent.
        body: the open body.
        seed: who the person is and what they wear, and the grain of the pictures.
        person: attributes of the person; None for the seed's classic person.
        filmed: the motion of the video, in the channels of
            :mod:`~pear_avatar.motion.choreography`.
        num_frames: length of the video, at least 2.
        num_unseen: pictures of the unseen motion, at least 2.
        size: width and height in pixels, each even and at least 64.
        fps: frame rate of the video.
        progress: called with ("filming", done, total).

    Raises:
        DataFileError: a number is out of its range.
    """
    width, height = size
    _check_clip(num_frames, num_unseen, size, fps)
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    dressed = make_person(body, seed) if person is None else dress_person(body, person)
    tall = float(np.ptp(dressed.rest[:, 1]))
    stage = make_stage(width, height, tall, seed)
    total = num_frames + num_unseen

    def report(done: int) -> None:
        if progress is not None:
            progress("filming", done, total)

    unseen_scene = _Scene.stage_motion(body, dressed, stage, UNSEEN, num_unseen, fps=fps)
    unseen = unseen_scene.photograph(seed, report)
    save_truth(folder / UNSEEN_NAME, unseen)
    scene = _Scene.stage_motion(body, dressed, stage, filmed, num_frames, fps=fps)
    alpha = np.empty((num_frames, height, width), np.uint8)
    with VideoWriter(folder / VIDEO_NAME, fps) as video:
        for i, (rgb, coverage) in enumerate(scene.shoot(seed)):
            video.write(rgb)
            alpha[i] = np.round(coverage * 255)
            report(num_unseen + i + 1)
    seen = scene.truth(alpha, None)
    save_truth(folder / TRUTH_NAME, seen)
    return SyntheticClip(folder / VIDEO_NAME, seen, unseen)


def _check_clip(num_frames: int, num_unseen: int, size: tuple[int, int], fps: float) -> None:
    width, height = size
    if min(num_frames, num_unseen) < 2:
        raise PearError(f"a clip needs at least 2 frames, got {num_frames} and {num_unseen}")
    if min(size) < 64 or width % 2 or height % 2:
        raise PearError(f"the size must be even and at least 64 px a side, got {width}x{height}")
    pixels = size[0] * size[1]
    if pixels > _MOST_PIXELS:
        raise PearError(f"a picture has at most {_MOST_PIXELS} pixels, got {size[0]}x{size[1]}")
    needed = num_frames * (pixels + _BYTES_A_POSE) + num_unseen * 4 * pixels
    if needed > _MOST_BYTES:
        raise PearError(
            f"{num_frames} frames of {size[0]}x{size[1]} take {needed / 2**30:.1f} GiB of memory, "
            f"more than {_MOST_BYTES >> 30} GiB: film fewer or smaller ones"
        )
    if not fps > 0:
        raise PearError(f"fps must be positive, got {fps}")


def load_synthetic_clip(folder: str | Path) -> SyntheticClip:
    """Read back what :func:`make_synthetic_clip` left in a folder.

    Raises:
        MissingFileError: a file is missing.
        DataFileError: a file is damaged or of another kind.
    """
    folder = Path(folder)
    video = folder / VIDEO_NAME
    if not video.is_file():
        raise MissingFileError(f"{video}: no such file; make the clip again")
    return SyntheticClip(video, load_truth(folder / TRUTH_NAME), load_truth(folder / UNSEEN_NAME))


def save_truth(path: str | Path, truth: SceneTruth) -> None:
    """Write a :class:`SceneTruth` as npz: SMPL-X's names for the motion, no pickle."""
    params, camera = truth.motion.params, truth.camera
    poses = matrix_to_axis_angle(params.rotations.double()).float().numpy()
    meta = {"format": _FORMAT, "name": truth.motion.name}
    arrays = {
        "meta": np.array(json.dumps(meta)),
        "betas": params.betas.numpy(),
        "expression": params.expression.numpy(),
        "poses": poses.reshape(len(poses), -1),
        "trans": params.transl.numpy(),
        "time": truth.motion.time,
        "K": camera.K.numpy(),
        "T_camera_world": camera.T_camera_world.numpy(),
        "size": np.array([camera.width, camera.height]),
        "joints": truth.joints,
        "alpha": truth.alpha,
    }
    if truth.images is not None:
        arrays["images"] = truth.images
    save_npz(path, arrays, compressed=True)


def load_truth(path: str | Path) -> SceneTruth:
    """Read what :func:`save_truth` wrote.

    Raises:
        MissingFileError: nothing there.
        DataFileError: damaged, or not a truth file.
    """
    data = load_npz(path)
    try:
        meta = json.loads(str(data["meta"]))
        if meta["format"] != _FORMAT:
            raise DataFileError(
                f"{path}: written as {meta['format']}, this version reads {_FORMAT}"
            )
        width, height = (int(v) for v in data["size"])
        aa = torch.from_numpy(data["poses"]).double().unflatten(-1, (-1, 3))
        params = BodyParams(
            torch.from_numpy(data["betas"]),
            torch.from_numpy(data["expression"]),
            axis_angle_to_matrix(aa).float(),
            torch.from_numpy(data["trans"]),
        )
        camera = Camera(
            torch.from_numpy(data["K"]), torch.from_numpy(data["T_camera_world"]), width, height
        )
        motion = Motion(params, data["time"], meta["name"])
        return SceneTruth(motion, camera, data["joints"], data["alpha"], data.get("images"))
    except KeyError as error:
        raise DataFileError(f"{path}: {error} is missing; this is not a truth file") from error
    except (TypeError, ValueError) as error:
        if isinstance(error, DataFileError):
            raise
        raise DataFileError(f"{path} is damaged ({error}); make the clip again") from error


@dataclass(frozen=True)
class _Scene:
    """A person about to be filmed in a motion, with the feet on the floor."""

    person: Person
    stage: Stage
    params: BodyParams
    time: np.ndarray
    joints: np.ndarray
    transforms: np.ndarray

    @staticmethod
    def stage_motion(
        body: BodyModel,
        person: Person,
        stage: Stage,
        channels: Mapping[str, Keys],
        num_frames: int,
        *,
        fps: float,
    ) -> _Scene:
        """Place a motion on the set: at its distance, with the shoes on the floor."""
        params = choreograph(body, person.betas, channels, num_frames)
        place = params.transl.clone()
        place[:, 2] -= person_distance(stage, float(np.ptp(person.rest[:, 1])))
        with torch.no_grad():
            shaped = body.shape(params.betas)
            at_floor = shaped.pose(params.rotations, place).rest_to_posed.numpy()
            for i, transforms in enumerate(at_floor):
                vertices = person.pose(transforms, params.expression[i].numpy())
                place[i, 1] = stage.floor - float(vertices[:, 1].min())
            posed = shaped.pose(params.rotations, place)
        params = BodyParams(params.betas, params.expression, params.rotations, place)
        return _Scene(
            person,
            stage,
            params,
            np.arange(num_frames) / fps,
            posed.joints.numpy(),
            posed.rest_to_posed.numpy(),
        )

    def shoot(self, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Frames one by one: RGB (H, W, 3) uint8 and coverage (H, W) in [0, 1]."""
        expressions = self.params.expression.numpy()

        def shoot_one(i: int) -> tuple[np.ndarray, np.ndarray]:
            vertices = self.person.pose(self.transforms[i], expressions[i])
            return film(self.stage, self.person, vertices, np.random.default_rng([seed, 4, i]))

        # NumPy lets go of the interpreter in its loops, so threads do film side by side; each
        # frame has noise of its own, so their number changes nothing.
        with ThreadPoolExecutor(min(os.cpu_count() or 1, _MAX_THREADS)) as pool:
            yield from pool.map(shoot_one, range(len(self.transforms)))

    def photograph(self, seed: int, report: Callable[[int], None]) -> SceneTruth:
        """The scene's truth with its pictures; reports how many are done."""
        count, stage = len(self.transforms), self.stage
        pictures = np.empty((count, stage.height, stage.width, 3), np.uint8)
        alpha = np.empty((count, stage.height, stage.width), np.uint8)
        for i, (rgb, coverage) in enumerate(self.shoot(seed)):
            pictures[i], alpha[i] = rgb, np.round(coverage * 255)
            report(i + 1)
        return self.truth(alpha, pictures)

    def truth(self, alpha: np.ndarray, images: np.ndarray | None) -> SceneTruth:
        """The scene's truth, once its frames are shot."""
        stage = self.stage
        K = intrinsics(stage.focal, stage.width, stage.height)
        camera = Camera(K, default_world_camera(), stage.width, stage.height)
        motion = Motion(self.params, self.time, "synthetic person")
        return SceneTruth(motion, camera, self.joints, alpha, images)
