"""Public data sets for measuring recovery, read in the layout in which their owners hand them out.

Each reader yields :class:`Sample`; none downloads anything.
"""

from __future__ import annotations

from pear_avatar.data.benchmarks.agora import read_agora
from pear_avatar.data.benchmarks.coco_wholebody import read_coco_wholebody
from pear_avatar.data.benchmarks.ehf import read_ehf
from pear_avatar.data.benchmarks.sample import Sample
from pear_avatar.data.benchmarks.stills import read_stills
from pear_avatar.data.benchmarks.synthetic import make_synthetic_samples
from pear_avatar.data.benchmarks.threedpw import read_3dpw
from pear_avatar.data.benchmarks.ubody import read_ubody

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
