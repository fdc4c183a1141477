"""What this machine offers, and what to do about what it lacks."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import pear_avatar
from pear_avatar.errors import one_line
from pear_avatar.machine import available_cores, total_memory_gib

Status = Literal["ok", "optional", "problem"]

_PACKAGES = ("numpy", "scipy", "omegaconf", "safetensors", "pillow", "imageio", "rich")
_LITTLE_DISK_GIB, _TOO_LITTLE_DISK_GIB = 5.0, 0.5
_LITTLE_MEMORY_GIB = 3.0
_REINSTALL = "run `make install` in the source folder, or `pip install --force-reinstall .`"


@dataclass(frozen=True)
class Check:
    """One line of the doctor's table.

    status: ``ok``; ``optional``, something is missing that a fit does without; ``problem``, a
        fit cannot run before it is put right.
    detail: what was found.
    remedy: what to do; empty where nothing need be done.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def run_checks(folder: str | Path = ".") -> list[Check]:
    """Look at everything a fit needs or can use; never raises, a failed look is a finding.

    Args:
        folder: where results would be written.
    """
    checks: tuple[tuple[str, Callable[[], Check]], ...] = (
        ("python", _python),
        ("processor", _processor),
        ("packages", _packages),
        ("torch", _torch),
        ("native core", _native_core),
        ("rasteriser", _rasteriser),
        ("GPU", _gpu),
        ("detectors", _detectors),
        ("body model", _body),
        ("perceptual metric", _perceptual),
        ("video", _video),
        ("HEIC pictures", _heic),
        ("presets", _presets),
        ("disk", lambda: _disk(Path(folder))),
    )
    return [_guarded(name, check) for name, check in checks]


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:
        # A broken installation can fail in any way at all; the doctor must still report the rest.
        reason = one_line(error)
        return Check(name, "problem", f"{type(error).__name__}: {reason}", _REINSTALL)


def _python() -> Check:
    version = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    found = f"{version}, pear-avatar {pear_avatar.__version__}"
    if not (3, 10) <= sys.version_info[:2] < (3, 13):
        return Check("python", "problem", found, "use Python 3.10, 3.11 or 3.12")
    return Check("python", "ok", found)


def _processor() -> Check:
    cores, memory = available_cores(), total_memory_gib()
    threads = os.environ.get("OMP_NUM_THREADS", str(cores))
    found = f"{cores} cores granted, {threads} threads used"
    if memory is None:
        return Check("processor", "ok", found)
    found += f", {memory:.1f} GiB of memory"
    if memory < _LITTLE_MEMORY_GIB:
        return Check("processor", "optional", found, "long or large clips: --preset fast")
    return Check("processor", "ok", found)


def _packages() -> Check:
    missing, found = [], []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("packages", "problem", f"missing: {', '.join(missing)}", _REINSTALL)
    return Check("packages", "ok", ", ".join(found))


def _torch() -> Check:
    import torch

    threads = torch.get_num_threads()
    return Check("torch", "ok", f"{torch.__version__}, {threads} thread{'s' * (threads != 1)}")


def _native_core() -> Check:
    from pear_avatar import _native

    try:
        found = f"{_native.isa()} kernels, {_native.num_threads()} threads"
    except _native.NativeLibraryError as error:
        reason, _, remedy = str(error).rpartition(": ")
        return Check("native core", "problem", reason, remedy)
    return Check("native core", "ok", found)


def _rasteriser() -> Check:
    import torch

    from pear_avatar import _native

    backends = (["cpu (C++)"] if _native.is_available() else []) + ["torch (slow reference)"]
    try:
        gsplat = metadata.version("gsplat")
    except metadata.PackageNotFoundError:
        gsplat = ""
    if torch.cuda.is_available() and not gsplat:
        found = f"{', '.join(backends)}; gsplat is not installed"
        return Check("rasteriser", "optional", found, 'for the GPU: pip install "pear-avatar[gpu]"')
    if torch.cuda.is_available():
        return Check("rasteriser", "ok", ", ".join([f"gsplat {gsplat} (CUDA)", *backends]))
    note = f"; gsplat {gsplat} waits for a GPU" if gsplat else ""
    return Check("rasteriser", "ok", ", ".join(backends) + note)


def _gpu() -> Check:
    import torch

    if not torch.cuda.is_available():
        return Check("GPU", "optional", "none that torch can use; everything runs on the processor")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Check("GPU", "ok", f"{', '.join(names)} (CUDA {torch.version.cuda})")


def _detectors() -> Check:
    from pear_avatar.perception.detectors.mediapipe import FaceMeshDetector

    try:
        FaceMeshDetector().close()
    except (ImportError, OSError) as error:
        remedy = _REINSTALL
        if "libGL" in str(error) or "libgthread" in str(error):
            remedy = "on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0"
        return Check("detectors", "problem", one_line(error), remedy)
    return Check("detectors", "ok", f"LiteRT {metadata.version('ai-edge-litert')}")


def _body() -> Check:
    from pear_avatar.body import load_body

    body = load_body()
    vertices, faces = len(body.v_template), len(body.faces)
    return Check(
        "body model",
        "ok",
        f"open body, {vertices} vertices, {faces} faces; no licensed file is needed",
    )


def _perceptual() -> Check:
    from pear_avatar.evaluation.perceptual import NOT_FOUND, load_perceptual

    metric = load_perceptual()
    if metric is None:
        message, _, remedy = NOT_FOUND.partition(": ")
        return Check("perceptual metric", "optional", message, remedy)
    return Check("perceptual metric", "ok", metric.name)


def _heic() -> Check:
    if importlib.util.find_spec("pillow_heif") is None:
        remedy = "pip install 'pear-avatar[heic]'"
        return Check("HEIC pictures", "optional", "HEIC pictures cannot be read", remedy)
    return Check("HEIC pictures", "ok", "read by pillow-heif")


def _video() -> Check:
    import av

    names = set(av.codecs_available)
    readable = [name for name in ("h264", "hevc", "vp9", "av1") if name in names]
    found = f"PyAV {av.__version__} reads {', '.join(readable)}"
    if "libx264" not in names:
        return Check("video", "problem", f"{found}; no H.264 encoder", "pip install --upgrade av")
    return Check("video", "ok", f"{found}; writes H.264")


def _presets() -> Check:
    from pear_avatar.commands.configuration import config_folder, preset_names

    names = preset_names()
    if not names:
        return Check("presets", "problem", f"none in {config_folder()}", _REINSTALL)
    return Check("presets", "ok", ", ".join(names))


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free / 2**30
    found = f"{free:.1f} GiB free in {folder.resolve()}"
    if not os.access(folder, os.W_OK):
        return Check("disk", "problem", f"{folder.resolve()} cannot be written", "use -o DIR")
    if free < _TOO_LITTLE_DISK_GIB:
        return Check("disk", "problem", found, "free some space, or use -o DIR on another disk")
    if free < _LITTLE_DISK_GIB:
        return Check("disk", "optional", found, "long clips need more: free some space")
    return Check("disk", "ok", found)
