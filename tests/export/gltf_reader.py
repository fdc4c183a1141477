"""An independent evaluation of glTF files: parsed by pygltflib, posed here from the text of the
specification in float64 NumPy, with every set of influences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pygltflib

_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class GltfReader:
    """A file's numbers, and its mesh in the pose of any time of its animation."""

    def __init__(self, path: Any) -> None:
        self.gltf = pygltflib.GLTF2().load(str(path))
        if self.gltf.buffers[0].uri:
            self.gltf.convert_buffers(pygltflib.BufferFormat.BINARYBLOB)
        self.blob = self.gltf.binary_blob()
        self.primitive = self.gltf.meshes[0].primitives[0]
        self.target_names = (self.gltf.meshes[0].extras or {}).get("targetNames", [])

    def numbers(self, index: int) -> np.ndarray:
        """(count, width) of an accessor, sparse ones filled in."""
        a = self.gltf.accessors[index]
        width, dtype = _WIDTHS[a.type], np.dtype(_DTYPES[a.componentType])
        if a.bufferView is None:
            out = np.zeros((a.count, width), dtype)
        else:
            out = self._view(a.bufferView, a.byteOffset or 0, dtype, a.count * width)
            out = out.reshape(a.count, width).copy()
        if a.sparse is not None:
            s = a.sparse
            kind = np.dtype(_DTYPES[s.indices.componentType])
            rows = self._view(s.indices.bufferView, s.indices.byteOffset or 0, kind, s.count)
            values = self._view(
                s.values.bufferView, s.values.byteOffset or 0, dtype, s.count * width
            )
            out[rows] = values.reshape(s.count, width)
        if a.min:
            assert np.allclose(out.min(0), a.min, atol=1e-6)
            assert np.allclose(out.max(0), a.max, atol=1e-6)
        return out

    def _view(self, index: int, offset: int, dtype: np.dtype, count: int) -> np.ndarray:
        view = self.gltf.bufferViews[index]
        start = (view.byteOffset or 0) + offset
        assert start % dtype.itemsize == 0
        return np.frombuffer(self.blob, dtype, count, start)

    def attribute(self, name: str) -> np.ndarray:
        return self.numbers(getattr(self.primitive.attributes, name))

    def target(self, name: str) -> np.ndarray:
        """(M, 3) of a morph target by name."""
        return self.numbers(self.primitive.targets[self.target_names.index(name)]["POSITION"])

    def vertices(self, time: float) -> np.ndarray:
        """(M, 3) skinned vertices at a time of the animation."""
        world, weights = self.pose(time)
        rest = self.attribute("POSITION").astype(np.float64)
        for target, weight in zip(self.primitive.targets or [], weights, strict=True):
            if weight:
                rest += weight * self.numbers(target["POSITION"])
        skin = self.gltf.skins[0]
        bind = self.numbers(skin.inverseBindMatrices).astype(np.float64)
        bind = bind.reshape(-1, 4, 4).transpose(0, 2, 1)  # columns come first in the file
        matrices = world[skin.joints] @ bind
        blended = np.zeros((len(rest), 4, 4))
        total = np.zeros(len(rest))
        for part in (0, 1):
            if getattr(self.primitive.attributes, f"JOINTS_{part}", None) is None:
                continue
            joints, w = self.attribute(f"JOINTS_{part}"), self.attribute(f"WEIGHTS_{part}")
            blended += np.einsum("vk,vkij->vij", w.astype(np.float64), matrices[joints])
            total += w.sum(1)
        assert np.allclose(total, 1, atol=1e-5)
        return np.einsum("vij,vj->vi", blended[:, :3, :3], rest) + blended[:, :3, 3]

    def pose(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """(nodes, 4, 4) world matrices and (targets,) weights at a time."""
        values: dict[tuple[int, str], np.ndarray] = {}
        for channel in self.gltf.animations[0].channels if self.gltf.animations else []:
            sampler = self.gltf.animations[0].samplers[channel.sampler]
            keys = self.numbers(sampler.input)[:, 0].astype(np.float64)
            out = self.numbers(sampler.output).astype(np.float64).reshape(len(keys), -1)
            low = int(np.clip(np.searchsorted(keys, time, "right") - 1, 0, max(len(keys) - 2, 0)))
            high = min(low + 1, len(keys) - 1)
            span = keys[high] - keys[low]
            share = np.clip((time - keys[low]) / span, 0, 1) if span else 0.0
            mixed = (1 - share) * out[low] + share * out[high]
            if channel.target.path == "rotation":
                mixed /= np.linalg.norm(mixed)  # close keys: as good as slerp
            values[channel.target.node, channel.target.path] = mixed
        nodes = self.gltf.nodes
        world = np.tile(np.eye(4), (len(nodes), 1, 1))
        parent = {c: i for i, n in enumerate(nodes) for c in n.children or []}
        for i, n in enumerate(nodes):  # parents come before children in our files
            x, y, z, w = values.get((i, "rotation"), np.array(n.rotation or [0, 0, 0, 1.0]))
            local = np.eye(4)
            local[:3, :3] = [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
            local[:3, 3] = values.get((i, "translation"), np.array(n.translation or [0, 0, 0]))
            world[i] = world[parent[i]] @ local if i in parent else local
        mesh_node = next(i for i, n in enumerate(nodes) if n.mesh is not None)
        count = len(self.primitive.targets or [])
        return world, values.get((mesh_node, "weights"), np.zeros(count))
