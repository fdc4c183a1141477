"""Shape space: principal components of adult bodies sampled from anny's phenotypes.

The mesh is exactly symmetric, so each sample stands for itself and its mirror image. Their
components split into symmetric and antisymmetric ones, found separately (which is cheaper) and
merged by variance. The mean shape is then exactly symmetric, and mirroring a body flips the
signs of the antisymmetric coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tools.build_body.anny_source import MEAN_HEIGHT, Source

_FACE_GROUPS = ("cheek", "chin", "ear", "eyebrows", "eye", "forehead", "head", "mouth", "nose")
# They move or tilt the whole head, which is the pose's business.
_NOT_SHAPE = ("head-trans-up", "head-trans-forward", "head-trans-out", "head-angle-out")
_FACE_SPREAD = 0.35
_MEASURE_SPREAD = 0.25
_FLIP = np.array([-1.0, 1.0, 1.0])
_BLOCK = 1000  # vertices


@dataclass(frozen=True)
class ShapeSamples:
    """Bodies in T-pose with the root bone at the origin.

    vertices:   (N, V, 3) metres, float32 (hundreds of bodies in float64 would not fit everywhere).
    bone_heads: (N, B, 3) metres.
    """

    vertices: np.ndarray
    bone_heads: np.ndarray


@dataclass(frozen=True)
class ShapeBasis:
    """mean (V, 3) and directions (V, 3, K), one standard deviation a unit coefficient.

    antisymmetric (K,): the coefficients whose sign a mirrored body flips.
    """

    mean: np.ndarray
    directions: np.ndarray
    antisymmetric: np.ndarray


def sample_shapes(source: Source, rotations: np.ndarray, count: int, seed: int) -> ShapeSamples:
    """Draw ``count`` adults: both sexes, any build, any face, real-world heights."""
    rng = np.random.default_rng(seed)
    phenotypes = _sample_phenotypes(source.phenotypes, count, rng)
    changes = sample_local_changes(source.local_changes, count, rng)
    return ShapeSamples(*source.posed(rotations, phenotypes, changes))


def _sample_phenotypes(names: list[str], count: int, rng: np.random.Generator) -> np.ndarray:
    def uniform() -> np.ndarray:
        return rng.random(count)

    values = {name: (uniform() + uniform()) / 2 for name in names}
    values["gender"] = (uniform() > 0.5) * 0.8 + 0.2 * uniform()
    values["age"] = 0.6 + 0.4 * uniform()
    values["height"] = np.clip(MEAN_HEIGHT + 0.06 * rng.standard_normal(count), 0.1, 0.9)
    ancestry = rng.standard_exponential((count, 3))
    for column, name in enumerate(("african", "asian", "caucasian")):
        values[name] = ancestry[:, column] / ancestry.sum(axis=1)
    return np.stack([values[name] for name in names], axis=1)


def sample_local_changes(names: list[str], count: int, rng: np.random.Generator) -> np.ndarray:
    """(N, L) of anny's local changes: faces of their own, measures a little, both sides alike."""
    changes = np.zeros((count, len(names)))
    for i, name in enumerate(names):
        group = name.removeprefix("l-").removeprefix("r-").split("-")[0]
        if group in _FACE_GROUPS and name not in _NOT_SHAPE:
            changes[:, i] = _FACE_SPREAD * rng.standard_normal(count)
        elif group == "measure":
            changes[:, i] = _MEASURE_SPREAD * rng.standard_normal(count)
    for i, name in enumerate(names):
        if name.startswith("r-"):
            left = names.index("l-" + name[2:])
            changes[:, i] = 0.9 * changes[:, left] + 0.1 * changes[:, i]
    return np.clip(changes, -1.0, 1.0)


def shape_basis(vertices: np.ndarray, mirror: np.ndarray, components: int) -> ShapeBasis:
    """Principal components of (N, V, 3) samples and their mirror images.

    Both halves of a body contribute the same to the inner products of (anti)symmetric samples, so
    one half is enough; the few vertices of the middle then count twice. Samples are widened to
    float64 a block at a time.
    """
    n = len(vertices)
    mean = vertices.mean(axis=0, dtype=np.float64)
    mean = 0.5 * (mean + mean[mirror] * _FLIP)
    half = np.nonzero(mean[:, 0] >= 0.0)[0]
    blocks = np.array_split(half, max(1, len(half) // _BLOCK))
    grams = np.zeros((2, n, n))
    for block in blocks:
        for gram, part in zip(grams, _split(vertices, mean, mirror, block), strict=True):
            gram += 2.0 * part @ part.T
    values, vectors = np.linalg.eigh(grams)
    values = values[:, ::-1][:, :components].clip(min=0.0)
    order = np.argsort(-values.ravel(), kind="stable")[:components]
    picked = [order[order < components], order[order >= components] - components]
    directions = np.empty((len(mean), 3, components))
    position = [np.nonzero(order < components)[0], np.nonzero(order >= components)[0]]
    for block in blocks:
        parts = _split(vertices, mean, mirror, block)
        for kind, sign in ((0, 1.0), (1, -1.0)):
            weights = vectors[kind][:, ::-1][:, picked[kind]] / np.sqrt(n - 1)
            found = (parts[kind].T @ weights).reshape(len(block), 3, -1)
            directions[mirror[block][:, None], :, position[kind]] = np.moveaxis(
                sign * found * _FLIP[:, None], -1, 1
            )
            directions[block[:, None], :, position[kind]] = np.moveaxis(found, -1, 1)
    flat = directions.reshape(-1, components)
    # Eigenvectors have no sign of their own: let the largest entry be positive.
    directions *= np.sign(flat[np.abs(flat).argmax(axis=0), np.arange(components)])
    return ShapeBasis(mean=mean, directions=directions, antisymmetric=order >= components)


def _split(
    vertices: np.ndarray, mean: np.ndarray, mirror: np.ndarray, block: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric and antisymmetric parts (N, 3 B) of the samples' offsets at a block of vertices."""
    own = vertices[:, block].astype(np.float64) - mean[block]
    other = (vertices[:, mirror[block]].astype(np.float64) - mean[mirror[block]]) * _FLIP
    n = len(vertices)
    return (0.5 * (own + other)).reshape(n, -1), (0.5 * (own - other)).reshape(n, -1)


def held_out_errors(basis: ShapeBasis, vertices: np.ndarray, count: int) -> np.ndarray:
    """(N, V) metres between unseen bodies and their best fit by the first ``count`` directions."""
    B = basis.directions[..., :count].reshape(-1, count)
    offset = (vertices - basis.mean).reshape(len(vertices), -1)
    fitted = np.linalg.solve(B.T @ B, B.T @ offset.T)
    residual = offset - (B @ fitted).T
    return np.asarray(np.linalg.norm(residual.reshape(len(vertices), -1, 3), axis=-1))
