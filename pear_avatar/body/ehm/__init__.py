"""EHM-s: a body with a scaled head of another model (see :mod:`pear_avatar.body.ehm.ehm_model`)."""

from pear_avatar.body.ehm.ehm_model import EhmModel, Variant
from pear_avatar.body.ehm.ehm_stages import PosedEhm, ShapedEhm
from pear_avatar.body.ehm.open_head import open_ehm

__all__ = ["EhmModel", "PosedEhm", "ShapedEhm", "Variant", "open_ehm"]
