"""What papers report on the public data sets, to print beside one's own figures.

The PEAR paper's tables (arXiv 2601.22693) unless ``source`` says otherwise. They follow each data
set's own protocol with SMPL-X or SMPL; where ours must differ, the two do not compare, and
:data:`PROTOCOLS` says how.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PROTOCOLS", "PUBLISHED", "PublishedFigure"]


@dataclass(frozen=True)
class PublishedFigure:
    """One figure of one method."""

    method: str
    metric: str
    value: float
    unit: str
    source: str = "PEAR paper"


def _rows(metric: str, unit: str, **values: float) -> tuple[PublishedFigure, ...]:
    names = {"osx": "OSX", "multi_hmr": "Multi-HMR", "smplest_x": "SMPLest-X", "pear": "PEAR"}
    return tuple(PublishedFigure(names[k], metric, v, unit) for k, v in values.items())


_MEASURED = "released weights, measured by others"

#: By data set.
PUBLISHED: dict[str, tuple[PublishedFigure, ...]] = {
    "3dpw": (
        *_rows("MPJPE, 14 joints", "mm", osx=74.7, multi_hmr=78.0, smplest_x=74.8, pear=71.3),
        *_rows("PA-MPJPE, 14 joints", "mm", pear=45.3),
        PublishedFigure("PEAR", "MPJPE, 14 joints", 73.6, "mm", _MEASURED),
        PublishedFigure("PEAR", "PA-MPJPE, 14 joints", 45.7, "mm", _MEASURED),
        PublishedFigure("PEAR", "PVE", 82.3, "mm", _MEASURED),
    ),
    "agora": _rows("MVE, body", "mm", osx=80.2, multi_hmr=59.6, smplest_x=63.5, pear=59.3),
    "ehf": _rows("PA-PVE, hands", "mm", osx=15.9, multi_hmr=16.4, pear=12.8),
    "ubody": _rows("PA-PVE, hands", "mm", osx=10.8, multi_hmr=11.2, pear=9.8),
    "coco-wholebody": _rows("PCK@.05", "%", osx=70, multi_hmr=65, smplest_x=71, pear=81),
}

#: How our figures on a data set are made, and in what they differ from the published ones.
PROTOCOLS: dict[str, str] = {
    "3dpw": (
        "3DPW's own 24 SMPL joints, the first 22 of them against the same joints of the body; the "
        "published figures regress 14 joints from the meshes (Human3.6M's regressor), which gives "
        "other numbers for the same bodies. Keypoints are OpenPose's, detected."
    ),
    "agora": (
        "joints 0 to 21 of SMPL-X and, with SMPL-X as the body, its mesh; valid people of the "
        "validation set (the published figures are of the test set, by AGORA's server)."
    ),
    "ehf": (
        "registered SMPL-X meshes, with SMPL-X as the body: whole body aligned at the pelvis, "
        "hands at the wrists (mean of both), face at the neck; PA aligns each part alone. Parts "
        "are those that skinning weights give. With another body only keypoints are compared, "
        "and those are OpenPose's, detected."
    ),
    "ubody": "keypoints labelled by UBody's authors' pipeline; fitted meshes are not compared.",
    "coco-wholebody": (
        "keypoints annotated by people, relative to the longer side of the annotated box; people "
        "that were not found count as wrong. The published figures use 17 keypoints of COCO's "
        "validation set in the network's own crop."
    ),
    "synthetic": (
        "drawn people with known truth, of the package's open body; nothing published compares."
    ),
    "stills": (
        "2D only: keypoints labelled by people where a JSON file beside the picture has them; "
        "otherwise agreement with the detector, which is not truth."
    ),
}
