"""A small random body in the open body's file layout, so that tests need no real data."""

from __future__ import annotations

import numpy as np
import pytest

from pear_avatar.body.open_body import load_open_body


@pytest.fixture(scope="session")
def small_arrays():
    """Every array of an open-body file: 80 vertices, 6 shapes, 5 expressions."""
    rng = np.random.default_rng(0)
    v, f, k, q = 80, 120, 4, 3
    weights = rng.random((v, k)).astype(np.float32)
    regressor = rng.random((55, q)).astype(np.float32)
    arrays = {
        "v_template": rng.normal(size=(v, 3)).astype(np.float32),
        "faces": rng.integers(0, v, (f, 3)).astype(np.int32),
        "shape_dirs": (0.1 * rng.normal(size=(v, 3, 6))).astype(np.float16),
        "expression_dirs": (0.1 * rng.normal(size=(v, 3, 5))).astype(np.float16),
        "skin_joints": rng.integers(0, 55, (v, k)).astype(np.int32),
        "skin_weights": weights / weights.sum(-1, keepdims=True),
        "joint_regressor_index": rng.integers(0, v, (55, q)).astype(np.int32),
        "joint_regressor_weight": regressor / regressor.sum(-1, keepdims=True),
        "uv": rng.random((90, 2)).astype(np.float32),
        "uv_faces": rng.integers(0, 90, (f, 3)).astype(np.int32),
        "part_names": np.array(["head", "body"]),
        "face_part": rng.integers(0, 2, f).astype(np.uint8),
        "eyelid_dirs": np.zeros((v, 3, 2), np.float16),
        "arkit_names": np.array(["jawOpen", "mouthSmileLeft", "eyeLookUpLeft"]),
        "arkit_coef": rng.normal(size=(3, 5)).astype(np.float32),
        "arkit_pose": np.diag([0.4, 0.3, 0.2]).repeat(3, 1).astype(np.float32),
        "scalp": rng.random(v) > 0.7,
        "meta": np.array('{"version": "test"}'),
    }
    for name, count, width in [("coco17", 17, 1), ("face", 30, 3)]:
        weight = rng.random((count, width)).astype(np.float32)
        arrays[f"landmark_{name}_index"] = rng.integers(0, 55 + v, (count, width)).astype(np.int32)
        arrays[f"landmark_{name}_weight"] = weight / weight.sum(-1, keepdims=True)
        arrays[f"landmark_{name}_sigma"] = np.full(count, 0.01, np.float32)
    return arrays


@pytest.fixture(scope="session")
def small_file(small_arrays, tmp_path_factory):
    """The small body as a file."""
    path = tmp_path_factory.mktemp("body") / "small.npz"
    np.savez(path, **small_arrays)
    return path


@pytest.fixture(scope="session")
def small_body(small_file):
    """The small body in float64, for finite differences."""
    import torch

    return load_open_body(small_file).to(dtype=torch.float64)
