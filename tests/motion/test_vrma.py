"""VRMA and GLB animations, made from the same skeletons as the BVH tests."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import torch
from skeletons import BONES, SCHEMES

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.errors import MotionFileError
from pear_avatar.geometry.rotations import axis_angle_to_matrix, matrix_to_quat_wxyz
from pear_avatar.motion.formats.registry import read_motion

N = 10
NAMES = [name for name, _, _ in BONES]
PARENTS = [NAMES.index(parent) if parent else -1 for _, parent, _ in BONES]
OFFSETS = np.array([offset for _, _, offset in BONES], float) / 100
TURNS = axis_angle_to_matrix(
    torch.from_numpy(0.35 * np.random.default_rng(4).normal(size=(N, len(NAMES), 3)))
).numpy()
PAIRS = {
    (f"{side}_{a}", f"{side}_{b}"): (f"{letter}.{c}", f"{letter}.{d}")
    for side, letter in (("left", "L"), ("right", "R"))
    for a, b, c, d in (
        ("shoulder", "elbow", "upperarm", "lowerarm"), ("elbow", "wrist", "lowerarm", "hand"),
        ("hip", "knee", "upperleg", "lowerleg"), ("knee", "ankle", "lowerleg", "foot"),
    )
}  # fmt: skip


def xyzw(matrices: np.ndarray) -> np.ndarray:
    wxyz = matrix_to_quat_wxyz(torch.from_numpy(np.ascontiguousarray(matrices))).numpy()
    return wxyz[..., [1, 2, 3, 0]]


def world() -> np.ndarray:
    """(N, J, 3) positions, one joint after the other."""
    R, p = np.empty_like(TURNS), np.empty((N, len(NAMES), 3))
    for j, parent in enumerate(PARENTS):
        R[:, j] = TURNS[:, j] if parent < 0 else R[:, parent] @ TURNS[:, j]
        p[:, j] = OFFSETS[j] if parent < 0 else p[:, parent] + R[:, parent] @ OFFSETS[j]
    return p


def glb(*, vrma: bool, rest: np.ndarray | None = None) -> bytes:
    """A GLB whose nodes rest turned by ``rest`` (J, 3, 3) in the world; upright by default."""
    rest = np.broadcast_to(np.eye(3), (len(NAMES), 3, 3)) if rest is None else rest
    above = np.stack([np.eye(3) if p < 0 else rest[p] for p in PARENTS])
    back = np.swapaxes(above, -1, -2)
    local_rest, local = xyzw(back @ rest), xyzw(back @ TURNS @ rest)
    offsets = (back @ OFFSETS[..., None])[..., 0]
    names = SCHEMES["vrm"]
    nodes = [
        {
            "name": f"bone {j}" if vrma else names[name],
            "translation": offsets[j].tolist(),
            "rotation": local_rest[j].tolist(),
            "children": [k for k, p in enumerate(PARENTS) if p == j],
        }
        for j, name in enumerate(NAMES)
    ]
    chunks = [
        np.arange(N, dtype="<f4") / 50,
        *(local[:, j].astype("<f4") for j in range(len(NAMES))),
    ]
    views, accessors, binary = [], [], b""
    for chunk in chunks:
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": chunk.nbytes})
        kind = "SCALAR" if chunk.ndim == 1 else "VEC4"
        accessors.append(
            {"bufferView": len(views) - 1, "componentType": 5126, "count": N, "type": kind}
        )
        binary += chunk.tobytes()
    content = {
        "asset": {"version": "2.0"},
        "nodes": nodes,
        "bufferViews": views,
        "accessors": accessors,
        "buffers": [{"byteLength": len(binary)}],
        "animations": [{
            "samplers": [{"input": 0, "output": j + 1} for j in range(len(NAMES))],
            "channels": [
                {"sampler": j, "target": {"node": j, "path": "rotation"}}
                for j in range(len(NAMES))
            ],
        }],
    }  # fmt: skip
    if vrma:
        bones = {names[name]: {"node": j} for j, name in enumerate(NAMES)}
        content["extensions"] = {"VRMC_vrm_animation": {"humanoid": {"humanBones": bones}}}
    text = json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    return (
        struct.pack("<4sII", b"glTF", 2, total)
        + struct.pack("<II", len(text), 0x4E4F534A) + text
        + struct.pack("<II", len(binary), 0x004E4942) + binary
    )  # fmt: skip


@pytest.mark.parametrize("vrma", [True, False])
@pytest.mark.parametrize("turned", [False, True])
def test_limbs_point_where_the_nodes_do(tmp_path, vrma, turned):
    rest = None
    if turned:  # as Unreal's bones, which do not rest along the world's axes
        spins = np.random.default_rng(1).normal(size=(len(NAMES), 3))
        rest = axis_angle_to_matrix(torch.from_numpy(spins)).numpy()
    path = tmp_path / ("a.vrma" if vrma else "a.glb")
    path.write_bytes(glb(vrma=vrma, rest=rest))
    found = read_motion(path)
    assert found.layout == "vrma"
    assert not found.warnings
    params = found.motion.params
    assert params.num_frames == N
    assert found.motion.fps == pytest.approx(50, abs=0.01)
    joints = load_body().shape().pose(params.rotations, params.transl).joints.double().numpy()
    positions = world()
    for (a, b), (c, d) in PAIRS.items():
        ours = joints[:, JOINT_INDEX[b]] - joints[:, JOINT_INDEX[a]]
        theirs = positions[:, NAMES.index(d)] - positions[:, NAMES.index(c)]
        lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
        cosine = np.clip((ours * theirs).sum(1) / lengths, -1, 1)
        assert np.degrees(np.arccos(cosine)).max() < 3


def test_damaged_files_are_one_message(tmp_path):
    data = glb(vrma=True)
    for cut in (8, 20, 200, len(data) - 40):
        (tmp_path / "a.vrma").write_bytes(data[:cut])
        with pytest.raises(MotionFileError, match=r"a\.vrma: "):
            read_motion(tmp_path / "a.vrma")
    (tmp_path / "b.vrma").write_bytes(data.replace(b'"count": 10', b'"count": 99'))
    with pytest.raises(MotionFileError, match="no animated skeleton"):
        read_motion(tmp_path / "b.vrma")
    (tmp_path / "c.glb").write_bytes(data.replace(b'"animations"', b'"animationz"'))
    with pytest.raises(MotionFileError, match="it has no animation"):
        read_motion(tmp_path / "c.glb")
