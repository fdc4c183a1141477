"""What the parts of a body that a clip never shows are probably coloured like.

A part wears a material: hands and face skin, the scalp hair, trunk and limbs cloth. What is shown
of a material, as clusters of colour with the part as guide, colours the rest of it. Cloth goes
round the body: its back takes what the front wears at the same height, splat by splat, so that a
pattern goes on; what sits on the middle of a front alone (buttons, a tie, an open jacket's shirt)
is left out by folding the middle over.
"""

from __future__ import annotations

from enum import IntEnum

import cv2
import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from pear_avatar.avatar.binding import SplatBinding
from pear_avatar.body.model import BodyModel
from pear_avatar.geometry.meshes import face_normals

#: the middle of a trunk's front, left out when the back takes after it (half width, m)
_MIDDLE = 0.055
#: how far a splat may lie from the place it takes its colour from (m), and the weight of normals
_REACH, _NORMAL_WEIGHT = 0.05, 0.015
#: height or length of the slices in which a limb's middle is found (m)
_SLICE = 0.03
#: colours (CIE Lab) nearer than this are one material
_SAME_LAB = 25.0
_SURE = 0.8
_LEAST_SKIN, _LEAST_HAND, _LEAST_HAIR = 20, 150, 40
#: face mesh points on bare skin: nose, cheeks, forehead, and how far around them skin is looked for
_SKIN_POINTS, _SKIN_REACH = (1, 50, 280, 151, 205, 425), 0.028


class Region(IntEnum):
    """Parts of a body whose material differs."""

    TRUNK = 0
    NECK = 1
    FACE = 2
    SCALP = 3
    ARM = 4
    FOREARM = 5
    HAND = 6
    THIGH = 7
    SHIN = 8
    FOOT = 9
    INSIDE = 10


_JOINTS: dict[Region, tuple[int, ...]] = {
    Region.TRUNK: (0, 3, 6, 9, 13, 14),
    Region.NECK: (12,),
    Region.FACE: (15, 22, 23, 24),
    Region.ARM: (16, 17),
    Region.FOREARM: (18, 19),
    Region.HAND: (20, 21, *range(25, 55)),
    Region.THIGH: (1, 2),
    Region.SHIN: (4, 5),
    Region.FOOT: (7, 8, 10, 11),
}
_ARMS = (Region.ARM, Region.FOREARM)
_WRAPPED = (Region.TRUNK, Region.NECK, *_ARMS, Region.THIGH, Region.SHIN)


def regions(body: BodyModel, binding: SplatBinding) -> np.ndarray:
    """(N,) of :class:`Region`, from skinning weights, the scalp and the mesh's parts."""
    corners = binding.face_vertices
    weights = body.skin_weights_t.t()[corners].mean(1)
    mass = torch.stack([weights[:, list(joints)].sum(1) for joints in _JOINTS.values()], 1)
    region = torch.tensor([int(r) for r in _JOINTS]).to(mass.device)[mass.argmax(1)]
    grown = body.scalp.float()[corners].mean(1) > 0.5
    region[grown & ((region == Region.FACE) | (region == Region.NECK))] = int(Region.SCALP)
    parts = body.face_part[binding.face_index]
    for k, name in enumerate(body.part_names):
        if name.startswith("eye_") or name in ("mouth_cavity", "tongue", "teeth"):
            region[parts == k] = int(Region.INSIDE)
    out: np.ndarray = region.cpu().numpy()
    return out


