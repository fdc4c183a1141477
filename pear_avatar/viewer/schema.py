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
LIVE_FORMAT = "pear-live-model"

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


def _linear(name: str, outputs: str, inputs: str) -> tuple[TensorSpec, ...]:
    weight = TensorSpec(f"{name}.weight", ("F16",), (outputs, inputs))
    return weight, TensorSpec(f"{name}.bias", ("F16",), (outputs,))


def _norm(name: str, size: str) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(f"{name}.{part}", ("F16",), (size,)) for part in ("weight", "bias"))


def _whitening(name: str, size: str) -> tuple[TensorSpec, ...]:
    return (
        TensorSpec(f"{name}.matrix", ("F32",), (size, size)),
        TensorSpec(f"{name}.mean", ("F32",), (size,)),
    )


def _feed_forward(name: str) -> tuple[TensorSpec, ...]:
    return (
        *_norm(f"{name}.norm", "D"),
        *_linear(f"{name}.expand", "D", "D"),
        *_linear(f"{name}.contract", "D", "D"),
    )


#: What the page needs to turn detected landmarks into a posed body: the landmark lifter's network
#: and the rig of the landmarks that it reads.
#:
#: Sizes: D the network's state, T one of its tokens, H and P hidden and outer width of the part
#: coders; body, hand and face inputs B, G, A; decoder inputs C; landmark pairs Q, one point per
#: landmark and joint that moves it; S shapes, X shapes and expressions, F face points.
#: pair.share is the pair's part in its landmark; *.part is 1 for the head, 2 and 3 for the left
#: and right hand, 0 for the rest; fingers.relaxed wxyz.
LIVE_TENSORS: tuple[TensorSpec, ...] = (
    *_whitening("body_whitening", "B"),
    *_whitening("hand_whitening", "G"),
    *_whitening("face_whitening", "A"),
    *_linear("body_encoder", "D", "B"),
    *_linear("hand_encoder.0", "H", "G"),
    *_linear("hand_encoder.2", "P", "H"),
    *_linear("face_encoder.0", "H", "A"),
    *_linear("face_encoder.2", "P", "H"),
    *_linear("part_mixer", "D", "P3"),
    *_norm("blocks.0.norm", "T"),
    *_linear("blocks.0.query_key_value", "T3", "T"),
    *_linear("blocks.0.project", "T", "T"),
    *(spec for k in (1, 2, 3) for spec in _feed_forward(f"blocks.{k}")),
    *_norm("norm", "D"),
    *_linear("body_decoder", "O", "D"),
    *_linear("hand_decoder.0", "H", "C"),
    *_linear("hand_decoder.2", "O2", "H"),
    *_linear("face_decoder.0", "H", "C"),
    *_linear("face_decoder.2", "O3", "H"),
    TensorSpec("joint.template", ("F32",), (55, 3)),
    TensorSpec("joint.dirs", ("F32",), ("S", 55, 3)),
    TensorSpec("joint.part", ("U8",), (55,)),
    TensorSpec("pair.joint", ("U8",), ("Q",)),
    TensorSpec("pair.part", ("U8",), ("Q",)),
    TensorSpec("pair.landmark", ("U16",), ("Q",)),
    TensorSpec("pair.share", ("F32",), ("Q",)),
    TensorSpec("pair.template", ("F32",), ("Q", 3)),
    TensorSpec("pair.dirs", ("F32",), ("X", "Q", 3)),
    TensorSpec("arkit.coef", ("F32",), (52, "E")),
    TensorSpec("arkit.pose", ("F32",), (52, 9)),
    TensorSpec("fingers.relaxed", ("F32",), (30, 4)),
    TensorSpec("face.points", ("U16",), ("F",)),
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
class LiveMeta:
    """The ``meta`` of a live model; ``heads`` is the number of its attention heads."""

    format: str
    version: int
    joint_names: tuple[str, ...]
    parents: tuple[int, ...]
    arkit_names: tuple[str, ...]
    heads: int


@dataclass(frozen=True)
class SessionLive:
    """What the page loads once a camera is to drive the avatar.

    model: the live model. task: parts of the detector's models, to be joined. wasm_loader, wasm:
    the detector's program. total_bytes: of all of them, to show progress by.
    """

    model: str
    task: tuple[str, ...]
    wasm_loader: str
    wasm: str
    total_bytes: int


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
    such files, with the dot. ``live`` is null where the page cannot load the detector (a single
    file opened from disk).
    """

    version: int
    title: str
    kind: Literal["server", "export"]
    avatars: tuple[SessionAvatar, ...]
    convert: str | None
    convert_endings: tuple[str, ...]
    max_upload_bytes: int
    live: SessionLive | None


#: What the generator writes as TypeScript interfaces, in this order.
MESSAGES: tuple[type, ...] = (
    TensorSpec,
    AvatarMeta,
    MotionMeta,
    LiveMeta,
    SessionLive,
    SessionMotion,
    SessionVideo,
    SessionAvatar,
    Session,
)
