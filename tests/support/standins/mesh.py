"""The open body brought to SMPL-X's, FLAME's and MANO's numbers of vertices and faces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.body.licensed import flame_files, smplx_files
from pear_avatar.body.model import BodyModel
from standins.reduce import boundary_loops, collapse_to, fill_ears, remove_faces

__all__ = [
    "MANO_FACES",
    "MANO_TIPS",
    "MANO_VERTICES",
    "StandinMesh",
    "landmark_points",
    "make_mesh",
]

MANO_VERTICES, MANO_FACES = 778, 1538

#: MANO's vertex ids of the finger tips.
MANO_TIPS = {"thumb": 744, "index": 320, "middle": 443, "ring": 554, "pinky": 671}

_HEAD = ("neck", "head", "jaw", "left_eye", "right_eye")
_HOLES = ("mouth_cavity", "eye_back.L", "eye_back.R")
_LEFT_OUT = "teeth"

#: SMPL-X's known vertices -> (landmark set of the open body, landmark).
_SOURCES: dict[str, tuple[str, int]] = {
    **{
        n: ("coco17", i)
        for i, n in enumerate(("nose", "left_eye", "right_eye", "left_ear", "right_ear"))
    },
    **{
        n: ("wholebody133", 17 + i)
        for i, n in enumerate(
            (
                "left_big_toe",
                "left_small_toe",
                "left_heel",
                "right_big_toe",
                "right_small_toe",
                "right_heel",
            )
        )
    },
    **{
        f"{side}_{f}_tip": (f"mediapipe_{side}_hand", 4 + 4 * i)
        for side in ("left", "right")
        for i, f in enumerate(("thumb", "index", "middle", "ring", "pinky"))
    },
}


@dataclass(frozen=True)
class StandinMesh:
    """Which vertices of the open body the stand-ins use.

    vertex:       (10475,) int64 of the open body, in the order of SMPL-X's stand-in.
    faces:        (20908, 3) into ``vertex``.
    head:         (5023,) FLAME's vertices among ``vertex``.
    head_faces:   (9976, 3) into ``head``.
    hands:        side -> (778,) MANO's vertices in the open body.
    hand_faces:   side -> (1538, 3) into that.
    """

    vertex: np.ndarray
    faces: np.ndarray
    head: np.ndarray
    head_faces: np.ndarray
    hands: dict[str, np.ndarray]
    hand_faces: dict[str, np.ndarray]


def make_mesh(body: BodyModel) -> StandinMesh:
    """Collapse the open body's mesh; deterministic."""
    vertices = body.v_template.double().numpy()
    skin = body.skin_weights_t.double().numpy()
    part = [body.part_names[i] for i in body.face_part.tolist()]
    faces = body.faces.numpy()[[name != _LEFT_OUT for name in part]]
    known = _known_vertices(body, np.unique(faces))
    keep = skin[[JOINT_INDEX[n] for n in _HEAD]].sum(0) > 0.01
    keep[body.joint_index[body.joint_weight > 0].numpy()] = True
    keep[list(known.values())] = True
    unused = np.setdiff1d(np.arange(len(vertices)), faces)
    stays, collapsed = collapse_to(vertices, faces, keep, smplx_files.NUM_VERTICES + len(unused))
    stays = np.setdiff1d(stays, unused)
    cavity = _faces_of(body, collapsed, _HOLES)
    surplus = len(collapsed) - smplx_files.NUM_FACES
    faces = remove_faces(collapsed, cavity, surplus)
    order = _place(stays, {smplx_files.VERTEX_LANDMARKS[n]: v for n, v in known.items()})
    head, head_faces = _head(vertices, skin, order, faces)
    hands = {side: _hand(body, side, known) for side in ("left", "right")}
    return StandinMesh(
        order,
        _renumber(order, faces, len(vertices)),
        _renumber(order, head, len(vertices)),
        _renumber(head, head_faces, len(vertices)),
        {side: hand for side, (hand, _) in hands.items()},
        {side: _renumber(hand, f, len(vertices)) for side, (hand, f) in hands.items()},
    )


