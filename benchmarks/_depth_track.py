"""Track stored detections with whichever tree is first on the path, and keep what was found.

Run as a script in a process of its own, so that two states of the package can be measured in one
run. It uses only what every state has: types, bodies, the first guess and the tracker.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pear_avatar
from pear_avatar.body.sources import BodySource, load_ehm
from pear_avatar.recovery.first_guess import first_guess
from pear_avatar.recovery.lifter import Lifter
from pear_avatar.tracking import track_clip
from pear_avatar.types import Camera, ClipDetections, Proportions


def read_detections(path: Path) -> ClipDetections:
    """Detections from an npz of their fields; fields of other states are left out."""
    with np.load(path, allow_pickle=False) as data:
        values: dict[str, Any] = {
            f.name: data[f.name]
            for f in fields(ClipDetections)
            if f.name in data and f.name != "notes"
        }
    values |= {"width": int(values["width"]), "height": int(values["height"])}
    return ClipDetections(**values)


def main(jobs: Path) -> None:
    """Do every job of a JSON list: {"detections", "camera" (K, T, size) or null, "out"}."""
    here = Path(pear_avatar.__file__).resolve()
    if Path.cwd().resolve() not in here.parents:
        raise SystemExit(f"{here} is imported, not the package of {Path.cwd()}")
    torch.set_num_threads(1)
    body = load_ehm(BodySource())
    lifter = Lifter.load()
    for job in json.loads(jobs.read_text("utf-8")):
        detections = read_detections(Path(job["detections"]))
        camera = None
        if job["camera"] is not None:
            K, T, (width, height) = job["camera"]
            camera = Camera(torch.tensor(K), torch.tensor(T), width, height)
        started = time.perf_counter()
        guess = first_guess(lifter, detections, camera, body)
        track = track_clip(detections, body, camera=camera, initial=guess)
        seconds = time.perf_counter() - started
        person = body.person(track.proportions or Proportions.neutral())
        params = track.motion.params
        with torch.no_grad():
            posed = person.shape(params.betas, params.expression).pose(
                params.rotations, params.transl
            )
            np.savez(
                job["out"],
                joints=posed.joints.numpy(),
                landmarks=posed.landmarks("mediapipe_pose").numpy(),
                T_camera_world=track.camera.T_camera_world.numpy(),
                K=track.camera.K.numpy(),
                trusted=track.trusted,
                landmark_error=track.landmark_error,
                rotations=params.rotations.numpy(),
                transl=params.transl.numpy(),
                betas=params.betas.numpy(),
                vertices=posed.vertices()[:: max(len(params.transl) // 12, 1)].numpy(),
                seconds=seconds,
            )


if __name__ == "__main__":
    main(Path(sys.argv[-1]))
