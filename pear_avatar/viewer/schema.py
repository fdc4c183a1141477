"""What passes between Python and the viewer in the browser: file layouts and messages.

This module is the only place that states them. ``viewer/src/generated/schema.ts`` is made from
it by :mod:`pear_avatar.viewer.typescript`.

Both binary files are plain safetensors files whose header holds one string, ``meta``: the JSON of
:class:`AvatarMeta` or :class:`MotionMeta`. Letters in shapes are sizes that must agree within a
file: V vertices, F faces, N splats (or frames of a motion), K influences, E expressions, M
vertices that an expression moves, S shapes, X expressions of a motion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

SCHEMA_VERSION = 1
AVATAR_FORMAT = "pear-avatar-view"
MOTION_FORMAT = "pear-motion"

DType: TypeAlias = Literal["F32", "F16", "U8", "I16", "U16", "U32"]


@dataclass(frozen=True)
class TensorSpec:
    """One tensor of a file: its name, the element types it may have, its shape."""

    name: str
    dtypes: tuple[DType, ...]
    shape: tuple[str | int, ...]
    optional: bool = False


#: The avatar as the viewer wants it: everything that poses and draws it, in little space.
#:
#: Weights and barycentric coordinates are ``q / 65535``; rows of skin_weights sum to exactly
#: 65535. ``*.deltas`` are metres after multiplication with their row's ``*.scales``.
#: splat.barycentric holds the weights of the triangle's second and third corner, splat.offsets
#: metres along e, t and n of the posed triangle, splat.quats ``q / 32767`` of rotations relative
#: to that frame, splat.scales standard deviations in millimetres, splat.rgba colour and opacity.
AVATAR_TENSORS: tuple[TensorSpec, ...] = (
    TensorSpec("template.vertices", ("F32",), ("V", 3)),
    TensorSpec("template.faces", ("U16", "U32"), ("F", 3)),
    TensorSpec("template.joints", ("F32",), (55, 3)),
    TensorSpec("template.skin_joints", ("U8",), ("V", "K")),
    TensorSpec("template.skin_weights", ("U16",), ("V", "K")),
    TensorSpec("expression.vertices", ("U16", "U32"), ("M",)),
    TensorSpec("expression.deltas", ("I16",), ("E", "M", 3)),
    TensorSpec("expression.scales", ("F32",), ("E",)),
    TensorSpec("arkit.coef", ("F32",), (52, "E")),
    TensorSpec("arkit.pose", ("F32",), (52, 9)),
    TensorSpec("shape.deltas", ("I16",), ("S", "V", 3), optional=True),
    TensorSpec("shape.scales", ("F32",), ("S",), optional=True),
    TensorSpec("shape.joints", ("F32",), ("S", 55, 3), optional=True),
    TensorSpec("splat.face", ("U16", "U32"), ("N",)),
    TensorSpec("splat.barycentric", ("U16",), ("N", 2)),
    TensorSpec("splat.offsets", ("F16",), ("N", 3)),
    TensorSpec("splat.quats", ("I16",), ("N", 4)),
    TensorSpec("splat.scales", ("F16",), ("N", 3)),
    TensorSpec("splat.rgba", ("U8",), ("N", 4)),
)

#: A motion for one avatar. Quaternions are local, wxyz, index 0 the global orientation; time is in
#: seconds from the first frame. video_time is when the input video shows that frame; camera.K is
#: fx, fy, cx, cy in its pixels and camera.T the upper rows of T_camera_world, OpenCV axes.
MOTION_TENSORS: tuple[TensorSpec, ...] = (
    TensorSpec("rotations", ("F32",), ("N", 55, 4)),
    TensorSpec("transl", ("F32",), ("N", 3)),
    TensorSpec("expression", ("F32",), ("N", "X"), optional=True),
    TensorSpec("time", ("F32",), ("N",)),
    TensorSpec("video_time", ("F32",), ("N",), optional=True),
    TensorSpec("camera.K", ("F32",), ("N", 4), optional=True),
    TensorSpec("camera.T", ("F32",), ("N", 3, 4), optional=True),
)


@dataclass(frozen=True)
class AvatarMeta:
    """The ``meta`` of an avatar file; ``info`` holds short facts for people to read."""

    format: str
    version: int
    name: str
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    arkit_names: tuple[str, ...]
    shape_names: tuple[str, ...]
    info: dict[str, str]


@dataclass(frozen=True)
class MotionMeta:
    """The ``meta`` of a motion file; width and height of the video, 0 without a camera."""

    format: str
    version: int
    name: str
    fps: float
    source: str
    width: int
    height: int


@dataclass(frozen=True)
class SessionMotion:
    """A motion that one avatar can play."""

    id: str
    name: str
    url: str
    frames: int
    fps: float
    has_camera: bool


@dataclass(frozen=True)
class SessionVideo:
    """The video that an avatar was fitted to; its size is that of the upright picture."""

    url: str
    width: int
    height: int
    fps: float
    frames: int


@dataclass(frozen=True)
class SessionAvatar:
    """One avatar of a gallery; ``payload_bytes`` is its file's size, to show progress by."""

    id: str
    name: str
    splats: int
    payload: str
    payload_bytes: int
    thumbnail: str | None
    details: str
    video: SessionVideo | None
    motions: tuple[SessionMotion, ...]


@dataclass(frozen=True)
class Session:
    """All that the page shows. Urls are relative to the page, or ``embedded:ID`` in an export.

    ``convert`` takes motion files of other formats (POST, with ``name`` and ``avatar`` in the
    query) and is null where there is no server; ``convert_endings`` are the usual endings of
    such files, with the dot.
    """

    version: int
    title: str
    kind: Literal["server", "export"]
    avatars: tuple[SessionAvatar, ...]
    convert: str | None
    convert_endings: tuple[str, ...]
    max_upload_bytes: int


#: What the generator writes as TypeScript interfaces, in this order.
MESSAGES: tuple[type, ...] = (
    TensorSpec,
    AvatarMeta,
    MotionMeta,
    SessionMotion,
    SessionVideo,
    SessionAvatar,
    Session,
)