def landmark_points(body: BodyModel, name: str) -> np.ndarray:
    """(L, 3) metres: one landmark set on the template."""
    points = body.landmark_set(name).gather(body.joint_template, body.v_template)
    return np.asarray(points.double().numpy())


def _known_vertices(body: BodyModel, pool: np.ndarray) -> dict[str, int]:
    vertices = body.v_template.double().numpy()
    tree = cKDTree(vertices[pool])
    return {
        name: int(pool[tree.query(landmark_points(body, source)[i])[1]])
        for name, (source, i) in _SOURCES.items()
    }


def _faces_of(body: BodyModel, faces: np.ndarray, parts: tuple[str, ...]) -> np.ndarray:
    """Faces all of whose vertices belong to one of these parts of the open body."""
    chosen = np.isin(body.face_part.numpy(), [body.part_names.index(p) for p in parts])
    inside = np.zeros(body.num_vertices, bool)
    inside[body.faces.numpy()[chosen]] = True
    inside[body.faces.numpy()[~chosen]] = False
    return np.nonzero(inside[faces].all(1))[0]


def _place(vertices: np.ndarray, wanted: dict[int, int]) -> np.ndarray:
    """The same vertices in an order that has ``wanted[place]`` at each place named."""
    order = vertices.copy()
    for place, vertex in wanted.items():
        now = int(np.nonzero(order == vertex)[0][0])
        order[[place, now]] = order[[now, place]]
    return order


def _head(
    vertices: np.ndarray, skin: np.ndarray, pool: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Head and neck, grown down the chest to FLAME's number of vertices."""
    weight = skin[[JOINT_INDEX[n] for n in _HEAD]].sum(0)
    core = pool[weight[pool] > 0.5]
    distance = cKDTree(vertices[core]).query(vertices[pool])[0]
    head = np.sort(pool[np.argsort(distance, kind="stable")[: flame_files.NUM_VERTICES]])
    return head, _with_count(vertices, _inside(faces, head, len(vertices)), flame_files.NUM_FACES)


def _hand(body: BodyModel, side: str, known: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    vertices = body.v_template.double().numpy()
    start = JOINT_INDEX[f"{side}_index1"]
    joints = [JOINT_INDEX[f"{side}_wrist"], *range(start, start + 15)]
    weight = body.skin_weights_t.double().numpy()[joints].sum(0)
    faces = _inside(body.faces.numpy(), np.nonzero(weight > 0.5)[0], len(vertices))
    tips = {MANO_TIPS[f]: known[f"{side}_{f}_tip"] for f in MANO_TIPS}
    keep = np.zeros(len(vertices), bool)
    keep[list(tips.values())] = True
    outside = len(vertices) - len(np.unique(faces))
    _, faces = collapse_to(vertices, faces, keep, MANO_VERTICES + outside)
    hand = _place(np.unique(faces), tips)
    return hand, _with_count(vertices, faces, MANO_FACES)


def _with_count(vertices: np.ndarray, faces: np.ndarray, count: int) -> np.ndarray:
    """The faces of an open mesh brought to a number near theirs at its rim."""
    if len(faces) <= count:
        return fill_ears(vertices, faces, count - len(faces))
    rim = np.concatenate(boundary_loops(faces))
    beside = np.nonzero(np.isin(faces, rim).any(1))[0]
    return remove_faces(faces, beside, len(faces) - count)


def _inside(faces: np.ndarray, vertices: np.ndarray, size: int) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[vertices] = True
    return faces[mask[faces].all(1)]


def _renumber(order: np.ndarray, index: np.ndarray, size: int) -> np.ndarray:
    place = np.full(size, -1)
    place[order] = np.arange(len(order))
    return place[index]
