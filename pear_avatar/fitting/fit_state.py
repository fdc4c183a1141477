"""Everything the joint fit changes, how it starts, and how it survives a kill."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from pear_avatar.avatar.binding import SplatBinding, sample_mirror_pairs, sample_surface
from pear_avatar.body.model import BodyModel
from pear_avatar.fitting.adam import RowAdam, SmoothAdam, SmoothSolver
from pear_avatar.fitting.fit_config import FittingConfig
from pear_avatar.geometry.meshes import mesh_edges
from pear_avatar.geometry.symmetry import mesh_mirror
from pear_avatar.io.replacing import MARK
from pear_avatar.io.tensors import read_tensors, write_tensors
from pear_avatar.splatting.skin_and_bind import SkinnedSplats
from pear_avatar.types import BodyParams

CHECKPOINT_VERSION = 4

#: splat parameters: name -> width of a row
SPLAT_WIDTHS = {
    "offsets": 3,
    "local_quats": 4,
    "log_scales": 3,
    "logit_opacities": 0,
    "colors": 3,
}
#: standard deviation of a new splat along and across the surface, over the spacing; at 0.6
#: pinholes show where the fit never sharpens them
_WIDTH, _THICKNESS = 0.75, 0.2
#: largest spacing of splats over the median one, behind the skin and on it, where the views
#: decide on the density
_HIDDEN_SPACING, _SEEN_SPACING = 1.5, 4.0


@dataclass
class Progress:
    """Where the fit stands: the stage, steps done in it, seconds spent, and its curves."""

    stage: str = "start"
    step: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass
class FitState:
    """The fit's only mutable object.

    binding:   where the splats sit; skinned: the tables that carry them along.
    splats:    parameter name -> leaf tensor (see :data:`SPLAT_WIDTHS`).
    moments:   name -> (mean, mean square) of Adam for every dense parameter.
    cloth:     vertex offsets (V, 3) with their smoothed Adam.
    poses:     corrections of the tracked pose, one row a crop: axis-angle of the 55 joints
               applied after the tracked rotation, translation, and expression.
    betas:     (S,) refined; log_focal: () change of the log focal length.
    seen:      (N,) in [0, 1], how well the video shows each splat.
    mirrored:  (N,) in [0, 1], how much of its looks each splat has from its partner on the
               other side.
    log_scales0: (N, 3) scales at the start, from the spacing.
    """

    binding: SplatBinding
    skinned: SkinnedSplats
    splats: dict[str, Tensor]
    moments: dict[str, tuple[Tensor, Tensor]]
    cloth: SmoothAdam
    poses: dict[str, RowAdam]
    betas: Tensor
    log_focal: Tensor
    seen: Tensor
    mirrored: Tensor
    log_scales0: Tensor
    progress: Progress


def splat_density(body: BodyModel) -> Tensor:
    """(F,) relative splats per area: more on the head and hands, few in the cavities."""
    face = body.skin_weights_t.t()[body.faces].mean(1)
    head = face[:, [12, 15, 22, 23, 24]].sum(1)
    hands = face[:, 25:].sum(1) + face[:, 20:22].sum(1)
    density = 1 + 2.5 * (head > 0.5) + 1.5 * (hands > 0.5)
    for k, name in enumerate(body.part_names):
        if any(word in name for word in ("cavity", "teeth", "tongue", "eye_back")):
            density[body.face_part == k] = 0.08
    return density


def _binding(
    body: BodyModel, betas: Tensor, density: Tensor | None, config: FittingConfig
) -> SplatBinding:
    """Splats on the body's surface, in mirror pairs where the settings ask for them."""
    prior = splat_density(body)
    limit = None if density is None else torch.where(prior < 0.5, _HIDDEN_SPACING, _SEEN_SPACING)
    vertices = body.shape(betas).vertices()
    surface = (vertices, body.faces, prior if density is None else density)
    symmetry = mesh_mirror(body.v_template, body.faces) if config.sides.mirror else None
    count, seed = config.num_splats, config.seed
    if symmetry is None:
        return sample_surface(*surface, count, seed, max_spacing=limit)
    return sample_mirror_pairs(*surface, count, seed, mirror=symmetry, max_spacing=limit)


