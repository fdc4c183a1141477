"""Dressed people: the open body shaped, clothed and painted by attributes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from scipy.spatial import cKDTree

from pear_avatar.body.model import BodyModel
from pear_avatar.synthesis import complexion, fabric, paint
from pear_avatar.synthesis.accessories import glasses, gloves, hat
from pear_avatar.synthesis.assembly import Assembly, Piece, Skin
from pear_avatar.synthesis.attributes import Attributes
from pear_avatar.synthesis.garments import cut_mesh
from pear_avatar.synthesis.hair import beard_piece, hair_pieces
from pear_avatar.synthesis.layers import (
    LegCut,
    TopCut,
    hair_field,
    layer,
    leg_field,
    lifted,
    shoe,
    top_field,
)
from pear_avatar.synthesis.noise import ValueNoise
from pear_avatar.synthesis.person import Material, Person, Recipe
from pear_avatar.synthesis.phenotypes import load_phenotypes
from pear_avatar.synthesis.tubes import TubeCut, collar, leg_capsules, tube

_TOPS = {
    "t-shirt": TopCut(sleeve=0.42, vee=0.02, chest=0.012, belly=0.020, cuff=0.018),
    "shirt": TopCut(sleeve=0.93, cuff=0.008),
    "jumper": TopCut(
        sleeve=0.96,
        hem=0.06,
        collar=0.012,
        vee=0.0,
        chest=0.020,
        belly=0.030,
        cuff=0.010,
        extra=0.004,
    ),
    "vest": TopCut(sleeve=-0.04, collar=0.055, vee=0.05, chest=0.009, belly=0.022),
}
_OUTERS = {
    "jacket": TopCut(
        sleeve=0.97,
        hem=0.03,
        collar=0.018,
        chest=0.026,
        belly=0.024,
        cuff=0.020,
        extra=0.012,
        opening=0.050,
    ),
    "coat": TopCut(
        sleeve=0.97,
        hem=-0.02,
        collar=0.018,
        chest=0.030,
        belly=0.022,
        cuff=0.022,
        extra=0.014,
        opening=0.030,
    ),
    "hoodie": TopCut(
        sleeve=0.98,
        hem=0.05,
        collar=0.008,
        vee=0.0,
        chest=0.032,
        belly=0.028,
        cuff=0.016,
        extra=0.012,
    ),
}
_BOTTOMS = {
    "trousers": LegCut(),
    "jeans": LegCut(hem=0.070, ease=0.007),
    "wide": LegCut(hem=0.112, ease=0.016, waist_ease=0.008),
    "shorts": LegCut(end=0.42, hem=0.098, ease=0.020, waist_ease=0.008),
}
#: Metres inside one garment from which nothing below it can be seen.
_HIDDEN = 0.035
_HIDDEN_SKIN = 0.02


def make_betas(attributes: Attributes, num_betas: int) -> np.ndarray:
    """(S,) shape coefficients: the named phenotypes, and a face of the seed's own."""
    phenotypes = load_phenotypes()
    rng = np.random.default_rng([attributes.seed, 7])
    african, asian, caucasian = attributes.ancestry
    named = phenotypes.betas(
        gender=0.0 if attributes.sex == "male" else 1.0,
        age=0.62 + 0.38 * (attributes.age - 18) / 72,
        muscle=0.5 + 1.3 * (attributes.muscle - 0.5),
        weight=0.5 + 1.9 * (attributes.weight - 0.5),  # the basis holds thinner spreads than life
        height=0.36 + 0.26 * (attributes.stature - 0.5),
        cupsize=float(rng.uniform(0.3, 0.7)),
        proportions=float(rng.uniform(0.4, 0.8)),
        african=african,
        asian=asian,
        caucasian=caucasian,
    )
    own = rng.standard_normal(len(named)).clip(-2, 2) * phenotypes.spread
    betas = np.zeros(num_betas, np.float32)
    betas[: len(named)] = named + 0.9 * own
    return betas


def dress_person(body: BodyModel, attributes: Attributes) -> Person:
    """Shape, dress and paint the open body.

    Args:
        body: the open body.
        attributes: who it becomes; :func:`~pear_avatar.synthesis.attributes.sample_attributes`
            draws them from a seed.
    """
    betas = make_betas(attributes, body.num_betas)
    skin = Skin.of(body, betas)
    wardrobe = _Wardrobe(skin, attributes)
    assembly = Assembly()
    layers = wardrobe.pieces()
    assembly.add(wardrobe.visible_skin())
    for piece in layers:
        assembly.add(piece)
    index, expression = _expression(body, skin, assembly)
    arrays = assembly.arrays()
    return Person(
        betas=betas,
        expression_index=index,
        expression=expression,
        recipes=recipes(skin, attributes),
        limbs=leg_capsules(skin, 0.022) if len(arrays["loose"]) else None,
        **arrays,
    )


