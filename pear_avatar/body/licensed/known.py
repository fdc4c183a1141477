"""Points that mean the same on the open body and on SMPL-X."""

from __future__ import annotations

import torch

from pear_avatar.body.joints import NUM_JOINTS
from pear_avatar.body.landmarks import LandmarkSet
from pear_avatar.body.licensed.face_landmarks import CONTOUR_SET, STATIC_SET
from pear_avatar.body.licensed.smplx_files import VERTEX_LANDMARKS
from pear_avatar.body.model import BodyModel
from pear_avatar.body.topology import COCO_NAMES, FOOT_NAMES, WHOLE_BODY_PARTS
from pear_avatar.body.transfer import KnownSets

__all__ = ["known_sets"]

_CONTOUR, _STATIC = 17, 51
#: The inner corners and rims of eyes and lips; the jaw line is only roughly the same.
_HEAD_NAMES = COCO_NAMES[:5]
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")


def known_sets(source: BodyModel, smplx: BodyModel) -> KnownSets:
    """SMPL-X's known vertices and its iBUG points, and their like on the open body."""
    pairs = [("coco17", i, n) for i, n in enumerate(_HEAD_NAMES)]
    pairs += [
        ("wholebody133", WHOLE_BODY_PARTS["feet"].start + i, n) for i, n in enumerate(FOOT_NAMES)
    ]
    pairs += [
        (f"mediapipe_{side}_hand", 4 + 4 * i, f"{side}_{f}_tip")
        for side in ("left", "right")
        for i, f in enumerate(_FINGERS)
    ]
    names = [name for _, _, name in pairs if "eye" not in name]
    picked = [_row(source, s, i) for s, i, name in pairs if "eye" not in name]
    first = WHOLE_BODY_PARTS["face"].start + _CONTOUR
    picked += [_row(source, "wholebody133", first + i) for i in range(_STATIC)]
    own = [VERTEX_LANDMARKS[n] + NUM_JOINTS for n in names]
    static = smplx.landmark_set(STATIC_SET)
    known = LandmarkSet(
        torch.tensor(own)[:, None].expand(-1, 3),
        torch.tensor([[1.0, 0.0, 0.0]]).expand(len(own), 3),
        torch.zeros(len(own)),
    )
    target = [known, static]
    if CONTOUR_SET in smplx.landmark_sets:  # row 0: the head looks straight ahead
        contour = smplx.landmark_set(CONTOUR_SET)
        target.append(LandmarkSet(*(v[:_CONTOUR] for v in vars(contour).values())))
        picked += [
            _row(source, "wholebody133", WHOLE_BODY_PARTS["face"].start + i)
            for i in range(_CONTOUR)
        ]
    return KnownSets(_stack(picked), _stack(target))


def _row(body: BodyModel, name: str, i: int) -> LandmarkSet:
    marks = body.landmark_set(name)
    return LandmarkSet(marks.index[i : i + 1], marks.weight[i : i + 1], marks.sigma[i : i + 1])


def _stack(sets: list[LandmarkSet]) -> LandmarkSet:
    """Several sets as one, padded to the widest."""
    width = max(s.index.shape[1] for s in sets)

    def wide(values: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(values, (0, width - values.shape[1]))

    return LandmarkSet(
        torch.cat([wide(s.index) for s in sets]),
        torch.cat([wide(s.weight) for s in sets]),
        torch.cat([s.sigma for s in sets]),
    )
