"""The nodes and one animation of a GLB file, as a skeleton in motion.

After the glTF 2.0 specification: a JSON chunk, then one binary chunk, which accessors describe.
Every size is checked before it is used; nothing outside the file is opened.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from pear_avatar.geometry.rotations import quat_wxyz_to_matrix, slerp_wxyz
from pear_avatar.motion.formats.arrays import MAX_FRAMES
from pear_avatar.motion.retarget.capture import MAX_JOINTS, CaptureMotion, check_capture_size

__all__ = ["GlbFile", "capture_of_glb"]

_JSON, _BIN = 0x4E4F534A, 0x004E4942
_TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}
_DEFAULT_RATE = 30.0


class GlbFile:
    """The chunks of a GLB file; ValueError says what is wrong with one."""

    def __init__(self, data: bytes) -> None:
        self.json: dict[str, Any] = {}
        self.binary = b""
        at = 12
        while at + 8 <= len(data):
            size, kind = struct.unpack_from("<II", data, at)
            chunk = data[at + 8 : at + 8 + size]
            if len(chunk) < size:
                raise ValueError("the file is truncated")
            if kind == _JSON:
                self.json = json.loads(chunk.decode("utf-8-sig"))
            elif kind == _BIN:
                self.binary = chunk
            at += 8 + size
        if not isinstance(self.json, dict) or not self.json:
            raise ValueError("it has no JSON chunk")

    def array(self, index: int) -> np.ndarray:
        """(N,) or (N, 3 or 4) float64 of an accessor, normalised integers scaled."""
        accessor = self.json["accessors"][index]
        view = self.json["bufferViews"][accessor["bufferView"]]
        kind, width = np.dtype(_TYPES[accessor["componentType"]]), _WIDTHS[accessor["type"]]
        count = int(accessor["count"])
        start = int(view.get("byteOffset", 0)) + int(accessor.get("byteOffset", 0))
        step = int(view.get("byteStride", 0)) or kind.itemsize * width
        if not 0 < count <= 3 * MAX_FRAMES or start < 0 or step < kind.itemsize * width:
            raise ValueError(f"accessor {index} has {count} values")
        if start + step * (count - 1) + kind.itemsize * width > len(self.binary):
            raise ValueError(f"accessor {index} lies outside the file")
        found = np.ndarray(
            (count, width), kind, self.binary, offset=start, strides=(step, kind.itemsize)
        ).astype(np.float64)
        if accessor.get("normalized") and kind.kind in "iu":
            found = np.maximum(found / np.iinfo(kind).max, -1.0)
        return found[:, 0] if width == 1 else found


def capture_of_glb(glb: GlbFile, names: Mapping[int, str], source: str) -> CaptureMotion:
    """The nodes in motion by the longest animation, with the rest pose as the zero pose.

    Args:
        glb: the file.
        names: nodes that have another name than their own.
        source: the file's name, for messages.

    Raises ValueError where there is no animation, or nodes are no trees.
    """
    order, parents = _ordered(glb.json.get("nodes", []))
    nodes = glb.json["nodes"]
    rest_t = np.array([nodes[n].get("translation", (0, 0, 0)) for n in order], np.float64)
    rest_q = np.array([nodes[n].get("rotation", (0, 0, 0, 1)) for n in order], np.float64)
    channels, times = _channels(glb)
    check_capture_size(source, len(times), len(order))
    turns = np.broadcast_to(rest_q, (len(times), *rest_q.shape)).copy()
    moves = np.broadcast_to(rest_t, (len(times), *rest_t.shape)).copy()
    place = {node: j for j, node in enumerate(order)}
    for (node, path), (at, values) in channels.items():
        if node in place and path == "rotation":
            turns[:, place[node]] = _slerped(at, values, times)
        elif node in place and path == "translation":
            columns = [np.interp(times, at, values[:, c]) for c in range(3)]
            moves[:, place[node]] = np.stack(columns, -1)
    R, R_rest = _matrices(turns), _matrices(rest_q[None])[0]
    # Seen from frames that are upright at rest, so that the zero pose is the rest pose.
    world = np.empty_like(R_rest)
    for j, parent in enumerate(parents):
        world[j] = R_rest[j] if parent < 0 else world[parent] @ R_rest[j]
    above = np.stack([np.eye(3) if p < 0 else world[p] for p in parents])
    offsets = (above @ rest_t[..., None])[..., 0]
    return CaptureMotion(
        names=tuple(names.get(n, str(nodes[n].get("name", f"node {n}"))) for n in order),
        parents=tuple(parents),
        offsets=offsets,
        end_offsets=(None,) * len(order),
        rotations=above @ R @ np.swapaxes(world, -1, -2),
        positions=(above @ moves[..., None])[..., 0],
        frame_time=float(times[1] - times[0]) if len(times) > 1 else 1 / _DEFAULT_RATE,
        source=source,
    )


def _ordered(nodes: list[dict[str, Any]]) -> tuple[list[int], list[int]]:
    """Nodes, parents first, and for each its parent's place among them."""
    if not 1 < len(nodes) <= MAX_JOINTS:
        raise ValueError(f"it has {len(nodes)} nodes")
    parent = dict.fromkeys(range(len(nodes)), -1)
    for n, node in enumerate(nodes):
        for child in node.get("children", []):
            parent[int(child)] = n
    order: list[int] = []
    waiting = [n for n in range(len(nodes)) if parent[n] < 0]
    while waiting:
        n = waiting.pop(0)
        order.append(n)
        waiting += [int(c) for c in nodes[n].get("children", [])]
        if len(order) > len(nodes):
            raise ValueError("its nodes are no tree")
    place = {n: j for j, n in enumerate(order)}
    return order, [place.get(parent[n], -1) for n in order]