def new_state(
    body: BodyModel,
    betas: Tensor,
    num_frames: int,
    config: FittingConfig,
    density: Tensor | None = None,
) -> FitState:
    """A fresh state on the CPU: splats on the tracked body's surface, grey, no corrections.

    ``density`` (F,): relative splats per area; None takes :func:`splat_density`.
    """
    binding = _binding(body, betas, density, config)
    n = binding.count
    log_scales = (binding.spacing * _WIDTH).log()[:, None].repeat(1, 3)
    log_scales[:, 2] = (binding.spacing * _THICKNESS).log()
    splats = {
        "offsets": torch.zeros(n, 3),
        "local_quats": torch.tensor([1.0, 0, 0, 0]).repeat(n, 1),
        "log_scales": log_scales,
        "logit_opacities": torch.full((n,), 3.0),
        "colors": torch.full((n, 3), 0.5),
    }
    solver = SmoothSolver(mesh_edges(body.faces).numpy(), body.num_vertices, 20.0)
    state = FitState(
        binding=binding,
        skinned=binding.skinned(body),
        splats=splats,
        moments={},
        cloth=SmoothAdam.zeros(body.num_vertices, solver),
        poses={
            "rotations": RowAdam.zeros(num_frames, 3 * body.num_joints),
            "transl": RowAdam.zeros(num_frames, 3),
            "expression": RowAdam.zeros(num_frames, body.num_expression),
        },
        betas=betas[: config.num_betas].clone(),
        log_focal=torch.zeros(()),
        seen=torch.ones(n),
        mirrored=torch.zeros(n),
        log_scales0=log_scales.clone(),
        progress=Progress(),
    )
    for name in ("betas", "log_focal", *splats):
        state.moments[name] = (
            torch.zeros_like(parameter(state, name)),
            torch.zeros_like(parameter(state, name)),
        )
    return state


def state_to(state: FitState, device: torch.device) -> FitState:
    """The same state on another device."""

    def move(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(device)
        if isinstance(value, tuple):
            return tuple(move(v) for v in value)
        if isinstance(value, dict):
            return {k: move(v) for k, v in value.items()}
        if isinstance(value, (SplatBinding, SkinnedSplats, SmoothAdam, RowAdam)):
            return type(value)(**move(vars(value)))
        return value

    return FitState(**{k: move(v) for k, v in vars(state).items()})


def parameter(state: FitState, name: str) -> Tensor:
    """A dense parameter by name."""
    return state.splats[name] if name in state.splats else getattr(state, name)


def _tensors(state: FitState) -> dict[str, Tensor]:
    """Every tensor of the state under a flat name; the tensors are shared, not copied."""
    out = {f"splat.{k}": v for k, v in state.splats.items()}
    for name, (mean, square) in state.moments.items():
        out[f"moment.{name}.mean"], out[f"moment.{name}.square"] = mean, square
    tables = {"cloth": state.cloth, **{f"pose.{k}": v for k, v in state.poses.items()}}
    for name, table in tables.items():
        for part in ("values", "mean", "square", "count"):
            out[f"{name}.{part}"] = getattr(table, part)
    for name in ("betas", "log_focal", "seen", "mirrored"):
        out[name] = getattr(state, name)
    return out


def save_checkpoint(path: Path, state: FitState, key: str) -> None:
    """Write the state atomically; ``key`` identifies input and settings."""
    progress = json.dumps(vars(state.progress))
    metadata = {
        "made_by": MARK,
        "version": str(CHECKPOINT_VERSION),
        "key": key,
        "progress": progress,
    }
    write_tensors(path, _tensors(state), metadata)


def restore_checkpoint(path: Path, state: FitState, key: str) -> bool:
    """Fill a fresh state from a checkpoint; False where there is none that fits."""
    if not path.is_file():
        return False
    try:
        stored, metadata = read_tensors(path)
    except (SafetensorError, OSError):
        return False
    if metadata.get("key") != key or metadata.get("version") != str(CHECKPOINT_VERSION):
        return False
    own = _tensors(state)
    if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in stored.items()}:
        return False
    for name, tensor in own.items():
        tensor.copy_(stored[name])
    state.progress = Progress(**json.loads(metadata["progress"]))
    return True


def full_betas(state: FitState, params: BodyParams) -> Tensor:
    """(S,) the track's betas with the refined leading ones put in."""
    return torch.cat([state.betas, params.betas[len(state.betas) :]])
