"""Exact labels of a synthetic picture: parameters, points in 2D and 3D, what hides them, maps."""

from __future__ import annotations

from dataclasses import asdict
from enum import IntEnum

import numpy as np
import torch

from pear_avatar.body.joints import JOINT_NAMES
from pear_avatar.body.model import BodyModel
from pear_avatar.geometry.rotations import matrix_to_axis_angle
from pear_avatar.synthesis.drawing import Drawn
from pear_avatar.synthesis.figures import PARTS, part_of_joint
from pear_avatar.synthesis.person import Material
from pear_avatar.synthesis.scenes import Scene, Standing

FORMAT = "pear-avatar-synth-1"
#: Landmark sets that follow the 55 joints in the point arrays, in this order.
SETS = (
    "coco17",
    "wholebody133",
    "mediapipe_pose",
    "mediapipe_face",
    "mediapipe_left_hand",
    "mediapipe_right_hand",
)
#: Metres below the seen surface at which a joint still counts as seen, by its part.
_DEPTH_OF = {"head": 0.13, "torso": 0.19, "thigh": 0.14, "foot": 0.09, "hand": 0.035}
_LIMB_DEPTH = 0.085
_POINT_DEPTH = 0.03


class Visibility(IntEnum):
    """Whether a point can be seen."""

    OUTSIDE = 0
    OCCLUDED = 1
    VISIBLE = 2


def point_layout(body: BodyModel) -> dict[str, tuple[int, int]]:
    """First and one past the last index of each set in the point arrays."""
    layout, start = {"joints": (0, len(JOINT_NAMES))}, len(JOINT_NAMES)
    for name in SETS:
        count = body.landmark_set(name).count
        layout[name] = (start, start + count)
        start += count
    return layout


def label_arrays(scene: Scene, drawn: Drawn) -> dict[str, np.ndarray]:
    """The labels of the P people of a picture that have at least a joint in it, first one first.

    betas (P, S), expression (P, E), arkit (P, 52), poses (P, 55, 3) axis-angle, transl (P, 3),
    head_scale, hand_scale (P, 3): EHM-s parameters of the open body.
    K (3, 3), T_camera_world (4, 4), size (2,) width and height.
    points_world (P, L, 3) metres; points_px (P, L, 2); points_seen (P, L) uint8 of
    :class:`Visibility`; their sets are those of :func:`point_layout`.
    instance (P,) the value of each person in the instance map; coverage (P,) pixels shown.
    box_xyxy (P, 4) of the pixels shown.
    """
    view = scene.view
    owner, slack = drawn.owner(), _slack(scene.people[0].figure.shaped.model)
    rows: list[dict[str, np.ndarray]] = []
    for k, person in enumerate(scene.people):
        world = _points(person)
        pixels, z = view.project(world)
        seen = _visibility_of(pixels, z, k, owner=owner, depth=drawn.depth, slack=slack)
        if k and not (seen[: len(JOINT_NAMES)] != Visibility.OUTSIDE).any():
            continue
        shown = owner == k
        rows.append(
            {
                **_parameters(person),
                "points_world": world,
                "points_px": pixels,
                "points_seen": seen,
                "instance": np.array(k + 1, np.uint8),
                "coverage": np.array(shown.sum(), np.int32),
                "box_xyxy": _box(shown),
            }
        )
    stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    camera = {
        "K": view.K,
        "T_camera_world": view.T_camera_world,
        "size": np.array([view.width, view.height], np.int32),
    }
    return stacked | camera


def _parameters(person: Standing) -> dict[str, np.ndarray]:
    axis_angle = matrix_to_axis_angle(person.rotations.double()).float().numpy()
    ones = np.ones(3, np.float32)
    return {
        "betas": person.figure.betas.astype(np.float32),
        "expression": person.expression.astype(np.float32),
        "arkit": person.actions.astype(np.float32),
        "poses": axis_angle,
        "transl": person.transl,
        "head_scale": ones,
        "hand_scale": ones,
    }


def _points(person: Standing) -> np.ndarray:
    """(L, 3) joints and all landmark sets; expressions move the face's points."""
    shaped = person.figure.shaped.model.shape(
        torch.from_numpy(person.figure.betas), torch.from_numpy(person.expression)
    )
    with torch.no_grad():
        posed = shaped.pose(person.rotations, torch.from_numpy(person.transl))
        sets = posed.landmarks_many(*SETS)
        points: np.ndarray = torch.cat([posed.joints, *sets]).numpy()
    return points


