"""The PEAR network: one crop of a person in, body, hands, face and camera out."""

from __future__ import annotations

from pear_avatar.recovery.pear.config import BACKBONES, OutputSizes, PearConfig
from pear_avatar.recovery.pear.network import PearNetwork
from pear_avatar.recovery.pear.output import PearOutput

__all__ = ["BACKBONES", "OutputSizes", "PearConfig", "PearNetwork", "PearOutput"]