def _expression(body: BodyModel, skin: Skin, assembly: Assembly) -> tuple[np.ndarray, np.ndarray]:
    """Vertices that expressions move, a beard's among them, and their directions."""
    dirs = body.expression_dirs.numpy().astype(np.float32)
    moved = np.nonzero(np.abs(dirs).max((1, 2)) > 1e-5)[0]
    index, directions, start = [moved], [dirs[moved]], 0
    for piece in assembly.pieces:
        if piece.material is Material.BEARD:
            own = np.arange(start, start + len(piece.rest))
            near = cKDTree(skin.rest[moved]).query(piece.rest)[1]
            index.append(own)
            directions.append(dirs[moved[near]])
        start += len(piece.rest)
    return np.concatenate(index), np.concatenate(directions)


class _Wardrobe:
    """The garments of one person: their fields on the template and their pieces."""

    def __init__(self, skin: Skin, who: Attributes) -> None:
        self._skin, self._who = skin, who
        self._noise = ValueNoise(who.seed)
        marks, p = skin.landmarks, skin.template
        self._top = self._fitted_top()
        self._fields = {Material.SHIRT: top_field(marks, p, self._top)}
        if who.bottom.kind in _BOTTOMS:
            self._fields[Material.TROUSERS] = leg_field(marks, p, _BOTTOMS[who.bottom.kind])
        if who.outer.kind != "none":
            self._outer_cut = self._fitted_outer()
            self._fields[Material.OUTER] = top_field(marks, p, self._outer_cut)
        if who.hair.cut not in ("bald", "buzz"):
            self._fields[Material.HAIR] = hair_field(marks, p, who.hair.recession)
        if who.gloves is not None:
            self._fields[Material.GLOVE] = np.abs(p[:, 0]) - marks["left_wrist"][0] + 0.02

    def _fitted_top(self) -> TopCut:
        top = _TOPS[self._who.top.kind]
        if self._who.bottom.kind in ("skirt", "long skirt"):
            top = replace(top, belly=0.4 * top.belly, hem=-0.06)  # tucked in
        if self._who.outer.kind in ("jacket", "coat", "hoodie"):
            top = replace(top, chest=0.8 * top.chest, belly=0.5 * top.belly, extra=0.0)
            top = replace(top, sleeve=min(top.sleeve, 0.9), cuff=min(top.cuff, 0.008))
        return top

    def _fitted_outer(self) -> TopCut:
        cut = _OUTERS[self._who.outer.kind]
        if self._who.bottom.kind in ("skirt", "long skirt") and self._who.outer.kind != "coat":
            return replace(cut, hem=-0.09, belly=cut.belly + 0.02)  # ends above the flare
        return cut

    def visible_skin(self) -> Piece:
        """The body without the skin that is well covered."""
        skin = self._skin
        covered = np.max(list(self._fields.values()), axis=0).astype(np.float32)
        hidden = covered > _HIDDEN_SKIN
        if Material.HAIR in self._fields:
            hidden |= self._fields[Material.HAIR] > 0.02
        if self._who.shoes != "bare":
            hidden |= skin.template[:, 1] < skin.landmarks["left_ankle"][1] + 0.005
        material = skin.body_material()
        seen = np.nonzero(~hidden[skin.faces].all(1) | (material != Material.SKIN))[0]
        return Piece(
            rest=skin.rest,
            weights=skin.weights,
            faces=skin.faces[seen],
            material=material[seen],
            two_sided=False,
            paint_xyz=skin.template,
            paint_inset=covered,
            body_face=seen,
        )

    def pieces(self) -> list[Piece]:
        """Everything that is worn or grows."""
        who, skin = self._who, self._skin
        pieces = self._below()
        pieces.append(self._covered(self._shirt(), Material.OUTER))
        pieces += self._outer(pieces[:1])
        pieces += hair_pieces(skin, who.hair, who.seed, float(who.hat != "none"))
        beard = beard_piece(skin, who.beard, who.seed)
        pieces += [beard] if beard is not None else []
        pieces += glasses(skin, who.glasses) + hat(skin, who.hat)
        if who.shoes != "bare":
            pieces += [shoe(skin, side) for side in ("left", "right")]
        if who.shoes == "boots" and who.bottom.kind not in ("trousers", "jeans", "wide"):
            pieces.append(self._shaft())
        return pieces + (gloves(skin) if who.gloves is not None else [])

    def _below(self) -> list[Piece]:
        who, skin = self._who, self._skin
        if who.bottom.kind in _BOTTOMS:
            cut = _BOTTOMS[who.bottom.kind]
            return [layer(skin, Material.TROUSERS, self._fields[Material.TROUSERS], cut, 12)]
        hip, knee, ankle = (skin.shaped[f"left_{n}"][1] for n in ("hip", "knee", "ankle"))
        bottom = knee + 0.08 if who.bottom.kind == "skirt" else ankle + 0.12
        hanging = TubeCut(top=hip + 0.14, bottom=bottom, flare=0.26, ease=0.010)
        inner = np.concatenate([self._hips(), self._shirt().rest])
        return [tube(skin, Material.SKIRT, hanging, inner, self._noise)]

    def _hips(self) -> np.ndarray:
        """Trunk and legs without the arms."""
        skin = self._skin
        shoulder = skin.landmarks["left_shoulder"][0]
        rest: np.ndarray = skin.rest[np.abs(skin.template[:, 0]) < shoulder + 0.06]
        return rest

    def _shirt(self) -> Piece:
        return layer(self._skin, Material.SHIRT, self._fields[Material.SHIRT], self._top, 24)

    def _covered(self, piece: Piece, by: Material) -> Piece:
        """A piece without the faces that another garment hides."""
        field = self._fields.get(by)
        if field is None or piece.body_face is None:
            return piece
        hidden = (field > _HIDDEN)[self._skin.faces[piece.body_face]].all(1)
        keep = ~hidden
        return replace(piece, faces=piece.faces[keep], body_face=piece.body_face[keep])

    def _outer(self, below: list[Piece]) -> list[Piece]:
        who, skin = self._who, self._skin
        if who.outer.kind == "none":
            return []
        cut = self._outer_cut
        coat = layer(skin, Material.OUTER, self._fields[Material.OUTER], cut, 24)
        pieces = [coat]
        if who.outer.kind == "coat":
            hip, knee = skin.shaped["left_hip"][1], skin.shaped["left_knee"][1]
            tail = TubeCut(
                top=hip + 0.16,
                bottom=knee - 0.02,
                flare=0.16,
                ease=0.006,
                opening=0.03,
                folds=0.006,
            )
            trunk = coat.rest[np.abs(coat.paint_xyz[:, 0]) < 0.19]
            inner = np.concatenate([self._hips(), trunk, *(p.rest for p in below)])
            pieces.append(tube(skin, Material.OUTER, tail, inner, self._noise))
        tall = 0.055 if who.outer.kind == "hoodie" else 0.042
        turned = collar(skin, coat, tall, 0.2 if who.outer.kind == "hoodie" else 0.55)
        return pieces + ([turned] if turned is not None else [])

    def _shaft(self) -> Piece:
        """The leg of a boot."""
        skin = self._skin
        ankle = skin.landmarks["left_ankle"][1]
        y = skin.template[:, 1]
        field = np.minimum(ankle + 0.13 - y, y - ankle + 0.03).astype(np.float32)
        own = np.nonzero(skin.in_parts("body", "foot.L", "foot.R"))[0]
        piece = cut_mesh(skin.faces[own], field)
        amount = np.full(len(piece.first), 0.011, np.float32)
        shaft = lifted(skin, Material.SHOE, piece, own, amount, inset=piece.carry(field), steps=6)
        high = shaft.paint_inset
        frame = np.stack([0 * high + 0.04, 0.1 + high, 0 * high], 1)
        return replace(shaft, paint_xyz=frame)