def _channels(
    glb: GlbFile,
) -> tuple[dict[tuple[int, str], tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """(node, path) -> times and values of the longest animation, and even times for all."""
    best: dict[tuple[int, str], tuple[np.ndarray, np.ndarray]] = {}
    for animation in glb.json.get("animations", []):
        found = {}
        for channel in animation.get("channels", []):
            target, sampler = channel["target"], animation["samplers"][channel["sampler"]]
            if target.get("path") not in ("rotation", "translation") or "node" not in target:
                continue
            at, values = glb.array(sampler["input"]), glb.array(sampler["output"])
            if sampler.get("interpolation") == "CUBICSPLINE":
                values = values[1::3]  # tangents lie on both sides
            if len(at) != len(values) or (np.diff(at) <= 0).any():
                raise ValueError("an animation's times do not increase")
            found[int(target["node"]), str(target["path"])] = (at, values)
        if _length(found) > _length(best):
            best = found
    if not best:
        raise ValueError("it has no animation")
    start, end = min(at[0] for at, _ in best.values()), max(at[-1] for at, _ in best.values())
    steps = np.concatenate([np.diff(at) for at, _ in best.values()])
    step = float(np.median(steps)) if len(steps) else 1 / _DEFAULT_RATE
    count = round((end - start) / step) + 1
    if count > MAX_FRAMES:
        raise ValueError(f"{count} frames are more than are read")
    return best, start + step * np.arange(count)


def _length(channels: Mapping[Any, tuple[np.ndarray, np.ndarray]]) -> float:
    return max((float(at[-1] - at[0]) + 1e-9 for at, _ in channels.values()), default=0.0)


def _slerped(at: np.ndarray, quats: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Quaternions x, y, z, w at other times."""
    low = np.clip(np.searchsorted(at, times, side="right") - 1, 0, max(len(at) - 2, 0))
    high = np.minimum(low + 1, len(at) - 1)
    share = np.clip((times - at[low]) / np.maximum(at[high] - at[low], 1e-12), 0, 1)
    wxyz = torch.from_numpy(quats[:, [3, 0, 1, 2]])
    between = slerp_wxyz(wxyz[low], wxyz[high], torch.from_numpy(share))
    turned: np.ndarray = between.numpy()[:, [1, 2, 3, 0]]
    return turned


def _matrices(xyzw: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(xyzw, axis=-1, keepdims=True)
    if (np.abs(lengths - 1) > 0.1).any():
        raise ValueError("its rotations are no unit quaternions")
    found: np.ndarray = quat_wxyz_to_matrix(torch.from_numpy(xyzw[..., [3, 0, 1, 2]])).numpy()
    return found
