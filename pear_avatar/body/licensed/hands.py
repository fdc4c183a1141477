"""MANO's hand poses: a mean and principal components over 15 joints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pear_avatar.body.licensed.model_files import ModelFile, open_model_file
from pear_avatar.errors import PearError
from pear_avatar.geometry.rotations import axis_angle_to_matrix

__all__ = ["HandPca", "hand_from_table", "load_mano_hand"]

_JOINTS = 15
_SIZE = 3 * _JOINTS
_REMEDY = "get MANO_LEFT.pkl or MANO_RIGHT.pkl from https://mano.is.tue.mpg.de"


@dataclass(frozen=True)
class HandPca:
    """The pose space of one hand, after Romero et al., "Embodied Hands" (MANO), 2017.

    mean:       (45,) axis-angle of the relaxed hand; zero rotations are the flat hand.
    components: (N, 45), the first ones matter most.
    """

    mean: Tensor
    components: Tensor

    def axis_angle(self, coefficients: Tensor, flat_hand_mean: bool = False) -> Tensor:
        """(*B, up to N) coefficients -> (*B, 15, 3) axis-angle.

        ``flat_hand_mean`` says that the coefficients were made without the mean, as in models
        built with ``flat_hand_mean=True``.
        """
        count = coefficients.shape[-1]
        if count > len(self.components):
            raise PearError(
                f"{count} hand coefficients given, this hand has {len(self.components)}; "
                f"cut them to the first {len(self.components)}"
            )
        return self.full_axis_angle(coefficients @ self.components[:count], flat_hand_mean)

    def full_axis_angle(self, pose: Tensor, flat_hand_mean: bool = False) -> Tensor:
        """(*B, 45) hand pose as files hold it -> (*B, 15, 3) axis-angle from the flat hand."""
        if pose.shape[-1] != _SIZE:
            raise ValueError(f"a hand pose must have shape (*B, {_SIZE}), got {tuple(pose.shape)}")
        absolute = pose if flat_hand_mean else pose + self.mean
        return absolute.unflatten(-1, (_JOINTS, 3))

    def rotations(self, coefficients: Tensor, flat_hand_mean: bool = False) -> Tensor:
        """(*B, up to N) coefficients -> (*B, 15, 3, 3) local rotations."""
        return axis_angle_to_matrix(self.axis_angle(coefficients, flat_hand_mean))

    def coefficients(self, axis_angle: Tensor, flat_hand_mean: bool = False) -> Tensor:
        """(*B, 15, 3) axis-angle -> (*B, N), the least-squares inverse of :meth:`axis_angle`."""
        pose = axis_angle.flatten(-2)
        centred = pose if flat_hand_mean else pose - self.mean
        solution: Tensor = centred @ torch.linalg.pinv(self.components)
        return solution

    def first(self, count: int) -> HandPca:
        """The hand with only its first components."""
        return replace(self, components=self.components[:count])

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> HandPca:
        """The same hand elsewhere or in another dtype."""
        return HandPca(
            self.mean.to(device=device, dtype=dtype), self.components.to(device=device, dtype=dtype)
        )


def load_mano_hand(path: Path | str) -> HandPca:
    """The pose space in a MANO file (``MANO_LEFT.pkl``, ``MANO_RIGHT.pkl``, or npz)."""
    return hand_from_table(open_model_file(path, _REMEDY), "hands_mean", "hands_components")


def hand_from_table(file: ModelFile, mean: str, components: str) -> HandPca:
    """The pose space held under two keys of a model file."""
    return HandPca(_tensor(file.real(mean, (_SIZE,))), _tensor(file.real(components, ("H", _SIZE))))


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values).float()
