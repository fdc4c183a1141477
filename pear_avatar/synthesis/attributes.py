"""Who a synthetic person is and what it wears, by name or drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

Color = tuple[float, float, float]

SEXES = ("female", "male")
HAIR_CUTS = ("bald", "buzz", "short", "quiff", "curly", "bob", "long", "ponytail", "bun")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")
TOPS = ("t-shirt", "shirt", "jumper", "vest")
OUTERS = ("none", "jacket", "coat", "hoodie")
BOTTOMS = ("trousers", "jeans", "wide", "shorts", "skirt", "long skirt")
SHOES = ("trainers", "boots", "bare")
PATTERNS = ("plain", "checked", "striped", "pinstriped", "dotted", "blocks", "print", "floral")
GLASSES = ("none", "thin", "thick", "sunglasses")
HATS = ("none", "cap", "beanie", "brim")


@dataclass(frozen=True)
class Cloth:
    """Colours (display RGB in [0, 1]) and one of :data:`PATTERNS`."""

    color: Color = (0.30, 0.44, 0.66)
    accent: Color = (0.86, 0.88, 0.90)
    pattern: str = "plain"


@dataclass(frozen=True)
class Garment:
    """A piece of clothing: its kind and its cloth."""

    kind: str
    cloth: Cloth = field(default_factory=Cloth)


@dataclass(frozen=True)
class Hair:
    """One of :data:`HAIR_CUTS`; volume 1 is usual; wave 0 is straight, 1 strongly wavy.

    recession: metres by which the hairline above the forehead has gone back. fringe: 0 to 1, how
    far the front covers the forehead. length: scales long hair.
    """

    cut: str = "short"
    color: Color = (0.20, 0.13, 0.09)
    volume: float = 1.0
    wave: float = 0.0
    recession: float = 0.0
    fringe: float = 0.0
    length: float = 1.0


@dataclass(frozen=True)
class Attributes:
    """Everything that decides how a synthetic person looks.

    seed:      of what has no name: the face, the spots, the folds.
    sex:       one of :data:`SEXES`. age: years, 18 to 90.
    stature:   0 short to 1 tall, .5 average for the sex. weight, muscle: 0 to 1.
    ancestry:  shares of african, asian and caucasian shapes; they sum to 1.
    skin, iris: colours. freckles, blush, makeup: 0 to 1.
    beard:     one of :data:`BEARDS`. glasses: of :data:`GLASSES`. hat: of :data:`HATS`.
    hat_color, shoe_color: colours.
    top, outer, bottom: garments; ``outer`` may be of kind "none".
    shoes:     one of :data:`SHOES`. gloves: a colour or None.

    Raises:
        ValueError: a kind is not in its list.
    """

    seed: int = 0
    sex: str = "female"
    age: float = 30.0
    stature: float = 0.5
    weight: float = 0.5
    muscle: float = 0.5
    ancestry: tuple[float, float, float] = (0.33, 0.33, 0.34)
    skin: Color = (0.86, 0.66, 0.55)
    iris: Color = (0.33, 0.22, 0.14)
    freckles: float = 0.0
    blush: float = 0.4
    makeup: float = 0.0
    hair: Hair = field(default_factory=Hair)
    beard: str = "none"
    glasses: str = "none"
    hat: str = "none"
    hat_color: Color = (0.2, 0.2, 0.25)
    top: Garment = field(default_factory=lambda: Garment("t-shirt"))
    outer: Garment = field(default_factory=lambda: Garment("none"))
    bottom: Garment = field(default_factory=lambda: Garment("trousers"))
    shoes: str = "trainers"
    shoe_color: Color = (0.72, 0.70, 0.68)
    gloves: Color | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("sex", self.sex, SEXES), ("hair", self.hair.cut, HAIR_CUTS),
            ("beard", self.beard, BEARDS), ("glasses", self.glasses, GLASSES),
            ("hat", self.hat, HATS), ("top", self.top.kind, TOPS),
            ("outer", self.outer.kind, OUTERS), ("bottom", self.bottom.kind, BOTTOMS),
            ("shoes", self.shoes, SHOES), ("pattern of the top", self.top.cloth.pattern, PATTERNS),
        ):  # fmt: skip
            if value not in known:
                raise ValueError(f"{name} {value!r} is unknown; there are: {', '.join(known)}")


#: Six people who differ in everything that changes a silhouette, for benchmarks and pictures.
CAST: dict[str, Attributes] = {
    "ada": Attributes(
        seed=11,
        sex="female",
        age=27,
        stature=0.55,
        weight=0.35,
        ancestry=(0.05, 0.05, 0.9),
        skin=(0.91, 0.72, 0.62),
        iris=(0.30, 0.42, 0.52),
        freckles=0.7,
        makeup=0.3,
        hair=Hair("long", (0.50, 0.26, 0.12), wave=0.6),
        top=Garment("t-shirt", Cloth((0.86, 0.84, 0.78), (0.72, 0.22, 0.20), "striped")),
        bottom=Garment("skirt", Cloth((0.16, 0.24, 0.38))),
        shoes="trainers",
        shoe_color=(0.82, 0.80, 0.78),
    ),
    "bruno": Attributes(
        seed=12,
        sex="male",
        age=44,
        stature=0.5,
        weight=0.78,
        muscle=0.45,
        ancestry=(0.1, 0.1, 0.8),
        skin=(0.80, 0.60, 0.48),
        iris=(0.30, 0.22, 0.14),
        hair=Hair("short", (0.16, 0.11, 0.08), recession=0.012),
        beard="full",
        top=Garment("t-shirt", Cloth((0.36, 0.40, 0.34))),
        outer=Garment("jacket", Cloth((0.20, 0.24, 0.34), (0.45, 0.36, 0.26))),
        bottom=Garment("jeans", Cloth((0.20, 0.30, 0.44))),
        shoes="boots",
        shoe_color=(0.30, 0.20, 0.13),
    ),
    "chidi": Attributes(
        seed=13,
        sex="male",
        age=24,
        stature=0.7,
        weight=0.35,
        muscle=0.75,
        ancestry=(0.92, 0.04, 0.04),
        skin=(0.36, 0.23, 0.16),
        iris=(0.16, 0.10, 0.07),
        hair=Hair("buzz", (0.05, 0.04, 0.04)),
        beard="goatee",
        top=Garment("vest", Cloth((0.88, 0.66, 0.16), (0.12, 0.12, 0.14), "print")),
        bottom=Garment("shorts", Cloth((0.16, 0.17, 0.19))),
        shoe_color=(0.85, 0.30, 0.18),
    ),
    "dai": Attributes(
        seed=14,
        sex="female",
        age=35,
        stature=0.4,
        weight=0.45,
        ancestry=(0.03, 0.94, 0.03),
        skin=(0.88, 0.70, 0.56),
        iris=(0.18, 0.11, 0.07),
        makeup=0.6,
        hair=Hair("bob", (0.06, 0.05, 0.05), fringe=1.0),
        glasses="thick",
        top=Garment("jumper", Cloth((0.62, 0.20, 0.24))),
        outer=Garment("coat", Cloth((0.66, 0.55, 0.40))),
        bottom=Garment("trousers", Cloth((0.14, 0.14, 0.16))),
        shoe_color=(0.14, 0.12, 0.12),
        shoes="boots",
    ),
    "elif": Attributes(
        seed=15,
        sex="female",
        age=22,
        stature=0.6,
        weight=0.42,
        muscle=0.6,
        ancestry=(0.25, 0.15, 0.6),
        skin=(0.70, 0.49, 0.36),
        iris=(0.28, 0.30, 0.18),
        hair=Hair("ponytail", (0.13, 0.08, 0.06)),
        top=Garment("shirt", Cloth((0.30, 0.50, 0.42), (0.90, 0.90, 0.84), "checked")),
        bottom=Garment("jeans", Cloth((0.42, 0.50, 0.60))),
        shoe_color=(0.90, 0.88, 0.86),
    ),
    "franz": Attributes(
        seed=16,
        sex="male",
        age=71,
        stature=0.42,
        weight=0.55,
        muscle=0.3,
        ancestry=(0.02, 0.03, 0.95),
        skin=(0.90, 0.70, 0.62),
        iris=(0.32, 0.42, 0.50),
        blush=0.9,
        hair=Hair("bald", (0.78, 0.77, 0.75)),
        beard="moustache",
        glasses="thin",
        top=Garment("shirt", Cloth((0.80, 0.84, 0.90), (0.30, 0.40, 0.60), "pinstriped")),
        bottom=Garment("wide", Cloth((0.46, 0.40, 0.32))),
        shoe_color=(0.24, 0.15, 0.10),
    ),
    "grace": Attributes(
        seed=17,
        sex="female",
        age=52,
        stature=0.45,
        weight=0.75,
        ancestry=(0.85, 0.05, 0.1),
        skin=(0.46, 0.30, 0.21),
        iris=(0.18, 0.11, 0.07),
        makeup=0.5,
        hair=Hair("curly", (0.10, 0.08, 0.08), volume=1.1),
        top=Garment("t-shirt", Cloth((0.90, 0.86, 0.80), (0.80, 0.36, 0.20), "floral")),
        bottom=Garment("long skirt", Cloth((0.50, 0.16, 0.24))),
        shoe_color=(0.16, 0.14, 0.14),
    ),
    "hugo": Attributes(
        seed=18,
        sex="male",
        age=31,
        stature=0.75,
        weight=0.45,
        ancestry=(0.1, 0.3, 0.6),
        skin=(0.84, 0.64, 0.50),
        iris=(0.20, 0.30, 0.20),
        hair=Hair("quiff", (0.42, 0.28, 0.14)),
        beard="stubble",
        top=Garment("t-shirt", Cloth((0.90, 0.90, 0.88))),
        outer=Garment("hoodie", Cloth((0.44, 0.46, 0.48), (0.80, 0.40, 0.16), "blocks")),
        bottom=Garment("trousers", Cloth((0.30, 0.34, 0.28))),
        shoe_color=(0.20, 0.22, 0.26),
    ),
}

#: Skin from very light to very dark (display RGB), about the six Fitzpatrick types.
_TONES = np.array(
    [(0.94, 0.79, 0.72), (0.90, 0.71, 0.60), (0.82, 0.61, 0.48), (0.68, 0.47, 0.34),
     (0.48, 0.31, 0.22), (0.30, 0.20, 0.15)]
)  # fmt: skip
_HAIR_COLORS = (
    (0.07, 0.06, 0.06), (0.14, 0.10, 0.08), (0.24, 0.15, 0.09), (0.36, 0.23, 0.13),
    (0.52, 0.38, 0.22), (0.70, 0.55, 0.34), (0.46, 0.22, 0.10),
)  # fmt: skip
_DYED = ((0.60, 0.16, 0.30), (0.22, 0.34, 0.62), (0.20, 0.48, 0.40))
_IRISES = ((0.18, 0.11, 0.07), (0.33, 0.22, 0.14), (0.30, 0.40, 0.25), (0.28, 0.42, 0.55))


def sample_attributes(seed: int) -> Attributes:
    """A random adult in random clothes; the same seed gives the same person."""
    rng = np.random.default_rng([seed, 5])
    sex = SEXES[int(rng.integers(2))]
    age = float(np.clip(18 + 70 * rng.beta(1.3, 2.0), 18, 88))
    ancestry = rng.dirichlet((0.5, 0.5, 0.6))
    melanin = float(np.clip(ancestry @ (0.82, 0.34, 0.22) + 0.13 * rng.standard_normal(), 0, 1))
    return Attributes(
        seed=seed,
        sex=sex,
        age=age,
        stature=float(np.clip(0.5 + 0.17 * rng.standard_normal(), 0.05, 0.95)),
        weight=float(np.clip(0.5 + 0.18 * rng.standard_normal(), 0.05, 0.98)),
        muscle=float(np.clip(0.5 + 0.18 * rng.standard_normal(), 0.05, 0.98)),
        ancestry=(float(ancestry[0]), float(ancestry[1]), float(ancestry[2])),
        skin=_tone(melanin, rng),
        iris=_IRISES[min(int(rng.integers(0, 4)), 0 if melanin > 0.6 else 3)],
        freckles=float(rng.random() * (rng.random() < 0.3) * (melanin < 0.4)),
        blush=float(rng.random()),
        makeup=float(rng.random() * (sex == "female") * (rng.random() < 0.6)),
        hair=_hair(sex, age, melanin, rng),
        beard=_pick(rng, BEARDS, (5, 2, 0.7, 1, 1.6)) if sex == "male" else "none",
        glasses=_pick(rng, GLASSES, (7, 1.2, 1.2, 0.7)),
        hat=_pick(rng, HATS, (8, 1, 0.7, 0.5)),
        hat_color=_dye(rng),
        top=Garment(_pick(rng, TOPS, (4, 3, 2, 1)), _cloth(rng)),
        outer=Garment(_pick(rng, OUTERS, (6, 1.5, 1.2, 1.2)), _cloth(rng, plain=0.75)),
        bottom=_bottom(sex, rng),
        shoes=_pick(rng, SHOES, (6, 2.5, 0.6)),
        shoe_color=_dye(rng, calm=True),
        gloves=_dye(rng) if rng.random() < 0.05 else None,
    )


def recoloured(attributes: Attributes, seed: int) -> Attributes:
    """The same body and cuts in other colours: skin, hair, eyes and cloth anew."""
    rng = np.random.default_rng([seed, 6])
    melanin = float(np.clip(rng.beta(1.2, 1.6), 0, 1))
    cloths = [_cloth(rng), _cloth(rng, plain=0.75), _cloth(rng, plain=0.8)]
    return replace(
        attributes,
        skin=_tone(melanin, rng),
        iris=_IRISES[int(rng.integers(4))],
        hair=replace(attributes.hair, color=_hair_color(attributes.age, melanin, rng)),
        hat_color=_dye(rng),
        top=replace(attributes.top, cloth=cloths[0]),
        outer=replace(attributes.outer, cloth=cloths[1]),
        bottom=replace(attributes.bottom, cloth=cloths[2]),
        shoe_color=_dye(rng, calm=True),
    )


def _pick(rng: np.random.Generator, names: tuple[str, ...], shares: tuple[float, ...]) -> str:
    weight = np.asarray(shares, float)
    return names[int(rng.choice(len(names), p=weight / weight.sum()))]


def _rgb(values: np.ndarray) -> Color:
    r, g, b = np.clip(values, 0.02, 0.98)
    return float(r), float(g), float(b)


def _tone(melanin: float, rng: np.random.Generator) -> Color:
    place = melanin * (len(_TONES) - 1)
    tone = [np.interp(place, np.arange(len(_TONES)), _TONES[:, c]) for c in range(3)]
    warm = 1 + 0.03 * rng.standard_normal(3)
    return _rgb(np.asarray(tone) * warm)


def _hair_color(age: float, melanin: float, rng: np.random.Generator) -> Color:
    dark = 3 if melanin > 0.45 else len(_HAIR_COLORS)
    color = np.asarray(_HAIR_COLORS[int(rng.integers(dark))])
    if rng.random() < 0.03:
        color = np.asarray(_DYED[int(rng.integers(len(_DYED)))])
    gray = np.clip((age - 40) / 35 + 0.25 * rng.standard_normal(), 0, 1) * (age > 38)
    return _rgb(color * (1 - gray) + 0.74 * gray)


def _hair(sex: str, age: float, melanin: float, rng: np.random.Generator) -> Hair:
    shares = (
        (0.1, 0.3, 1.0, 0.4, 1.0, 2.2, 3.0, 2.0, 1.2)
        if sex == "female"
        else (1.2, 1.6, 4.0, 1.8, 1.2, 0.25, 0.5, 0.25, 0.2)
    )
    old = np.clip((age - 30) / 40, 0, 1) * (sex == "male")
    return Hair(
        cut=_pick(rng, HAIR_CUTS, shares),
        color=_hair_color(age, melanin, rng),
        volume=float(np.exp(0.25 * rng.standard_normal())),
        wave=float(rng.random() ** 2),
        recession=float(0.03 * old * rng.random()),
        fringe=float(rng.random() * (rng.random() < 0.45)),
        length=float(np.exp(0.25 * rng.standard_normal())),
    )


def _dye(rng: np.random.Generator, calm: bool = False) -> Color:
    """A colour that clothes have: many grays, blues and earths, a few loud ones."""
    hue, value = rng.random(), float(rng.choice([0.15, 0.3, 0.5, 0.7, 0.88]))
    loud = rng.random() < (0.12 if calm else 0.35)
    saturation = rng.uniform(0.4, 0.75) if loud else rng.uniform(0.0, 0.3)
    k = (np.array([5.0, 3.0, 1.0]) + hue * 6) % 6
    rgb = value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)
    return _rgb(rgb + 0.02 * rng.standard_normal(3))


def _cloth(rng: np.random.Generator, plain: float = 0.45) -> Cloth:
    pattern = "plain" if rng.random() < plain else PATTERNS[int(rng.integers(1, len(PATTERNS)))]
    return Cloth(_dye(rng), _dye(rng), pattern)


def _bottom(sex: str, rng: np.random.Generator) -> Garment:
    shares = (2, 3, 1, 1.2, 1.6, 1) if sex == "female" else (3, 4, 1, 1.8, 0, 0)
    kind = _pick(rng, BOTTOMS, shares)
    if kind == "jeans":
        blue = rng.uniform(0.25, 1.0) * np.array([0.45, 0.56, 0.72]) + 0.02
        return Garment(kind, Cloth(_rgb(blue), _dye(rng)))
    return Garment(kind, _cloth(rng, plain=0.8))
