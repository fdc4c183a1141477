"""Detectors by name: found without a list, loaded on demand, refused with the names there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pear_avatar.errors import ConfigError
from pear_avatar.perception import detectors
from pear_avatar.perception.detectors import Detectors, detector_names, load_detectors
from pear_avatar.perception.live import LiveDetector

_MODULE = """
from pear_avatar.perception.detectors import Detectors, FrameDetection

class Empty:
    def detect(self, rgb):
        return FrameDetection()
    def reset(self): ...
    def close(self): ...

DETECTORS = Detectors("empty-1", lambda follow: Empty())
"""


@pytest.fixture
def one_more_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.py").write_text(_MODULE)
    (tmp_path / "broken.py").write_text("")
    monkeypatch.setattr(detectors, "__path__", [*detectors.__path__, str(tmp_path)])


def test_the_default_is_mediapipe() -> None:
    assert "mediapipe" in detector_names()
    assert load_detectors().name.startswith("mediapipe")


@pytest.mark.usefixtures("one_more_file")
def test_a_detector_is_one_more_file() -> None:
    assert "empty" in detector_names()
    found = load_detectors("empty")
    assert isinstance(found, Detectors)
    with LiveDetector(found) as live:
        assert live.detect(np.zeros((64, 64, 3), np.uint8), 0.0) is None


@pytest.mark.usefixtures("one_more_file")
def test_a_module_without_detectors_is_refused() -> None:
    with pytest.raises(ConfigError, match="must define DETECTORS"):
        load_detectors("broken")


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"unknown detector 'openpose'; available: .*mediapipe"):
        load_detectors("openpose")
