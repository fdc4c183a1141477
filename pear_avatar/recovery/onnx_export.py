"""Networks as ONNX files, for runtimes other than torch (needs ``pip install pear-avatar[onnx]``).

An exported file has a dynamic batch and is compared with torch before it is put into place.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from pear_avatar.errors import MissingPackageError, PearError
from pear_avatar.recovery.pear.output import PearOutput
from pear_avatar.recovery.pear.pear_config import CROP_SIZE
from pear_avatar.recovery.pear.pear_network import PearNetwork

if TYPE_CHECKING:
    from pear_avatar.recovery.lifter.lifter_network import LifterNetwork

__all__ = ["TOLERANCE", "ExportReport", "export_lifter", "export_network", "export_pear"]

_logger = logging.getLogger(__name__)

#: Largest difference to torch that an exported file may have, relative to outputs above one.
TOLERANCE = 1e-3

_OPSET = 18
#: A protobuf cannot hold 2 GiB; larger networks keep their weights in a file beside it.
_MAX_INLINE_BYTES = 1_800_000_000


@dataclass(frozen=True)
class ExportReport:
    """What was written.

    inputs, outputs: their names in the file; all have a leading batch axis.
    difference:      largest difference to torch, relative to outputs above one.
    """

    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    difference: float


def export_pear(path: str | Path, network: PearNetwork) -> ExportReport:
    """Write a PEAR network: ``crops`` (B, 3, 256, 256) in, the fields of PearOutput out."""
    names = tuple(f.name for f in fields(PearOutput))
    generator = torch.Generator().manual_seed(0)
    crops = torch.rand(2, 3, CROP_SIZE, CROP_SIZE, generator=generator)
    return export_network(path, _TupleOutput(network), (crops,), ("crops",), names)


def export_lifter(path: str | Path, network: LifterNetwork) -> ExportReport:
    """Write the landmark lifter's core; names of its tensors in ``recovery.lifter.layout``."""
    from pear_avatar.recovery.lifter import layout

    widths = {
        "pose": layout.POSE_SIZE,
        "context": layout.CONTEXT_SIZE,
        "left_hand": layout.HAND_SIZE,
        "right_hand": layout.HAND_SIZE,
        "face": layout.FACE_SIZE,
    }
    generator = torch.Generator().manual_seed(0)
    example = [torch.randn(2, widths[n], generator=generator) for n in layout.INPUT_NAMES]
    return export_network(path, network, example, layout.INPUT_NAMES, layout.OUTPUT_NAMES)


def export_network(
    path: str | Path,
    module: nn.Module,
    example: Sequence[Tensor],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> ExportReport:
    """Write a module whose inputs and outputs all have a leading batch axis.

    Args:
        path: of the ``.onnx`` file.
        module: takes the inputs and returns a tuple of tensors, one for each output.
        example: inputs with a batch of at least two.
        inputs, outputs: names.

    Raises:
        ImportError: the packages for exporting are not installed.
        PearError: the file does not compute what the module does.
    """
    _require_packages()
    module = module.eval()
    arguments = tuple(tensor.detach().cpu().float() for tensor in example)
    batch = torch.export.Dim("batch")
    size = sum(p.numel() * p.element_size() for p in module.parameters())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            arguments,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=tuple({0: batch} for _ in arguments),
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    with _folder_moved_on_success(Path(path)) as folder:
        file = folder / Path(path).name
        program.save(file, external_data=size > _MAX_INLINE_BYTES)
        with torch.no_grad():
            difference = _difference(file, module, arguments, inputs)
        if difference > TOLERANCE:
            raise PearError(
                f"the exported {file.name} differs from torch by {difference:.3g}, more than "
                f"{TOLERANCE:g}: try another version of onnxscript or onnxruntime"
            )
    _logger.info("%s: differs from torch by at most %.2g", path, difference)
    return ExportReport(Path(path), tuple(inputs), tuple(outputs), difference)


@contextmanager
def _folder_moved_on_success(path: Path) -> Iterator[Path]:
    """A folder whose files are moved beside ``path`` if the block succeeds, that one last.

    A large network is two files that name each other, so a temporary name would not do.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".onnx-") as name:
        folder = Path(name)
        yield folder
        for file in sorted(folder.iterdir(), key=lambda f: f.name == path.name):
            os.replace(file, path.parent / file.name)


class _TupleOutput(nn.Module):
    """A PEAR network with a tuple for output, as exporters want it."""

    def __init__(self, network: PearNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        output = self.network(crops)
        return tuple(getattr(output, f.name) for f in fields(PearOutput))


def _difference(
    path: Path, module: nn.Module, example: Sequence[Tensor], inputs: Sequence[str]
) -> float:
    """How far onnxruntime is from torch, for the example's batch and for one alone."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for count in (len(example[0]), 1):
        given = [tensor[:count] for tensor in example]
        expected = module(*given)
        feed = {name: tensor.numpy() for name, tensor in zip(inputs, given, strict=True)}
        for ours, theirs in zip(expected, session.run(None, feed), strict=True):
            reference = ours.numpy()
            scale = np.maximum(1.0, np.abs(reference))
            worst = max(worst, float((np.abs(theirs - reference) / scale).max()))
    return worst


def _require_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(
            f"{error.name} is needed to write ONNX files: pip install 'pear-avatar[onnx]'"
        ) from error
