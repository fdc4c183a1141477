"""People and props ready to be drawn many times: baked colours, sparse skinning, labels a face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from pear_avatar.body.joints import JOINT_NAMES
from pear_avatar.body.model import BodyModel, ShapedBody
from pear_avatar.body.skinning import SkinTable, linear_blend_skinning
from pear_avatar.geometry.native_mesh import MeshColors
from pear_avatar.synthesis.attributes import Attributes
from pear_avatar.synthesis.mesh_colors import bake
from pear_avatar.synthesis.person import Capsules, Person
from pear_avatar.synthesis.tailor import dress_person

#: Parts of the part map; 0 is no person.
PARTS = (
    "none", "head", "torso", "left_upper_arm", "right_upper_arm", "left_forearm",
    "right_forearm", "left_hand", "right_hand", "left_thigh", "right_thigh", "left_calf",
    "right_calf", "left_foot", "right_foot",
)  # fmt: skip
#: The part of each joint.
_PART_OF = {
    "pelvis": "torso", "spine1": "torso", "spine2": "torso", "spine3": "torso",
    "neck": "head", "head": "head", "jaw": "head", "left_eye": "head", "right_eye": "head",
} | {
    f"{side}_{joint}": f"{side}_{part}" if part != "torso" else "torso"
    for side in ("left", "right")
    for joint, part in (
        ("collar", "torso"), ("shoulder", "upper_arm"), ("elbow", "forearm"), ("wrist", "hand"),
        ("hip", "thigh"), ("knee", "calf"), ("ankle", "foot"), ("foot", "foot"),
    )
}  # fmt: skip


def part_of_joint() -> np.ndarray:
    """(55,) uint8 index into :data:`PARTS`; fingers belong to the hands."""
    index = [
        PARTS.index(_PART_OF[name] if name in _PART_OF else f"{name.split('_')[0]}_hand")
        for name in JOINT_NAMES
    ]
    return np.asarray(index, np.uint8)


@dataclass(frozen=True)
class Figure:
    """One person, dressed and baked; V vertices, F faces.

    attributes: who it is. betas: (S,). shaped: the naked shape, for joints and landmarks.
    rest: (V, 3). table, weights_t: skinning. expression_index, expression: as of the person.
    faces: (F, 3) int32. two_sided: (F,) uint8. colors: baked.
    part, material: (F,) uint8. loose, limbs: as of the person.
    """

    attributes: Attributes
    betas: np.ndarray
    shaped: ShapedBody
    rest: np.ndarray
    table: SkinTable
    weights_t: torch.Tensor
    expression_index: np.ndarray
    expression: np.ndarray
    faces: np.ndarray
    two_sided: np.ndarray
    colors: MeshColors
    part: np.ndarray
    material: np.ndarray
    loose: np.ndarray
    limbs: Capsules | None

    def pose(self, transforms: torch.Tensor, expression: np.ndarray) -> np.ndarray:
        """(V, 3) float32 posed vertices; ``transforms`` (55, 3, 4) from rest to posed."""
        rest = self.rest.copy()
        rest[self.expression_index] += self.expression @ expression
        with torch.no_grad():
            posed: np.ndarray = linear_blend_skinning(
                torch.from_numpy(rest), transforms, self.weights_t, self.table
            ).numpy()
        if self.limbs is not None:
            moved = self.limbs.push_out(posed[self.loose], transforms.numpy())
            posed[self.loose] = moved
        return posed


def make_figure(body: BodyModel, attributes: Attributes, texel: float = 0.007) -> Figure:
    """Dress and bake a person; ``texel`` is metres between texels on the body."""
    person = dress_person(body, attributes)
    table, weights_t = _sparse_weights(person.weights)
    return Figure(
        attributes=attributes,
        betas=person.betas,
        shaped=body.shape(torch.from_numpy(person.betas)),
        rest=np.ascontiguousarray(person.rest, np.float32),
        table=table,
        weights_t=weights_t,
        expression_index=person.expression_index,
        expression=person.expression,
        faces=np.ascontiguousarray(person.faces, np.int32),
        two_sided=person.two_sided.astype(np.uint8),
        colors=bake(person, texel, 0.36 * texel),
        part=_face_parts(person),
        material=person.material,
        loose=person.loose,
        limbs=person.limbs,
    )


def _sparse_weights(weights: np.ndarray, most: int = 8) -> tuple[SkinTable, torch.Tensor]:
    """The largest few weights of each vertex, renormalised, as the C++ core reads them."""
    order = np.argsort(-weights, axis=1, kind="stable")[:, :most]
    kept = np.take_along_axis(weights, order, 1)
    kept = (kept / kept.sum(1, keepdims=True)).astype(np.float32)
    dense = np.zeros_like(weights)
    np.put_along_axis(dense, order, kept, 1)
    table = SkinTable(torch.from_numpy(order.astype(np.int32)), torch.from_numpy(kept))
    return table, torch.from_numpy(np.ascontiguousarray(dense.T))


def _face_parts(person: Person) -> np.ndarray:
    """(F,) uint8: the part whose joints move a face most."""
    share = np.zeros((len(person.rest), len(PARTS)), np.float32)
    for joint, part in enumerate(part_of_joint()):
        share[:, part] += person.weights[:, joint]
    chosen: np.ndarray = share[person.faces].sum(1).argmax(1).astype(np.uint8)
    return chosen
