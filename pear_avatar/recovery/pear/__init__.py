"""The PEAR network: one crop of a person in, body, hands, face and camera out."""

from __future__ import annotations

from pear_avatar.recovery.pear.output import PearOutput
from pear_avatar.recovery.pear.pear_config import BACKBONES, OutputSizes, PearConfig
from pear_avatar.recovery.pear.pear_network import PearNetwork

__all__ = ["BACKBONES", "OutputSizes", "PearConfig", "PearNetwork", "PearOutput"]
