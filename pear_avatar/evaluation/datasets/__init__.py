"""Public data sets for measuring recovery, read in the layout in which their owners hand them out.

Each reader yields :class:`Sample`; none downloads anything.
"""

from __future__ import annotations

from pear_avatar.evaluation.datasets.agora import read_agora
from pear_avatar.evaluation.datasets.coco_wholebody import read_coco_wholebody
from pear_avatar.evaluation.datasets.ehf import read_ehf
from pear_avatar.evaluation.datasets.sample import Sample
from pear_avatar.evaluation.datasets.stills import read_stills
from pear_avatar.evaluation.datasets.synthetic_samples import make_synthetic_samples
from pear_avatar.evaluation.datasets.threedpw import read_3dpw
from pear_avatar.evaluation.datasets.ubody import read_ubody

__all__ = [
    "Sample",
    "make_synthetic_samples",
    "read_3dpw",
    "read_agora",
    "read_coco_wholebody",
    "read_ehf",
    "read_stills",
    "read_ubody",
]
