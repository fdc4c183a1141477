"""A synthetic person: the open body in shirt, trousers and shoes, with hair, from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from pear_avatar.body.model import BodyModel
from pear_avatar.synthesis import paint
from pear_avatar.synthesis.assembly import Assembly, Piece, Skin
from pear_avatar.synthesis.layers import (
    LegCut,
    TopCut,
    hair_field,
    layer,
    leg_field,
    shoe,
    top_field,
)
from pear_avatar.synthesis.person import Material, Person, Recipe


@dataclass(frozen=True)
class Look:
    """Choices of one seed. Colours are RGB triples in [0, 1]."""

    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    iris: tuple[float, float, float]
    shirt: tuple[float, float, float]
    accent: tuple[float, float, float]
    trousers: tuple[float, float, float]
    shoes: tuple[float, float, float]
    pattern: str
    sleeve: float


def make_look(seed: int) -> Look:
    """The colours, pattern and sleeve length of a seed; seed 0 wears a blue checked shirt."""
    rng = np.random.default_rng([seed, 1])
    skins = ((0.86, 0.66, 0.55), (0.74, 0.53, 0.41), (0.55, 0.37, 0.28), (0.91, 0.73, 0.64))
    hairs = ((0.20, 0.13, 0.09), (0.08, 0.07, 0.07), (0.42, 0.29, 0.16), (0.33, 0.16, 0.09))
    irises = ((0.33, 0.22, 0.14), (0.28, 0.42, 0.55), (0.30, 0.40, 0.25))
    shirts = (
        ((0.30, 0.44, 0.66), (0.86, 0.88, 0.90)),
        ((0.62, 0.22, 0.22), (0.90, 0.84, 0.76)),
        ((0.26, 0.48, 0.38), (0.88, 0.88, 0.80)),
        ((0.80, 0.70, 0.48), (0.34, 0.30, 0.34)),
    )
    trousers = ((0.20, 0.22, 0.28), (0.24, 0.32, 0.46), (0.55, 0.48, 0.38))
    shoes = ((0.72, 0.70, 0.68), (0.30, 0.20, 0.15), (0.55, 0.20, 0.20))
    picks = [0] * 7 if seed == 0 else [int(rng.integers(0, 1 << 16)) for _ in range(7)]
    shirt, accent = shirts[picks[3] % len(shirts)]
    return Look(
        skin=skins[picks[0] % len(skins)],
        hair=hairs[picks[1] % len(hairs)],
        iris=irises[picks[2] % len(irises)],
        shirt=shirt,
        accent=accent,
        trousers=trousers[picks[4] % len(trousers)],
        shoes=shoes[picks[5] % len(shoes)],
        pattern=("checked", "striped")[picks[6] % 2],
        sleeve=(0.42, 0.93)[picks[6] // 2 % 2],
    )


def make_betas(seed: int, num_betas: int) -> np.ndarray:
    """(S,) shape coefficients of a seed: an ordinary build, a face of its own."""
    rng = np.random.default_rng([seed, 2])
    spread = np.full(num_betas, 0.6, np.float32)
    spread[:4] = 0.5  # height and weight, kept ordinary
    spread[40:] = 0.0
    betas: np.ndarray = rng.normal(size=num_betas).clip(-1.5, 1.5).astype(np.float32) * spread
    return betas


def make_person(body: BodyModel, seed: int) -> Person:
    """Shape, dress and label the open body.

    Args:
        body: the open body.
        seed: any non-negative integer.
    """
    look, betas = make_look(seed), make_betas(seed, body.num_betas)
    skin = Skin.of(body, betas)
    top = TopCut(sleeve=look.sleeve, cuff=0.006 if look.sleeve > 0.7 else 0.016)
    legs = LegCut()
    marks, template = skin.landmarks, skin.template
    fields = {
        Material.SHIRT: top_field(marks, template, top),
        Material.TROUSERS: leg_field(marks, template, legs),
        Material.HAIR: hair_field(marks, template),
    }
    assembly = Assembly()
    assembly.add(_visible_skin(skin, fields))
    assembly.add(layer(skin, Material.TROUSERS, fields[Material.TROUSERS], legs, 12))
    assembly.add(layer(skin, Material.SHIRT, fields[Material.SHIRT], top, 24))
    assembly.add(layer(skin, Material.HAIR, fields[Material.HAIR], None, 8))
    for side in ("left", "right"):
        assembly.add(shoe(skin, side))
    return Person(
        betas=betas,
        expression_index=np.arange(body.num_vertices),
        expression=body.expression_dirs.numpy().astype(np.float32),
        recipes=_recipes(skin, look),
        **assembly.arrays(),
    )


def _visible_skin(skin: Skin, fields: dict[Material, np.ndarray]) -> Piece:
    """The body itself, without the skin that is covered well inside a garment."""
    covered = np.max(list(fields.values()), axis=0)
    ankle = skin.landmarks["left_ankle"][1]
    hidden = (
        (fields[Material.SHIRT] > 0.035)
        | (fields[Material.TROUSERS] > 0.035)
        | (fields[Material.HAIR] > 0.02)
        | (skin.template[:, 1] < ankle + 0.005)
    )
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


def _recipes(skin: Skin, look: Look) -> dict[Material, Recipe]:
    """How the classic materials are painted."""
    marks = skin.landmarks
    return {
        Material.SKIN: Recipe(partial(paint.skin, marks, look.skin, look.hair), 0.10),
        Material.EYE: Recipe(partial(paint.eyes, marks, look.iris), 0.5),
        Material.MOUTH: Recipe(partial(paint.mouth, marks), 0.2),
        Material.TEETH: Recipe(paint.teeth, 0.3),
        Material.SHIRT: Recipe(
            partial(paint.shirt, marks, (look.shirt, look.accent), look.pattern), 0.02
        ),
        Material.TROUSERS: Recipe(partial(paint.trousers, marks, look.trousers), 0.02),
        Material.SHOE: Recipe(partial(paint.shoe, look.shoes), 0.15),
        Material.HAIR: Recipe(partial(paint.hair, marks, look.hair), 0.12),
    }
