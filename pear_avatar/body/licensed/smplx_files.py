"""SMPL-X model files, as their owner distributes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pear_avatar.body.joints import NUM_JOINTS, PARENTS
from pear_avatar.body.licensed.assemble_body import blended_body, read_blended_body
from pear_avatar.body.licensed.face_landmarks import CONTOUR_SET, STATIC_SET, table_sets
from pear_avatar.body.licensed.hands import HandPca, hand_from_table
from pear_avatar.body.licensed.model_files import ModelFile, open_model_file
from pear_avatar.body.model import BodyModel

__all__ = [
    "NUM_FACES",
    "NUM_VERTICES",
    "SITE",
    "VERTEX_LANDMARKS",
    "SmplxModel",
    "load_smplx",
    "read_smplx",
]

SITE = "https://smpl-x.is.tue.mpg.de"
NUM_VERTICES, NUM_FACES = 10475, 20908
_REMEDY = f"get SMPL-X v1.1 (SMPLX_NEUTRAL.npz) from its owner, {SITE}"
_TABLES = {
    STATIC_SET: ("lmk_faces_idx", "lmk_bary_coords"),
    CONTOUR_SET: ("dynamic_lmk_faces_idx", "dynamic_lmk_bary_coords"),
}

#: Vertices of SMPL-X whose meaning is commonly known.
VERTEX_LANDMARKS: dict[str, int] = {
    "nose": 9120, "right_eye": 9929, "left_eye": 9448, "right_ear": 616, "left_ear": 6,
    "right_thumb_tip": 8079, "right_index_tip": 7669, "right_middle_tip": 7794,
    "right_ring_tip": 7905, "right_pinky_tip": 8022,
    "left_thumb_tip": 5361, "left_index_tip": 4933, "left_middle_tip": 5058,
    "left_ring_tip": 5169, "left_pinky_tip": 5286,
    "left_big_toe": 5770, "left_small_toe": 5780, "left_heel": 8846,
    "right_big_toe": 8463, "right_small_toe": 8474, "right_heel": 8635,
}  # fmt: skip


@dataclass(frozen=True)
class SmplxModel:
    """One SMPL-X file.

    body:       55 joints, 10475 vertices, pose correctives, the file's own face landmarks
                ("ibug51", and "ibug_contour" for
                :func:`~pear_avatar.body.licensed.face_landmarks.face_contour`).
    left_hand, right_hand: the file's hand poses.
    """

    body: BodyModel
    left_hand: HandPca
    right_hand: HandPca
    path: Path


def load_smplx(path: Path | str) -> SmplxModel:
    """Read an SMPL-X file: npz or pkl, 300 + 100, 10 + 10 or 10 components.

    Raises:
        FileNotFoundError: there is no such file.
        ModelFileError: it is not an SMPL-X model; the message names file, key and remedy.
    """
    return read_smplx(open_model_file(path, _REMEDY))


def read_smplx(file: ModelFile) -> SmplxModel:
    """As :func:`load_smplx`, from a file already opened."""
    raw = read_blended_body(file, NUM_VERTICES, NUM_FACES, PARENTS)
    # Some early pickles lack the table of the jaw line.
    tables = {n: keys for n, keys in _TABLES.items() if n == STATIC_SET or keys[0] in file}
    sets = table_sets(file, raw.faces, NUM_JOINTS, tables)
    return SmplxModel(
        blended_body(raw, sets, "body"),
        hand_from_table(file, "hands_meanl", "hands_componentsl"),
        hand_from_table(file, "hands_meanr", "hands_componentsr"),
        file.path,
    )
