"""The open body: SMPL-X's joints and parameter names without licensed files.

The body ships with the package as one plain npz file. Reading it checks every array, so that a
wrong or damaged file is named at once and not by a strange picture later.
"""

from __future__ import annotations

import json
import zipfile
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.joints import NUM_JOINTS, PARENTS
from pear_avatar.body.landmarks import LandmarkSet
from pear_avatar.body.model import BodyModel
from pear_avatar.body.skinning import KinematicTree
from pear_avatar.errors import MissingFileError, ModelFileError

__all__ = ["load_body", "load_open_body", "open_body_meta"]

_ASSET = "assets/open_body.npz"

#: Arrays of the file and their shapes; letters stand for sizes that must agree.
_LAYOUT: dict[str, tuple[int | str, ...]] = {
    "v_template": ("V", 3),
    "faces": ("F", 3),
    "shape_dirs": ("V", 3, "S"),
    "expression_dirs": ("V", 3, "E"),
    "skin_joints": ("V", "K"),
    "skin_weights": ("V", "K"),
    "joint_regressor_index": (NUM_JOINTS, "Q"),
    "joint_regressor_weight": (NUM_JOINTS, "Q"),
    "uv": ("T", 2),
    "uv_faces": ("F", 3),
    "part_names": ("P",),
    "face_part": ("F",),
    "eyelid_dirs": ("V", 3, 2),
    "arkit_names": ("A",),
    "arkit_coef": ("A", "E"),
    "arkit_pose": ("A", 9),
    "scalp": ("V",),
}


@lru_cache(maxsize=1)
def load_body() -> BodyModel:
    """The open body that ships with the package (float32, CPU); read once, then shared."""
    return load_open_body()


def load_open_body(path: Path | str | None = None) -> BodyModel:
    """Read an open-body file; ``None`` means the one that ships with the package.

    Raises:
        MissingFileError: there is no such file.
        ModelFileError: the file is not an open body; the message says which array is wrong.
    """
    arrays = _read(path)
    name = str(path) if path is not None else _ASSET
    sizes = _check_layout(arrays, name)
    _check_ranges(arrays, sizes, name)
    return _build(arrays)


def open_body_meta(path: Path | str | None = None) -> dict[str, str]:
    """Version, source and licence written into an open-body file."""
    meta: dict[str, str] = json.loads(str(_read(path)["meta"]))
    return meta


def _read(path: Path | str | None) -> dict[str, np.ndarray]:
    try:
        if path is not None:
            with np.load(Path(path), allow_pickle=False) as archive:
                return {key: archive[key] for key in archive.files}
        asset = resources.files("pear_avatar.body").joinpath(_ASSET)
        with asset.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except FileNotFoundError:
        where = path if path is not None else f"the package's {_ASSET}"
        raise MissingFileError(
            f"open body not found: {where}; reinstall the package or rebuild the body"
        ) from None
    except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
        raise ModelFileError(f"{path or _ASSET} is not a readable npz file: {error}") from error


def _check_layout(arrays: dict[str, np.ndarray], name: str) -> dict[str, int]:
    missing = sorted(set(_LAYOUT) - set(arrays))
    if missing:
        raise ModelFileError(f"{name} is not an open body: it lacks {', '.join(missing)}")
    sizes: dict[str, int] = {}
    for key, layout in _LAYOUT.items():
        shape = arrays[key].shape
        wanted = tuple(
            sizes.setdefault(n, m) if isinstance(n, str) else n
            for n, m in zip(layout, shape, strict=False)
        )
        if len(shape) != len(layout) or shape != wanted:
            text = ", ".join(str(sizes.get(str(n), n)) for n in layout)
            raise ModelFileError(f"{name}: {key} must have shape ({text}), got {shape}")
        if arrays[key].dtype.kind == "f" and not np.isfinite(arrays[key]).all():
            raise ModelFileError(f"{name}: {key} contains NaN or infinity")
    return sizes


