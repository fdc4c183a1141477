"""glTF 2.0: a skinned body with morph targets and animation as ``.glb`` or ``.gltf``."""

from pear_avatar.export.gltf.document import GltfDocument
from pear_avatar.export.gltf.mesh import Influences
from pear_avatar.export.gltf.morphs import FaceMorphs, Morphs
from pear_avatar.export.gltf.save import Figure, Surface, as_motions, build_figure, save_glb

__all__ = [
    "FaceMorphs",
    "Figure",
    "GltfDocument",
    "Influences",
    "Morphs",
    "Surface",
    "as_motions",
    "build_figure",
    "save_glb",
]