def recipes(skin: Skin, who: Attributes) -> dict[Material, Recipe]:
    """How each material of a person is painted."""
    marks, noise, seed = skin.landmarks, ValueNoise(who.seed + 101), who.seed
    gray = float(np.clip((who.age - 40) / 50, 0, 0.7))
    red, green, blue = (0.8 * c for c in who.hair.color)
    return {
        Material.SKIN: Recipe(partial(complexion.skin, marks, who, noise), 0.10),
        Material.EYE: Recipe(partial(complexion.eyes, marks, who.iris), 0.5),
        Material.MOUTH: Recipe(partial(paint.mouth, marks), 0.2),
        Material.TEETH: Recipe(paint.teeth, 0.3),
        Material.SHIRT: Recipe(
            partial(fabric.top, marks, who.top.kind, who.top.cloth, seed=seed), 0.02
        ),
        Material.OUTER: Recipe(
            partial(fabric.outer, marks, who.outer.kind, who.outer.cloth, seed=seed), 0.03
        ),
        Material.TROUSERS: Recipe(
            partial(fabric.bottom, marks, who.bottom.kind, who.bottom.cloth, seed=seed), 0.02
        ),
        Material.SKIRT: Recipe(partial(fabric.skirt, who.bottom.cloth, seed), 0.02),
        Material.SHOE: Recipe(partial(fabric.shoe, who.shoe_color, who.shoes), 0.15),
        Material.HAIR: Recipe(partial(complexion.hair, who.hair.color, gray, noise), 0.12),
        Material.BEARD: Recipe(partial(complexion.hair, (red, green, blue), gray, noise), 0.06),
        Material.FRAME: Recipe(partial(fabric.plain, (0.10, 0.09, 0.09), 0.0), 0.4),
        Material.LENS: Recipe(partial(fabric.plain, (0.07, 0.07, 0.08), 0.0), 0.7),
        Material.HAT: Recipe(partial(fabric.plain, who.hat_color, 0.05), 0.02),
        Material.GLOVE: Recipe(partial(fabric.plain, who.gloves or (0.2, 0.2, 0.2), 0.06), 0.05),
    }
