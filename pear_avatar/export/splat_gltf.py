"""Splats of one pose as glTF with ``KHR_gaussian_splatting``, as ratified by Khronos."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pear_avatar.export.gltf.document import VERTICES, GltfDocument
from pear_avatar.export.plain_splats import plain_splats
from pear_avatar.splatting import Gaussians

__all__ = ["save_splat_gltf"]

EXTENSION = "KHR_gaussian_splatting"


def save_splat_gltf(path: str | Path, gaussians: Gaussians) -> None:
    """Write ``.glb`` or ``.gltf``: a cloud of points with the extension's attributes, y up.

    Scales are linear (metres), opacities lie in [0, 1], rotations are x y z w, colours are
    display-referred sRGB. Programs without the extension show coloured points.
    """
    splats = plain_splats(gaussians)
    document = GltfDocument()
    document.use_extension(EXTENSION)
    quats_xyzw = np.roll(splats.quats_wxyz, -1, axis=1)
    attributes = {
        "POSITION": document.accessor(splats.means, target=VERTICES, bounds=True),
        "COLOR_0": document.accessor(
            np.concatenate([_linear(splats.colors), splats.opacities[:, None]], axis=1),
            target=VERTICES,
        ),
        **{
            f"{EXTENSION}:{name}": document.accessor(values.astype(np.float32), target=VERTICES)
            for name, values in (
                ("ROTATION", quats_xyzw),
                ("SCALE", np.exp(splats.log_scales)),
                ("OPACITY", splats.opacities),
                ("SH_DEGREE_0_COEF_0", splats.sh0),
            )
        },
    }
    settings = {
        "kernel": "ellipse",
        "colorSpace": "srgb_rec709_display",
        "projection": "perspective",
        "sortingMethod": "cameraDistance",
    }
    primitive = {"attributes": attributes, "mode": 0, "extensions": {EXTENSION: settings}}
    mesh = document.add("meshes", {"name": "splats", "primitives": [primitive]})
    node = document.add("nodes", {"name": "splats", "mesh": mesh})
    document.root["scene"] = document.add("scenes", {"nodes": [node]})
    document.write(path)


def _linear(rgb: np.ndarray) -> np.ndarray:
    """Display RGB -> the linear RGB of glTF's own vertex colours, for the fallback points."""
    rgb = np.clip(rgb, 0, 1)
    linear: np.ndarray = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)
