"""Run with a Python that has Blender's ``bpy``: FILE OUT.npy TIME... -> one JSON line.

Imports a glTF file and writes the evaluated mesh at given times, in Blender's own axes (z up).
"""

from __future__ import annotations

import json
import sys

import bpy
import numpy as np

path, out, *times = sys.argv[1:]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=path)
scene = bpy.context.scene
armature = next(o for o in bpy.data.objects if o.type == "ARMATURE")
body = next(o for o in bpy.data.objects if o.type == "MESH" and o.vertex_groups)
frames = []
for time in times:
    frame = float(time) * scene.render.fps
    scene.frame_set(int(frame // 1), subframe=frame % 1)
    mesh = body.evaluated_get(bpy.context.evaluated_depsgraph_get()).to_mesh()
    flat = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", flat)
    world = np.array(body.matrix_world)
    frames.append(flat.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3])
np.save(out, np.array(frames, np.float32))
print(
    json.dumps(
        {
            "bones": [b.name for b in armature.data.bones],
            "shape_keys": [k.name for k in body.data.shape_keys.key_blocks],
            "uv": [layer.name for layer in body.data.uv_layers],
        }
    )
)
