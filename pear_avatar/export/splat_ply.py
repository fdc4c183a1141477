"""Splats of one pose in the PLY layout of 3D Gaussian Splatting (Kerbl et al., 2023)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pear_avatar.choices import SplatAxes
from pear_avatar.export.plain_splats import plain_splats
from pear_avatar.io.atomic import atomic_path
from pear_avatar.io.replacing import MARK
from pear_avatar.splatting import Gaussians

__all__ = ["save_splat_ply"]

#: The reference implementation's properties in its order, without view-dependent colour.
PROPERTIES = (
    "x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity",
    "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
)  # fmt: skip


def save_splat_ply(path: str | Path, gaussians: Gaussians, *, axes: SplatAxes = "y-up") -> None:
    """Write a binary PLY that splat viewers open: float32, log scales, logits, w x y z.

    Args:
        path: the file; it appears whole or not at all.
        gaussians: splats in the world.
        axes: "y-up" as this package's world and its SPZ files; "y-down" for viewers that take
            PLY for the axes of cameras.
    """
    splats = plain_splats(gaussians, axes)
    rows = np.concatenate(
        [
            splats.means,
            np.zeros_like(splats.means),  # normals, which no program uses
            splats.sh0,
            splats.logit_opacities[:, None],
            splats.log_scales,
            splats.quats_wxyz,
        ],
        axis=1,
    )
    header = ["ply", "format binary_little_endian 1.0", f"comment {MARK}"]
    header += [f"element vertex {splats.count}"]
    header += [f"property float {name}" for name in PROPERTIES] + ["end_header", ""]
    with atomic_path(path) as temporary:
        temporary.write_bytes("\n".join(header).encode() + rows.astype("<f4").tobytes())
