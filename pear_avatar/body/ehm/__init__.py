"""EHM-s: a body with a scaled head of another model (see :mod:`pear_avatar.body.ehm.model`)."""

from pear_avatar.body.ehm.model import EhmModel, Variant
from pear_avatar.body.ehm.open_head import open_ehm
from pear_avatar.body.ehm.stages import PosedEhm, ShapedEhm

__all__ = ["EhmModel", "PosedEhm", "ShapedEhm", "Variant", "open_ehm"]
