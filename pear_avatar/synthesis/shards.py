"""Labelled synthetic pictures in shards: tar files in the layout of the webdataset package.

Every shard is made from the settings and its number alone, so shards can be made in any order,
by any number of processes, and again after a crash; a shard has its final name only when whole.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch

from pear_avatar.body import load_body
from pear_avatar.body.model import BodyModel
from pear_avatar.errors import PearError
from pear_avatar.io.atomic import atomic_path, write_text_atomic
from pear_avatar.synthesis.attributes import sample_attributes
from pear_avatar.synthesis.drawing import Drawn, draw_scene
from pear_avatar.synthesis.environments import make_environment, read_environment
from pear_avatar.synthesis.figures import make_figure
from pear_avatar.synthesis.labels import (
    describe,
    describe_picture,
    label_arrays,
    label_maps,
)
from pear_avatar.synthesis.poses import PoseSampler, load_pool
from pear_avatar.synthesis.scenes import MOST_PEOPLE, Cast, Scene, draw_poses, sample_scene

INFO_NAME = "dataset.json"
_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_PANORAMAS = (".hdr", ".exr")
_SHOULDER = 1.6  # linear light of a white pixel of the user's pictures, before exposure
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SynthOptions:
    """What decides a set of pictures; the same options give the same files.

    count:  pictures. seed: of everything. size: width and height in pixels.
    per_shard: pictures a shard. per_person: pictures for which a person is dressed once.
    mocap: folder of recorded poses, or None to make all poses up.
    backgrounds: folder of pictures and panoramas (.hdr, .exr, or twice as wide as high), or None.
    maps: whether class, depth and normal maps are written too.

    Raises:
        PearError: a number is out of its range.
    """

    count: int
    seed: int = 0
    size: tuple[int, int] = (256, 256)
    per_shard: int = 256
    per_person: int = 64
    mocap: str | None = None
    backgrounds: str | None = None
    maps: bool = True

    def __post_init__(self) -> None:
        for name, value in (
            ("count", self.count),
            ("per_shard", self.per_shard),
            ("per_person", self.per_person),
        ):
            if value < 1:
                raise PearError(f"{name} must be at least 1, not {value}")
        if min(self.size) < 32 or max(self.size) > 2048:
            raise PearError(f"pictures must be 32 to 2048 pixels a side, not {self.size}")
        if self.seed < 0:
            raise PearError(f"the seed must not be negative, got {self.seed}")

    @property
    def num_shards(self) -> int:
        """How many shards hold the pictures."""
        return -(-self.count // self.per_shard)


@dataclass(frozen=True)
class Picture:
    """One picture with its labels, before it is encoded."""

    index: int
    scene: Scene
    drawn: Drawn


def make_pictures(options: SynthOptions, shard: int) -> Iterator[Picture]:
    """The pictures of one shard, in order."""
    body = load_body()
    first = shard * options.per_shard
    count = min(options.per_shard, options.count - first)
    cast = _cast(body, options, shard, count)
    for k in range(count):
        scene = sample_scene(cast, k, np.random.default_rng([options.seed, 20, first + k]))
        noise = int(np.random.default_rng([options.seed, 21, first + k]).integers(1 << 32))
        yield Picture(first + k, scene, draw_scene(scene, noise))


def _cast(body: BodyModel, options: SynthOptions, shard: int, count: int) -> Cast:
    """The people, places and poses of a shard."""
    rng = np.random.default_rng([options.seed, 22, shard])
    seeds = rng.integers(1 << 31, size=-(-count // options.per_person))
    texel = 0.007 * min(1.0, 256 / max(options.size)) ** 0.5
    figures = [make_figure(body, sample_attributes(int(s)), texel) for s in seeds]
    pictures, panoramas = _background_files(options.backgrounds)
    places = [
        make_environment(int(s)) for s in rng.integers(1 << 31, size=4 + min(count, 256) // 24)
    ]
    for path in rng.choice(panoramas, size=min(4, len(panoramas)), replace=False):
        places.append(read_environment(str(path), int(rng.integers(1 << 31))))
    chosen = rng.choice(pictures, size=min(32, len(pictures)), replace=False)
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
    pool = load_pool(body, Path(options.mocap), held_out=False) if options.mocap else None
    poses = draw_poses(body, PoseSampler(pool, generator), MOST_PEOPLE * count)
    return Cast(figures, places, [_read_picture(str(p)) for p in chosen], poses, options.size)


@lru_cache(maxsize=8)
def _background_files(folder: str | None) -> tuple[list[str], list[str]]:
    """Flat pictures and panoramas of a folder, in a fixed order.

    Raises:
        PearError: the folder is not there or holds no picture.
    """
    if folder is None:
        return [], []
    root = Path(folder)
    if not root.is_dir():
        raise PearError(f"{folder} is not a folder of pictures")
    pictures, panoramas = [], []
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        if path.suffix.lower() in _PANORAMAS:
            panoramas.append(str(path))
        elif path.suffix.lower() in _PICTURES:
            pictures.append(str(path))
    if not pictures and not panoramas:
        raise PearError(f"{folder} holds no pictures ({', '.join(_PICTURES + _PANORAMAS)})")
    return pictures, panoramas


def _read_picture(path: str) -> np.ndarray:
    """(H, W, 3) linear light.

    Raises:
        PearError: the file cannot be read.
    """
    picture = cv2.imread(path, cv2.IMREAD_COLOR)
    if picture is None:
        raise PearError(f"{path} is not a picture that can be read")
    scale = 640 / max(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    linear: np.ndarray = (picture[..., ::-1].astype(np.float32) / 255) ** 2.2
    return linear / _SHOULDER


def encode(picture: Picture, maps: bool) -> dict[str, bytes]:
    """The files of one picture by the ending that follows its key."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, picture.scene.exposure.quality]
    files = {
        "jpg": cv2.imencode(".jpg", picture.drawn.rgb[..., ::-1], quality)[1].tobytes(),
        "npz": _npz(label_arrays(picture.scene, picture.drawn)),
        "json": json.dumps(describe_picture(picture.scene)).encode(),
    }
    if maps:
        for name, image in label_maps(picture.scene, picture.drawn).items():
            stored = image[..., ::-1] if image.ndim == 3 else image
            fast = [cv2.IMWRITE_PNG_COMPRESSION, 1]
            files[f"{name}.png"] = cv2.imencode(".png", stored, fast)[1].tobytes()
    return files


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def write_shard(options: SynthOptions, folder: Path, shard: int) -> int:
    """Write one shard, whole or not at all; returns how many pictures it holds."""
    count = 0
    with atomic_path(folder / shard_name(shard)) as temporary, tarfile.open(temporary, "w") as tar:
        for picture in make_pictures(options, shard):
            for ending, data in encode(picture, options.maps).items():
                entry = tarfile.TarInfo(f"{picture.index:08d}.{ending}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
            count += 1
    return count


def shard_name(shard: int) -> str:
    """File name of a shard."""
    return f"shard-{shard:06d}.tar"


def write_set(
    options: SynthOptions, folder: Path, processes: int, progress: Progress | None = None
) -> list[Path]:
    """Write all shards that are not there yet, and ``dataset.json`` that describes them.

    Args:
        options: what to make.
        folder: made if absent; may hold shards of the same options.
        processes: how many work side by side.
        progress: called with pictures done and their total.

    Returns:
        The shards, in order.

    Raises:
        PearError: the folder holds a set made with other options.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _background_files(options.backgrounds)  # a wrong folder is named before work begins
    _claim(options, folder)
    for stale in folder.glob(".shard-*.partial.tar"):
        stale.unlink(missing_ok=True)
    paths = [folder / shard_name(k) for k in range(options.num_shards)]
    waiting = [k for k, path in enumerate(paths) if not path.is_file()]
    sizes = [min(options.per_shard, options.count - k * options.per_shard) for k in waiting]
    done = options.count - sum(sizes)
    report = progress or (lambda done, total: None)
    report(done, options.count)
    tasks = [(options, folder, k) for k in waiting]
    if processes <= 1 or len(tasks) <= 1:
        for task in tasks:
            done += _task(task)
            report(done, options.count)
        return paths
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(processes, len(tasks)), _start_worker) as pool:
        for made in pool.imap_unordered(_task, tasks):
            done += made
            report(done, options.count)
    return paths


def _start_worker() -> None:
    """One thread a process: the pictures are the parallel part."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    from pear_avatar import _native

    _native.set_num_threads(1)


def _task(task: tuple[SynthOptions, Path, int]) -> int:
    return write_shard(*task)


def _claim(options: SynthOptions, folder: Path) -> None:
    """Write the description, or check that the one there is of the same options."""
    info = {"options": json.loads(json.dumps(asdict(options))), **describe(load_body())}
    path = folder / INFO_NAME
    if path.is_file():
        try:
            there = json.loads(path.read_text("utf-8"))["options"]
        except (ValueError, KeyError, TypeError):
            raise PearError(f"{path} is not of this program; name another folder") from None
        for field in fields(SynthOptions):
            now = info["options"][field.name]
            if there.get(field.name) != now:
                raise PearError(
                    f"{folder} holds a set with {field.name} {there.get(field.name)}, not {now}; "
                    "name another folder or the same options"
                )
        return
    foreign = sorted(p.name for p in folder.glob("shard-*.tar"))
    if foreign:
        raise PearError(f"{folder} holds {foreign[0]} but no {INFO_NAME}; name another folder")
    write_text_atomic(path, json.dumps(info, indent=1))


def read_shard(path: Path) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Key and contents of each picture of a shard: "rgb", the label arrays, and the maps.

    Raises:
        PearError: the file is damaged.
    """
    try:
        with tarfile.open(path, "r:") as tar:
            key = ""
            files: dict[str, bytes] = {}
            for entry in tar:
                stem, _, ending = entry.name.partition(".")
                if stem != key and files:
                    yield key, _decode(files, path)
                    files = {}
                stream = tar.extractfile(entry)
                key, files[ending] = stem, stream.read() if stream is not None else b""
            if files:
                yield key, _decode(files, path)
    except (tarfile.TarError, OSError) as error:
        raise PearError(f"{path} is not a whole shard: {error}; delete it and run again") from None


def _decode(files: dict[str, bytes], path: Path) -> dict[str, np.ndarray]:
    def image(name: str) -> np.ndarray:
        raw = cv2.imdecode(np.frombuffer(files[name], np.uint8), cv2.IMREAD_UNCHANGED)
        if raw is None:
            raise PearError(f"{path}: a picture in it is damaged; delete it and run again")
        return np.ascontiguousarray(raw[..., ::-1]) if raw.ndim == 3 else raw

    with np.load(io.BytesIO(files["npz"]), allow_pickle=False) as data:
        sample = {name: data[name] for name in data.files}
    sample["rgb"] = image("jpg")
    for name in ("classes", "depth", "normals"):
        if f"{name}.png" in files:
            sample[name] = image(f"{name}.png")
    return sample