def _check_ranges(arrays: dict[str, np.ndarray], sizes: dict[str, int], name: str) -> None:
    limits = {
        "faces": sizes["V"],
        "uv_faces": sizes["T"],
        "skin_joints": NUM_JOINTS,
        "joint_regressor_index": sizes["V"],
        "face_part": sizes["P"],
    }
    weights = ["skin_weights", "joint_regressor_weight"]
    for set_name in _landmark_names(arrays):
        index, weight, sigma = (
            arrays.get(f"landmark_{set_name}_{kind}") for kind in ("index", "weight", "sigma")
        )
        if weight is None or sigma is None or index is None:
            raise ModelFileError(f"{name}: landmark set {set_name} lacks its weight or sigma")
        if index.ndim != 2 or weight.shape != index.shape or sigma.shape != index.shape[:1]:
            raise ModelFileError(
                f"{name}: landmark set {set_name} has index {index.shape}, weight "
                f"{weight.shape}, sigma {sigma.shape}; they must be (L, K), (L, K), (L,)"
            )
        limits[f"landmark_{set_name}_index"] = NUM_JOINTS + sizes["V"]
        weights.append(f"landmark_{set_name}_weight")
    for key, limit in limits.items():
        low, high = int(arrays[key].min()), int(arrays[key].max())
        if low < 0 or high >= limit:
            raise ModelFileError(f"{name}: {key} must lie in [0, {limit}), got [{low}, {high}]")
    for key in weights:
        sums = arrays[key].astype(np.float64).sum(-1)
        if arrays[key].min() < 0 or np.abs(sums - 1).max() > 1e-3:
            raise ModelFileError(
                f"{name}: rows of {key} must be >= 0 and sum to 1, got sums in "
                f"[{sums.min():.4g}, {sums.max():.4g}]"
            )


def _landmark_names(arrays: dict[str, np.ndarray]) -> list[str]:
    prefix, suffix = "landmark_", "_index"
    return sorted(
        key[len(prefix) : -len(suffix)]
        for key in arrays
        if key.startswith(prefix) and key.endswith(suffix)
    )


def _build(arrays: dict[str, np.ndarray]) -> BodyModel:
    def real(key: str) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(arrays[key], dtype=np.float32))

    def integers(key: str) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(arrays[key], dtype=np.int64))

    def rows_to_one(key: str) -> Tensor:
        weights = real(key)
        return weights / weights.sum(-1, keepdim=True)

    # Regressing the blend shapes once makes joints a small product, without the mesh.
    index, weight = integers("joint_regressor_index"), rows_to_one("joint_regressor_weight")

    def regress(values: Tensor) -> Tensor:
        return torch.einsum("jk,jk...->j...", weight.double(), values[index].double()).float()

    template, shape_dirs = real("v_template"), real("shape_dirs")
    expression_dirs = real("expression_dirs")
    sets = {
        n: LandmarkSet(
            integers(f"landmark_{n}_index"),
            rows_to_one(f"landmark_{n}_weight"),
            real(f"landmark_{n}_sigma"),
        )
        for n in _landmark_names(arrays)
    }
    return BodyModel(
        v_template=template,
        faces=integers("faces"),
        shape_dirs=shape_dirs,
        expression_dirs=expression_dirs,
        pose_dirs=None,
        skin_joints=integers("skin_joints"),
        skin_weights=rows_to_one("skin_weights"),
        tree=KinematicTree.from_parents(PARENTS),
        joint_index=index,
        joint_weight=weight,
        joint_template=regress(template),
        joint_shape_dirs=regress(shape_dirs),
        joint_expression_dirs=regress(expression_dirs),
        uv=real("uv"),
        uv_faces=integers("uv_faces"),
        part_names=tuple(str(n) for n in arrays["part_names"]),
        face_part=integers("face_part"),
        eyelid_dirs=real("eyelid_dirs"),
        arkit_names=tuple(str(n) for n in arrays["arkit_names"]),
        arkit_coef=real("arkit_coef"),
        arkit_pose=real("arkit_pose"),
        scalp=torch.from_numpy(arrays["scalp"].astype(bool)),
        landmark_sets=sets,
    )