def _visibility_of(
    pixels: np.ndarray,
    z: np.ndarray,
    k: int,
    *,
    owner: np.ndarray,
    depth: np.ndarray,
    slack: np.ndarray,
) -> np.ndarray:
    """(L,) uint8 of :class:`Visibility`.

    A point is seen where its own person is the surface at its pixel and lies no further above it
    than flesh and clothes do; landmarks of the skin may lie less deep than joints.
    """
    height, width = depth.shape
    inside = (z > 0.05) & (pixels >= 0).all(1) & (pixels < [width, height]).all(1)
    column = np.clip(pixels[:, 0], 0, width - 1).astype(int)
    row = np.clip(pixels[:, 1], 0, height - 1).astype(int)
    near = depth[row, column] > z - slack
    visible = inside & near & (owner[row, column] == k)
    # Seen past a thin edge: nothing of any person lies before the point.
    visible |= inside & (depth[row, column] > z + 0.25)
    hidden = np.where(inside, Visibility.OCCLUDED, Visibility.OUTSIDE)
    return np.where(visible, Visibility.VISIBLE, hidden).astype(np.uint8)


def _slack(body: BodyModel) -> np.ndarray:
    """(L,) metres of flesh and cloth that may lie over each point."""
    joints = []
    for joint, part in enumerate(part_of_joint()):
        name = PARTS[part]
        depth = _DEPTH_OF.get(name, _DEPTH_OF.get(name.split("_")[-1], _LIMB_DEPTH))
        trunk = "shoulder" in JOINT_NAMES[joint] or "hip" in JOINT_NAMES[joint]
        joints.append(0.15 if trunk else depth)
    slack = np.full(max(end for _, end in point_layout(body).values()), _POINT_DEPTH)
    slack[: len(joints)] = joints
    for name, (start, end) in point_layout(body).items():
        # Detectors' body points lie inside the limbs, as joints do.
        if name in ("coco17", "mediapipe_pose"):
            slack[start:end] = 0.10
        elif name == "wholebody133":
            slack[start : start + 23] = 0.10
    return slack


def _box(shown: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(shown.any(1))[0], np.nonzero(shown.any(0))[0]
    if not len(rows):
        return np.zeros(4, np.float32)
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def label_maps(scene: Scene, drawn: Drawn) -> dict[str, np.ndarray]:
    """Pictures of labels at pixel centres.

    classes: (H, W, 3) uint8: instance (0 no person, person k + 1, props 255), part
             (:data:`~pear_avatar.synthesis.figures.PARTS`), material + 1.
    depth:   (H, W) uint16 millimetres, 0 where no person is (and beyond 65 m).
    normals: (H, W, 3) uint8, (n + 1) / 2 * 255 in the camera's axes, 0 where no person is.
    """
    owner = drawn.owner()
    instance = np.where(owner < 0, 0, np.where(owner < len(scene.people), owner + 1, 255))
    count = int(drawn.first_ids[-1])
    part, material = np.zeros(count + 1, np.uint8), np.zeros(count + 1, np.uint8)
    for k, person in enumerate(scene.people):
        own = slice(int(drawn.first_ids[k]), int(drawn.first_ids[k + 1]))
        part[own], material[own] = person.figure.part, person.figure.material + 1
    ids = np.where(drawn.ids < 0, count, drawn.ids)
    covered = drawn.ids >= 0
    depth = np.where(covered & (drawn.depth < 65), drawn.depth, 0)
    normals = np.where(covered[..., None], np.round((drawn.normals + 1) * 127.5), 0)
    return {
        "classes": np.stack([instance.astype(np.uint8), part[ids], material[ids]], -1),
        "depth": np.round(depth * 1000).astype(np.uint16),
        "normals": normals.astype(np.uint8),
    }


def describe(body: BodyModel) -> dict[str, object]:
    """What a reader needs to know once for a whole set."""
    return {
        "format": FORMAT,
        "points": {name: list(span) for name, span in point_layout(body).items()},
        "joint_names": list(JOINT_NAMES),
        "parts": list(PARTS),
        "materials": ["none", *(m.name.lower() for m in Material)],
        "seen": {s.name.lower(): int(s) for s in Visibility},
        "arkit_names": list(body.arkit_names),
        "world": "y up, metres, floor at y = 0; T_camera_world maps it to OpenCV axes",
        "pixels": "centres at +0.5",
    }


def describe_picture(scene: Scene) -> dict[str, object]:
    """Who is in the picture and how it was taken, for JSON."""
    return {
        "framing": scene.view.framing,
        "people": [asdict(p.figure.attributes) for p in scene.people],
        "props": len(scene.props),
    }
