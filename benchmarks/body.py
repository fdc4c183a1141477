"""The maths of body and EHM-s beside the smplx package, on the same body in the same run.

The peer reads the open body through :mod:`standins.smplx_layout`. It multiplies pose
correctives, which the open body does not have (they are zero); ``with pose correctives`` gives
this package the same zeros to multiply, so that both do the same work. ``EHM-s`` adds what the
peer does not do: a scaled head, scaled hands, jaw and eyes in the head, joints regressed anew;
``own head`` takes the head from the body's betas, ``head model`` blends the head's own shape
space on top (and overwrites what the body made). The peer has no cheaper
way to joints, landmarks or a second pose of one shape than its whole forward pass.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from standins.smplx_layout import to_smplx_arrays
from torch import Tensor

from benchmarks.framework import Options, Result
from benchmarks.timing import interleaved_medians
from pear_avatar import _native
from pear_avatar.body import BodyModel, load_body
from pear_avatar.body.ehm import EhmModel, PosedEhm, open_ehm
from pear_avatar.body.joints import PARAM_SLICES
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import Proportions

_PEER = "smplx"


def run(options: Options) -> list[Result]:
    """Milliseconds of each stage at batch 1, 8 and 32."""
    threads = options.threads or len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    _native.set_num_threads(threads)
    body = load_body()
    ehm = open_ehm(body)
    results: list[Result] = []
    for batch in (1, 8) if options.quick else (1, 8, 32):
        results += _run_batch(body, ehm, batch)
    return results


def _run_batch(body: BodyModel, ehm: EhmModel, batch: int) -> list[Result]:
    inputs = _inputs(body, batch)
    peer = _peer(body, batch)
    zeros = torch.zeros(body.num_vertices, 3, 9 * (body.num_joints - 1))
    corrected = replace(body, pose_dirs=zeros)
    shape = body.shape(inputs["betas"][0], inputs["expression"][0])
    shape.vertices()
    rotations = axis_angle_to_matrix(inputs["pose"])

    def posed(model: BodyModel) -> Any:
        rotations = axis_angle_to_matrix(inputs["pose"])
        shaped = model.shape(inputs["betas"], inputs["expression"])
        return shaped.pose(rotations, inputs["transl"])

    forward: dict[str, Callable[[], Tensor]] = {
        "mesh": lambda: posed(body).vertices(),
        "mesh with pose correctives": lambda: posed(corrected).vertices(),
        "mesh, new pose of one shape": lambda: shape.pose(rotations, inputs["transl"]).vertices(),
        "joints only": lambda: posed(body).joints,
        "landmarks wholebody133": lambda: posed(body).landmarks("wholebody133"),
        **_ehm_calls(ehm, inputs),
    }
    for call in forward.values():  # tables are made at the first call
        call()
    with torch.no_grad():
        ms = interleaved_medians(
            {**forward, _PEER: lambda: _peer_forward(peer, inputs)}, budget_seconds=30
        )
    results = [_versus(f"forward, batch {batch}: {n}", ms[n], ms[_PEER]) for n in forward]

    for tensor in inputs.values():
        tensor.requires_grad_()
    without_gradient = ("mesh, new pose of one shape",)
    backward = [name for name in forward if name not in without_gradient]
    calls = {n: _with_backward(forward[n], inputs) for n in backward}
    calls[_PEER] = _with_backward(lambda: _peer_forward(peer, inputs), inputs)
    ms = interleaved_medians(calls, budget_seconds=30)
    return results + [
        _versus(f"forward and backward, batch {batch}: {n}", ms[n], ms[_PEER]) for n in backward
    ]


def _ehm_calls(ehm: EhmModel, inputs: dict[str, Tensor]) -> dict[str, Callable[[], Tensor]]:
    def posed(given: Proportions) -> PosedEhm:
        rotations = axis_angle_to_matrix(inputs["pose"])
        shaped = ehm.shape(inputs["betas"], inputs["expression"], given)
        return shaped.pose(rotations, inputs["transl"])

    own = Proportions(inputs["head_scale"], inputs["hand_scale"])
    headed = Proportions(inputs["head_scale"], inputs["hand_scale"], inputs["head_betas"])
    return {
        "EHM-s mesh, own head": lambda: posed(own).vertices(),
        "EHM-s mesh, head model": lambda: posed(headed).vertices(),
        "EHM-s joints only": lambda: posed(own).joints,
        "EHM-s landmarks wholebody133": lambda: posed(own).landmarks("wholebody133"),
    }


def _versus(name: str, own_ms: float, peer_ms: float) -> Result:
    return Result.versus(name, own_ms, "ms", "lower", _PEER, peer_value=peer_ms)


def _with_backward(call: Callable[[], Tensor], inputs: dict[str, Tensor]) -> Callable[[], None]:
    def step() -> None:
        for tensor in inputs.values():
            tensor.grad = None
        call().square().sum().backward()

    return step


def _inputs(body: BodyModel, batch: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(scale: float, *shape: int) -> Tensor:
        return scale * torch.randn(batch, *shape, generator=generator)

    return {
        "betas": normal(1.0, body.num_betas),
        "expression": normal(0.5, body.num_expression),
        "pose": normal(0.3, body.num_joints, 3),
        "transl": normal(1.0, 3),
        "head_betas": normal(1.0, body.num_betas),
        "head_scale": 1 + normal(0.1, 3),
        "hand_scale": 1 + normal(0.1, 3),
    }


def _peer(body: BodyModel, batch: int) -> Any:
    import smplx

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        np.savez(Path(folder) / "SMPLX_NEUTRAL.npz", **to_smplx_arrays(body))
        return smplx.SMPLX(
            folder,
            gender="neutral",
            num_betas=body.num_betas,
            num_expression_coeffs=body.num_expression,
            use_pca=False,
            flat_hand_mean=True,
            batch_size=batch,
        )


def _peer_forward(peer: Any, inputs: dict[str, Tensor]) -> Tensor:
    pose = {name: inputs["pose"][:, where].flatten(1) for name, where in PARAM_SLICES.items()}
    others = {name: inputs[name] for name in ("betas", "expression", "transl")}
    vertices: Tensor = peer(**pose, **others).vertices
    return vertices
