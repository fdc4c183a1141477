"""Detectors of people: what they return, and the set of them by name.

A set of detectors (:class:`Detectors`) is chosen by name, on the command line and in the
configuration, or passed from Python. Names are found, not listed: every module of this package
and every entry point of the group ``pear_avatar.detectors`` in an installed package is one, and
provides its set as ``DETECTORS``. All of them have the topology of
:mod:`pear_avatar.body.topology`; left and right are the person's.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol

import numpy as np

from pear_avatar.errors import ConfigError

__all__ = [
    "DEFAULT_DETECTOR",
    "Detector",
    "Detectors",
    "FrameDetection",
    "PartDetector",
    "PeopleDetector",
    "PersonArea",
    "detector_names",
    "load_detectors",
]

DEFAULT_DETECTOR = "mediapipe"
_ENTRY_POINTS = "pear_avatar.detectors"
#: The circle of a person's area goes through the extremities; hands and feet stick out of it.
_MARGIN = 1.25


@dataclass(frozen=True)
class FrameDetection:
    """One person in one (H, W) frame, in its pixels; a part that was not found is None.

    pose:       (33, 3) x, y, visibility.
    pose_world: (33, 3) metres about the hip centre; x right, y down, z away from the camera.
    left_hand, right_hand: (21, 2).
    face:       (478, 2).
    mask:       (H, W) uint8, soft.
    """

    pose: np.ndarray | None = None
    pose_world: np.ndarray | None = None
    left_hand: np.ndarray | None = None
    right_hand: np.ndarray | None = None
    face: np.ndarray | None = None
    mask: np.ndarray | None = None


class Detector(Protocol):
    """Detects one person in successive frames; it may follow the person from frame to frame."""

    def detect(self, rgb: np.ndarray) -> FrameDetection:
        """Detect in one (H, W, 3) uint8 frame."""

    def reset(self) -> None:
        """Forget the frames seen so far."""

    def close(self) -> None:
        """Free the network."""


class PartDetector(Protocol):
    """Detects one face or one hand in a crop."""

    def find(self, rgb: np.ndarray) -> tuple[np.ndarray, float, str] | None:
        """(L, 2) pixels of the crop, a score in [0, 1] and, for hands, "left" or "right"."""

    def close(self) -> None:
        """Free the network."""


@dataclass(frozen=True)
class PersonArea:
    """The place of one person in a picture: a circle about the middle of the hips.

    centre (2,) px, radius px, score in [0, 1].
    """

    centre: np.ndarray
    radius: float
    score: float

    @property
    def box_xyxy(self) -> np.ndarray:
        """(4,) square around the circle with a margin; may reach beyond the picture."""
        reach = _MARGIN * self.radius
        return np.concatenate([self.centre - reach, self.centre + reach]).astype(np.float32)


class PeopleDetector(Protocol):
    """Locates all people of a picture."""

    def find(self, rgb: np.ndarray, levels: int = 2) -> list[PersonArea]:
        """The people in an (H, W, 3) uint8 picture, highest score first.

        Args:
            levels: effort spent on small people: 0 is the picture as a whole, each further level
                also covers tiles of half the side.
        """

    def close(self) -> None:
        """Free the network."""


def _mediapipe_face() -> PartDetector:
    from pear_avatar.perception.detectors.mediapipe import FaceMeshDetector

    return FaceMeshDetector()


def _mediapipe_hand() -> PartDetector:
    from pear_avatar.perception.detectors.mediapipe import HandCropDetector

    return HandCropDetector()


def _mediapipe_people() -> PeopleDetector:
    from pear_avatar.perception.people import PeopleFinder

    return PeopleFinder()


@dataclass(frozen=True)
class Detectors:
    """A set of detectors: what each constructs, and a name that stands for all of them.

    name:   part of the cache key: change it whenever results change.
    person: constructs the whole-person detector; its argument says whether to follow the person
            from frame to frame (True) or to treat frames as single pictures (False).
    face, hand: construct the detectors for crops; mediapipe's by default.
    people: constructs the detector that locates all people; mediapipe's by default.
    """

    name: str
    person: Callable[[bool], Detector]
    face: Callable[[], PartDetector] = _mediapipe_face
    hand: Callable[[], PartDetector] = _mediapipe_hand
    people: Callable[[], PeopleDetector] = _mediapipe_people


def detector_names() -> list[str]:
    """Names that :func:`load_detectors` accepts; nothing is imported."""
    own = {module.name for module in pkgutil.iter_modules(__path__)}
    return sorted(own | {entry.name for entry in entry_points(group=_ENTRY_POINTS)})


def load_detectors(name: str = DEFAULT_DETECTOR) -> Detectors:
    """The set of detectors of that name.

    Raises:
        ConfigError: there is no such name, or it does not provide ``DETECTORS``.
    """
    names = detector_names()
    if name not in names:
        raise ConfigError(f"unknown detector {name!r}; available: {', '.join(names)}")
    installed = [entry for entry in entry_points(group=_ENTRY_POINTS) if entry.name == name]
    module = installed[0].load() if installed else importlib.import_module(f"{__name__}.{name}")
    found = module if isinstance(module, Detectors) else getattr(module, "DETECTORS", None)
    if not isinstance(found, Detectors):
        raise ConfigError(f"detector {name!r}: its module must define DETECTORS = Detectors(...)")
    return found
