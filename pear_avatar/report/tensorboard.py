"""The curves of a fit as event files that TensorBoard shows while the fit runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pear_avatar.errors import MissingPackageError


class CurveWriter:
    """Writes points of curves into a folder for ``tensorboard --logdir FOLDER``.

    The folder's earlier event files are removed: a fit that goes on sends its earlier points
    again.
    """

    def __init__(self, folder: Path) -> None:
        """Open the folder.

        Raises:
            MissingPackageError: tensorboard is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingPackageError(
                "curves for TensorBoard need its package: pip install 'pear-avatar[tensorboard]', "
                "or leave --tensorboard out"
            ) from error
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer: Any = SummaryWriter(str(folder), flush_secs=10)

    def __call__(self, curve: str, step: int, value: float) -> None:
        """Add one point; ``stage: term`` becomes a chart of the stage's group."""
        self._writer.add_scalar(curve.replace(": ", "/", 1), value, step)

    def figures(self, report: Mapping[str, Any]) -> None:
        """Add the measured figures of a report, as one point each."""
        for name, metrics in report.items():
            for key, value in (metrics or {}).items():
                if isinstance(value, (int, float)):
                    self._writer.add_scalar(f"{name}/{key}", value, 0)

    def close(self) -> None:
        """Write what is pending."""
        self._writer.close()
