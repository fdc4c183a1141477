"""Bodies: joints, shape, pose, skinning, landmarks and facial actions."""

from pear_avatar.body.expressions import FacePose, arkit_weights, face_from_arkit
from pear_avatar.body.landmarks import LandmarkSet
from pear_avatar.body.model import BodyModel, PosedBody, ShapedBody
from pear_avatar.body.open_body import load_body, load_open_body

__all__ = [
    "BodyModel",
    "FacePose",
    "LandmarkSet",
    "PosedBody",
    "ShapedBody",
    "arkit_weights",
    "face_from_arkit",
    "load_body",
    "load_open_body",
]