class Materials:
    """Colours for unseen splats of one body; what never changes is worked out once."""

    def __init__(self, body: BodyModel, binding: SplatBinding) -> None:
        """Places, normals and regions of the splats at rest."""
        self.region = regions(body, binding)
        self._points = binding.rest_points(body.v_template).cpu().double().numpy()
        normals = face_normals(body.v_template, binding.face_vertices)
        self._normals = normals.cpu().double().numpy()
        self._bare = _near_skin_points(body, self._points)
        self._behind = self._folded()

    def _folded(self) -> np.ndarray:
        """(N, 3) the place on the other half of the limb that each wrapped splat takes after."""
        p, region = self._points, self.region
        out = p.copy()
        for group, axis in ((_ARMS, 0), (tuple(set(_WRAPPED) - set(_ARMS)), 1)):
            own = np.isin(region, group)
            for side in (p[:, 0] > 0, p[:, 0] <= 0):
                rows = np.flatnonzero(own & side)
                if len(rows) == 0:
                    continue
                slices = np.floor(p[rows, axis] / _SLICE).astype(int)
                slices -= slices.min()
                low = np.full(slices.max() + 1, np.inf)
                high = -low
                np.minimum.at(low, slices, p[rows, 2])
                np.maximum.at(high, slices, p[rows, 2])
                out[rows, 2] = low[slices] + high[slices] - p[rows, 2]
        x = out[:, 0]
        middle = (region == Region.TRUNK) & (np.abs(x) < _MIDDLE)
        out[middle, 0] = (np.where(x < 0, -1, 1) * (2 * _MIDDLE - np.abs(x)))[middle]
        return out

    def guess(self, colors: Tensor, known: np.ndarray) -> tuple[Tensor, Tensor]:
        """Colours for splats that are not known, from those that are.

        colors (N, 3); known (N,) in [0, 1], how well each splat's own colour is known. Returns
        (N, 3) and (N,) bool: where there is a guess.
        """
        rgb = colors.detach().cpu().numpy().astype(np.float32)
        out, found = rgb.copy(), np.zeros(len(rgb), bool)
        lab = _lab(rgb)
        skin = self._skin(rgb, lab, known)
        self._wrap(rgb, known, out, found)
        self._hair(rgb, lab, known, skin, out, found=found)
        self._hands(rgb, lab, known, skin, out, found=found)
        device = colors.device
        return torch.from_numpy(out).to(device), torch.from_numpy(found).to(device)

    def _wrap(self, rgb: np.ndarray, known: np.ndarray, out: np.ndarray, found: np.ndarray) -> None:
        """Trunk and limbs take what their other half wears at the same place."""
        wrapped = np.isin(self.region, _WRAPPED)
        source = np.flatnonzero(wrapped & (known > _SURE))
        want = np.flatnonzero(wrapped & (known <= _SURE))
        if len(source) == 0 or len(want) == 0:
            return
        flip = np.array([1.0, 1.0, -1.0])
        group = 0.12 * np.eye(len(Region))[self.region]
        space = np.concatenate([self._points, _NORMAL_WEIGHT * self._normals, group], 1)
        query = np.concatenate([self._behind, _NORMAL_WEIGHT * self._normals * flip, group], 1)
        distance, nearest = cKDTree(space[source]).query(
            query[want], distance_upper_bound=_REACH, workers=-1
        )
        near = np.isfinite(distance)
        out[want[near]] = rgb[source[nearest[near]]]
        found[want[near]] = True

    def _skin(self, rgb: np.ndarray, lab: np.ndarray, known: np.ndarray) -> np.ndarray | None:
        """The skin's colour (3,) from the middle of the face; None where that is not shown."""
        face = (self.region == Region.FACE) & (known > _SURE)
        pick = face & self._bare
        if pick.sum() < _LEAST_SKIN:
            return None
        label, _ = _clusters(lab[pick], 2)
        size = np.bincount(label, minlength=2)
        light = [np.median(lab[pick][label == k, 0]) if size[k] else -1.0 for k in (0, 1)]
        # Shadow, beard and glasses are darker: the lighter of two large clusters, else the larger.
        k = int(np.argmax(light)) if size.min() > 0.25 * size.sum() else int(np.argmax(size))
        skin: np.ndarray = np.median(rgb[pick][label == k], axis=0)
        return skin

    def _hair(
        self,
        rgb: np.ndarray,
        lab: np.ndarray,
        known: np.ndarray,
        skin: np.ndarray | None,
        out: np.ndarray,
        *,
        found: np.ndarray,
    ) -> None:
        """The scalp takes the hair that is shown, that of the nearest places."""
        scalp = self.region == Region.SCALP
        source = scalp & (known > _SURE)
        if source.sum() < _LEAST_HAIR:
            source = scalp & (known > 0.1)
        if skin is not None and source.sum() >= _LEAST_HAIR:
            label, center = _clusters(lab[source], 2)
            share = np.bincount(label, minlength=2) / len(label)
            away = np.linalg.norm(center - _lab(skin[None])[0], axis=1)
            k = int(np.argmax(away * (share > 0.15)))
            source[np.flatnonzero(source)[label != k]] = False
        self._from_nearest(
            rgb, np.flatnonzero(source), scalp & (known <= _SURE), 6, out, found=found
        )

    def _hands(
        self,
        rgb: np.ndarray,
        lab: np.ndarray,
        known: np.ndarray,
        skin: np.ndarray | None,
        out: np.ndarray,
        *,
        found: np.ndarray,
    ) -> None:
        """Hands take what is shown of hands, skin where that is little."""
        hand = self.region == Region.HAND
        want = hand & (known <= _SURE)
        source = hand & (known > _SURE)
        if skin is not None:
            bare = np.linalg.norm(lab - _lab(skin[None].astype(np.float32))[0], axis=1) < _SAME_LAB
            if (source & bare).sum() > 0.3 * source.sum():
                source &= bare
        if source.sum() >= _LEAST_HAND:
            self._from_nearest(rgb, np.flatnonzero(source), want, 24, out, found=found)
        elif skin is not None:
            out[want] = skin
            found[want] = True

    def _from_nearest(
        self,
        rgb: np.ndarray,
        source: np.ndarray,
        want: np.ndarray,
        count: int,
        out: np.ndarray,
        *,
        found: np.ndarray,
    ) -> None:
        """The median of the nearest sources of either side."""
        rows = np.flatnonzero(want)
        if len(source) == 0 or len(rows) == 0:
            return
        at = self._points * [1.0, 0.5, 0.5]
        at[:, 0] = np.abs(at[:, 0])
        count = min(count, len(source))
        _, nearest = cKDTree(at[source]).query(at[rows], k=count, workers=-1)
        out[rows] = np.median(rgb[source[nearest.reshape(-1, count)]], axis=1)
        found[rows] = True


def _near_skin_points(body: BodyModel, points: np.ndarray) -> np.ndarray:
    """(N,) bool: splats near places of the face that are bare skin."""
    near = np.zeros(len(points), bool)
    if "mediapipe_face" not in body.landmark_sets:
        return near
    with torch.no_grad():
        rest = torch.eye(3).to(body.v_template).expand(body.num_joints, 3, 3)
        marks = body.shape().pose(rest).landmarks("mediapipe_face").cpu().numpy()
    for i in _SKIN_POINTS:
        near |= np.linalg.norm(points - marks[i], axis=1) < _SKIN_REACH
    return near


def _lab(rgb: np.ndarray) -> np.ndarray:
    lab: np.ndarray = cv2.cvtColor(rgb.reshape(1, -1, 3).astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    return lab


def _clusters(lab: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """k-means: labels (N,) and centres (count, 3); the same for the same input."""
    criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 40, 0.1)
    cv2.setRNGSeed(0)
    start = cv2.KMEANS_PP_CENTERS
    _, label, center = cv2.kmeans(lab.astype(np.float32), count, None, criteria, 3, start)  # type: ignore[call-overload]
    return label[:, 0], center
