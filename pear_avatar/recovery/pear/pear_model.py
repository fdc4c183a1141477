"""From crops to people and their meshes: the network and EHM-s in one call.

Everything here runs without a copy to or from the device, so that on CUDA crops to mesh is one
graph.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pear_avatar.body.ehm import EhmModel, PosedEhm, ShapedEhm
from pear_avatar.errors import CheckpointError
from pear_avatar.recovery.pear.engine import CapturedGraph, PearEngine
from pear_avatar.recovery.pear.output import PearOutput, body_params, proportions
from pear_avatar.recovery.pear.pear_config import OutputSizes, PearConfig
from pear_avatar.types import BodyParams, Proportions

__all__ = ["PearEstimate", "PearModel", "output_sizes"]


@dataclass(frozen=True)
class PearEstimate:
    """B people as the network sees them, in this package's conventions.

    params:      in the world of :func:`pear_avatar.recovery.pear.output.crop_cameras`;
                 ``expression`` is the head's.
    proportions: head scale, hand scale, the head's shape.
    eyelids:     (B, 2) left and right, 1 closed.
    body_expression: (B, E) of the body; all zeros in the "eased" convention, which leaves it out.
    """

    params: BodyParams
    proportions: Proportions
    eyelids: Tensor
    body_expression: Tensor


def output_sizes(model: EhmModel) -> OutputSizes:
    """The coefficients that a network for this body has to predict."""
    body, head = model.body, model.head
    return OutputSizes(body.num_betas, body.num_expression, head.num_betas, head.num_expression)


class PearModel:
    """Crops of people -> parameters, joints, meshes."""

    def __init__(self, engine: PearEngine, model: EhmModel, *, hand_scale: bool = False) -> None:
        """Join a network and the body it was trained for.

        Args:
            engine: the network.
            model: EHM-s on any device. The released network speaks of SMPL-X and FLAME; its
                coefficients mean nothing to another body, even where there are enough of them.
            hand_scale: apply the predicted scale of the hands. The authors predict it, and never
                apply it.

        Raises:
            CheckpointError: the body has fewer coefficients than the network predicts.
        """
        _check_sizes(engine.config, output_sizes(model))
        self.engine = engine
        self.model = model.to(engine.device)
        self.hand_scale = hand_scale
        self._graphs: dict[int, CapturedGraph] = {}

    @torch.no_grad()
    def __call__(self, crops: Tensor) -> PearEstimate:
        """Recover the people in (B, 3, 256, 256) crops, RGB in [0, 1]."""
        return self.people(self.engine(crops))

    def people(self, output: PearOutput) -> PearEstimate:
        """A network's output in this package's conventions."""
        return self._shaped_people(output)[0]

    def posed(self, output: PearOutput) -> PosedEhm:
        """The posed body, whose joints cost little and whose mesh is made when asked for."""
        people, shaped = self._shaped_people(output)
        return shaped.pose(people.params.rotations, people.params.transl)

    @torch.no_grad()
    def vertices(self, crops: Tensor) -> Tensor:
        """(B, 3, 256, 256) crops -> (B, V, 3) meshes in metres.

        On CUDA this is one graph a batch size; its result is overwritten by the next call.
        """
        crops = crops.to(self.engine.device, torch.float32, non_blocking=True)
        if self.engine.device.type != "cuda":
            return self._mesh(crops)
        graph = self._graphs.get(len(crops))
        if graph is None:
            graph = self._graphs[len(crops)] = CapturedGraph(self._mesh, crops)
        return graph(crops)

    def _mesh(self, crops: Tensor) -> Tensor:
        return self.posed(self.engine.split(self.engine.forward(crops))).vertices()

    def _shaped_people(self, output: PearOutput) -> tuple[PearEstimate, ShapedEhm]:
        """Parameters and shaped body at once: the translation needs the shape's pelvis."""
        given = self._proportions(output)
        # The authors shape the body with its own expression before the head replaces its face.
        expression = output.expression[:, : self.model.body.num_expression]
        if self.model.convention != "pear":
            expression = torch.zeros_like(expression)
        shaped = self.model.shape(
            output.betas,
            expression if self.model.convention == "pear" else None,
            given,
            eyelids=output.eyelids,
            head_expression=output.head_expression,
        )
        params = body_params(output, shaped.joints[:, 0])
        return PearEstimate(params, given, output.eyelids, expression), shaped

    def _proportions(self, output: PearOutput) -> Proportions:
        given = proportions(output)
        if self.hand_scale:
            return given
        return Proportions(given.head_scale, torch.ones_like(given.hand_scale), given.head_betas)


def _check_sizes(config: PearConfig, body: OutputSizes) -> None:
    for name in ("betas", "expression", "head_betas", "head_expression"):
        predicted, known = getattr(config.outputs, name), getattr(body, name)
        # Of the body's own expression, what the body lacks is left out: the head has a face.
        if name != "expression" and predicted > known:
            raise CheckpointError(
                f"this network predicts {predicted} {name}, but the body has {known}: it was "
                "trained for another body (the released network needs SMPL-X and FLAME)"
            )
