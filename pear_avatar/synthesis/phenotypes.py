"""Body shapes by name: betas of the open body from sex, age, weight, height and the like."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np

#: anny's phenotypes, in the order of :func:`quadratic`'s columns. All lie in [0, 1]; gender 0 is
#: male, age .6 is about eighteen and 1 about ninety years, height .37 is average.
NAMES = (
    "gender", "age", "muscle", "weight", "height", "proportions", "cupsize", "firmness",
    "african", "asian", "caucasian",
)  # fmt: skip

_ASSET = "assets/phenotypes.npz"


@dataclass(frozen=True)
class Phenotypes:
    """A quadratic map from phenotypes to betas.

    weight: (Q, S) coefficients of :func:`quadratic`'s features.
    spread: (S,) standard deviation of betas among ordinary adults.
    """

    weight: np.ndarray
    spread: np.ndarray

    def betas(self, **values: float) -> np.ndarray:
        """(S,) betas of a body with these phenotypes; those left out are average.

        Raises:
            ValueError: a name is unknown.
        """
        unknown = sorted(set(values) - set(NAMES))
        if unknown:
            raise ValueError(f"unknown phenotype {unknown[0]!r}; there are: {', '.join(NAMES)}")
        average = dict.fromkeys(NAMES, 0.5) | {"age": 0.7, "height": 0.37}
        average |= dict.fromkeys(("african", "asian", "caucasian"), 1 / 3)
        row = np.array([[(average | values)[name] for name in NAMES]])
        betas: np.ndarray = (quadratic(row) @ self.weight)[0].astype(np.float32)
        return betas


def quadratic(values: np.ndarray) -> np.ndarray:
    """Features (N, Q) of phenotypes (N, P): one, the values with their bends, and all products.

    anny blends between a lean, an average and a heavy body (and likewise for muscle, height and
    age), so those values also come as their part beyond the middle.
    """
    bends = [
        (NAMES.index("weight"), 0.5),
        (NAMES.index("muscle"), 0.5),
        (NAMES.index("height"), 0.5),
        (NAMES.index("age"), 2 / 3),
    ]
    bent = np.stack([np.maximum(values[:, i] - middle, 0) for i, middle in bends], 1)
    values = np.concatenate([values, bent], axis=1)
    first, second = np.triu_indices(values.shape[1])
    products = values[:, first] * values[:, second]
    return np.concatenate([np.ones((len(values), 1)), values, products], axis=1)


@lru_cache(maxsize=1)
def load_phenotypes() -> Phenotypes:
    """The map that ships with the package; read once."""
    asset = resources.files("pear_avatar.synthesis").joinpath(_ASSET)
    with asset.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
        return Phenotypes(data["weight"], data["spread"])
