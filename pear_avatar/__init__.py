"""A living 3D double of a person from an ordinary video: recover, fit, render.

Every public name is an attribute of this package and is loaded on first use, so that importing
the package costs nothing and needs neither torch nor a GPU::

    import pear_avatar as pear

    people = pear.recover("photo.jpg")
    result = pear.fit("holiday.mp4", preset="fast")
    pear.render(result.avatar, "dance.bvh", "dance.mp4")

Units, axes and shapes are stated once, in :mod:`pear_avatar.types`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pear_avatar.api import fit as fit
    from pear_avatar.api import recover as recover
    from pear_avatar.api import recover_files as recover_files
    from pear_avatar.api import render as render
    from pear_avatar.api import save_motion as save_motion
    from pear_avatar.avatar.avatar import Avatar as Avatar
    from pear_avatar.avatar.file_format import load_avatar as load_avatar
    from pear_avatar.avatar.file_format import save_avatar as save_avatar
    from pear_avatar.body.ehm.ehm_model import EhmModel as EhmModel
    from pear_avatar.body.model import BodyModel as BodyModel
    from pear_avatar.body.open_body import load_body as load_body
    from pear_avatar.body.sources import BodySource as BodySource
    from pear_avatar.body.sources import load_ehm as load_ehm
    from pear_avatar.commands.configuration import FitConfig as FitConfig
    from pear_avatar.commands.configuration import load_fit_config as load_fit_config
    from pear_avatar.commands.export import export_html as export_html
    from pear_avatar.commands.export import export_mesh as export_mesh
    from pear_avatar.commands.export import export_splats as export_splats
    from pear_avatar.commands.fit import FitResult as FitResult
    from pear_avatar.commands.recover import RecoverSummary as RecoverSummary
    from pear_avatar.errors import PearError as PearError
    from pear_avatar.fitting.objective import StepView as StepView
    from pear_avatar.fitting.objective import Term as Term
    from pear_avatar.geometry.cameras import intrinsics as intrinsics
    from pear_avatar.geometry.cameras import look_at as look_at
    from pear_avatar.geometry.cameras import orbit_cameras as orbit_cameras
    from pear_avatar.motion.formats.registry import load_motion as load_motion
    from pear_avatar.motion.track_file import load_track as load_track
    from pear_avatar.motion.track_file import save_track as save_track
    from pear_avatar.perception.detectors import Detectors as Detectors
    from pear_avatar.perception.detectors import FrameDetection as FrameDetection
    from pear_avatar.perception.detectors import load_detectors as load_detectors
    from pear_avatar.recovery.recovered import RecoveredPeople as RecoveredPeople
    from pear_avatar.recovery.recovered import RecoveredPerson as RecoveredPerson
    from pear_avatar.recovery.recoverer import Recoverer as Recoverer
    from pear_avatar.splatting.api import rasterise as rasterise
    from pear_avatar.splatting.gaussians import Gaussians as Gaussians
    from pear_avatar.tracking.calibration import load_camera as load_camera
    from pear_avatar.types import BodyParams as BodyParams
    from pear_avatar.types import Camera as Camera
    from pear_avatar.types import ClipDetections as ClipDetections
    from pear_avatar.types import Motion as Motion
    from pear_avatar.types import Proportions as Proportions
    from pear_avatar.types import RenderOutput as RenderOutput
    from pear_avatar.types import Track as Track

#: The only place that states the version; pyproject.toml reads it from here.
__version__ = "0.1.0"

#: Where each public name lives, below this package; it is imported when the name is first used.
_HOME = {
    "Avatar": "avatar.avatar",
    "BodyModel": "body.model",
    "BodyParams": "types",
    "BodySource": "body.sources",
    "Camera": "types",
    "ClipDetections": "types",
    "Detectors": "perception.detectors",
    "EhmModel": "body.ehm.ehm_model",
    "FitConfig": "commands.configuration",
    "FitResult": "commands.fit",
    "FrameDetection": "perception.detectors",
    "Gaussians": "splatting.gaussians",
    "Motion": "types",
    "PearError": "errors",
    "Proportions": "types",
    "RecoverSummary": "commands.recover",
    "RecoveredPeople": "recovery.recovered",
    "RecoveredPerson": "recovery.recovered",
    "Recoverer": "recovery.recoverer",
    "RenderOutput": "types",
    "StepView": "fitting.objective",
    "Term": "fitting.objective",
    "Track": "types",
    "export_html": "commands.export",
    "export_mesh": "commands.export",
    "export_splats": "commands.export",
    "fit": "api",
    "intrinsics": "geometry.cameras",
    "load_avatar": "avatar.file_format",
    "load_body": "body.open_body",
    "load_camera": "tracking.calibration",
    "load_detectors": "perception.detectors",
    "load_ehm": "body.sources",
    "load_fit_config": "commands.configuration",
    "load_motion": "motion.formats.registry",
    "load_track": "motion.track_file",
    "look_at": "geometry.cameras",
    "orbit_cameras": "geometry.cameras",
    "rasterise": "splatting.api",
    "recover": "api",
    "recover_files": "api",
    "render": "api",
    "save_avatar": "avatar.file_format",
    "save_motion": "api",
    "save_track": "motion.track_file",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    """Load a public name on first use (PEP 562)."""
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
