"""The few frozen types that flow through the package, and the conventions they obey.

Conventions (this page is the only place that states them)
----------------------------------------------------------
Units          metres, radians, pixels, seconds. Colours are RGB in [0, 1], display-referred.
Shapes         ``*B`` means any number of leading batch axes; every shape is stated.
Transforms     ``T_a_b`` maps b-coordinates into a: ``x_a = T_a_b @ x_b`` (4x4, row-major).
Camera         OpenCV axes: x right, y down, z forward. Pixel centres lie at +0.5, so pixel
               (column u, row v) covers [u, u+1) x [v, v+1). ``K`` is in pixels.
World          y up. For a clip without calibration the camera sits at the origin and looks
               about along -z, tilted as the tracker finds from how the person stands (level
               where it finds nothing), so a person who faces the camera has ``global_orient``
               near the identity.
Body           SMPL-X's 55 joints and parameter names; template in T-pose, y up, facing +z,
               the person's left at +x. ``transl`` is added after posing; the root rotates about
               the pelvis joint (as in SMPL-X), which need not lie at the origin.
Rotations      matrices inside the package; axis-angle only at file boundaries.
Quaternions    say their order in their name: ``quats_wxyz``.
Activations    values before an activation carry ``log_`` or ``logit_``; without one of these
               prefixes scales are metres and opacities lie in [0, 1].
Confidence     in [0, 1]; 0 means "not observed", whatever the coordinates beside it say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from pear_avatar.choices import BodyName

_T = TypeVar("_T")

#: Called with (stage, done, total) as work goes on.
ProgressFn = Callable[[str, int, int], None]


def _map_tensors(obj: _T, fn: Any) -> _T:
    """Apply ``fn`` to every tensor field of a frozen dataclass."""
    changes = {
        f.name: fn(getattr(obj, f.name))
        for f in fields(obj)  # type: ignore[arg-type]
        if isinstance(getattr(obj, f.name), Tensor)
    }
    return replace(obj, **changes)  # type: ignore[type-var]


@dataclass(frozen=True)
class Camera:
    """One pinhole camera, or a batch of them with one image size.

    K:              (*B, 3, 3) pixels; zero skew.
    T_camera_world: (*B, 4, 4) rigid.
    width, height:  image size in pixels.
    """

    K: Tensor
    T_camera_world: Tensor
    width: int
    height: int

    def to(self, *args: Any, **kwargs: Any) -> Camera:
        """The same camera on another device or in another dtype."""
        return _map_tensors(self, lambda t: t.to(*args, **kwargs))

    def __getitem__(self, index: Any) -> Camera:
        """Pick from the batch axes."""
        return replace(self, K=self.K[index], T_camera_world=self.T_camera_world[index])


@dataclass(frozen=True)
class BodyParams:
    """What poses a body model: shape, expression, local joint rotations, translation.

    betas:      (*B, S) or (S,) shape coefficients (shared over a clip when (S,)).
    expression: (*B, E) expression coefficients.
    rotations:  (*B, 55, 3, 3) local rotation of each joint relative to its parent, in the
                joint order of :mod:`pear_avatar.body.joints`; index 0 is ``global_orient``.
    transl:     (*B, 3) metres.
    """

    betas: Tensor
    expression: Tensor
    rotations: Tensor
    transl: Tensor

    def to(self, *args: Any, **kwargs: Any) -> BodyParams:
        """The same parameters on another device or in another dtype."""
        return _map_tensors(self, lambda t: t.to(*args, **kwargs))

    def __getitem__(self, index: Any) -> BodyParams:
        """Pick frames from the leading batch axis; unbatched betas stay shared."""
        betas = self.betas if self.betas.dim() == 1 else self.betas[index]
        return BodyParams(betas, self.expression[index], self.rotations[index], self.transl[index])

    @property
    def num_frames(self) -> int:
        """Length of the leading batch axis."""
        return int(self.rotations.shape[0])


@dataclass(frozen=True)
class Proportions:
    """What EHM-s adds to a person's shape: constants of the person, not of the frame.

    head_scale:    (*B, 3) per-axis scale of the head about the midpoint of the eyes.
    hand_scale:    (*B, 3) per-axis scale of each hand, from the wrist (about the hand's centre
                   where seams are not blended).
    head_betas:    (*B, H) shape coefficients of the head model; None keeps the body's own head.
    joint_offsets: (*B, 55, 3) metres, added to the rest joints; None adds nothing.
    """

    head_scale: Tensor
    hand_scale: Tensor
    head_betas: Tensor | None = None
    joint_offsets: Tensor | None = None

    @classmethod
    def neutral(cls, dtype: torch.dtype = torch.float32) -> Proportions:
        """Scales of one and the body's own head and joints."""
        return cls(torch.ones(3, dtype=dtype), torch.ones(3, dtype=dtype))

    def to(self, *args: Any, **kwargs: Any) -> Proportions:
        """The same proportions on another device or in another dtype."""
        return _map_tensors(self, lambda t: t.to(*args, **kwargs))


@dataclass(frozen=True)
class RenderOutput:
    """What a rasteriser returns for one camera (leading axes for several).

    color: (*C, H, W, D) premultiplied by alpha, composited over ``background`` if there is one;
           may be a strided view on planar (D, H, W) memory.
    alpha: (*C, H, W, 1) accumulated opacity.
    depth: (*C, H, W, 1) alpha-weighted sum of camera-space z in metres (divide by alpha for the
           expected depth).
    """

    color: Tensor
    alpha: Tensor
    depth: Tensor

    def expected_depth(self, eps: float = 1e-6) -> Tensor:
        """(*C, H, W, 1) metres; 0 where nothing was hit."""
        return torch.where(self.alpha > eps, self.depth / self.alpha.clamp_min(eps), 0.0)


#: Fields of :class:`ClipDetections` that every clip has but no frame, and those it may lack.
_PER_CLIP = frozenset({"width", "height", "notes", "face_actions"})


@dataclass(frozen=True)
class ClipDetections:
    """Landmarks of one person over the N frames of a clip (NumPy, float32 unless said).

    Coordinates are pixels of the frame as decoded and turned upright (``width`` x ``height``).
    Where a confidence is 0 the coordinate is meaningless but finite.

    frame_index:          (N,) int64 index of each processed frame in the video.
    time:                 (N,) float64 seconds from the first frame (variable frame rate kept).
    pose_px:              (N, 33, 2) mediapipe pose landmarks.
    pose_confidence:      (N, 33).
    pose_world:           (N, 33, 3) metres about the hip centre, OpenCV axes (x right, y down,
                          z away from the camera), mediapipe's own 3D estimate.
    left_hand_px, right_hand_px:                 (N, 21, 2); the PERSON's left and right.
    left_hand_confidence, right_hand_confidence: (N,) one number a hand; hallucinated hands get 0.
    face_px:              (N, 478, 2).
    face_confidence:      (N,).
    box_xyxy:             (N, 4) the person's box in pixels.
    trusted:              (N,) bool: False where the frame must not drive anything downstream.
    reason:               (N,) str: empty where trusted, else why not (shown on the overlay).
    width, height:        frame size in pixels.
    notes:                what the user should know of the clip, a line each.
    face_actions:         (N, 52) ARKit's facial actions in [0, 1] by their names' order, 0 where no
                          face was found; None where they were not looked for.
    """

    frame_index: np.ndarray
    time: np.ndarray
    pose_px: np.ndarray
    pose_confidence: np.ndarray
    pose_world: np.ndarray
    left_hand_px: np.ndarray
    left_hand_confidence: np.ndarray
    right_hand_px: np.ndarray
    right_hand_confidence: np.ndarray
    face_px: np.ndarray
    face_confidence: np.ndarray
    box_xyxy: np.ndarray
    trusted: np.ndarray
    reason: np.ndarray
    width: int
    height: int
    notes: tuple[str, ...] = ()
    face_actions: np.ndarray | None = None

    @property
    def num_frames(self) -> int:
        """Number of processed frames N."""
        return int(self.pose_px.shape[0])

    def __getitem__(self, index: slice | np.ndarray) -> ClipDetections:
        """Some of the frames: a slice, row numbers or a mask."""
        rows: dict[str, Any] = {name: getattr(self, name)[index] for name in self._per_frame()}
        if self.face_actions is not None:
            rows["face_actions"] = self.face_actions[index]
        return replace(self, **rows)

    @classmethod
    def concat(cls, parts: Sequence[ClipDetections]) -> ClipDetections:
        """The frames of several detections, one after another.

        Raises:
            ValueError: no parts, or parts in pictures of different sizes.
        """
        sizes = {(part.width, part.height) for part in parts}
        if len(sizes) != 1:
            raise ValueError(f"detections to join must be of one picture size, got {sorted(sizes)}")
        rows: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in cls._per_frame()
        }
        actions = [part.face_actions for part in parts if part.face_actions is not None]
        rows["face_actions"] = np.concatenate(actions) if len(actions) == len(parts) else None
        return replace(parts[0], **rows)

    @classmethod
    def _per_frame(cls) -> list[str]:
        return [f.name for f in fields(cls) if f.name not in _PER_CLIP]


@dataclass(frozen=True)
class Motion:
    """A body in motion, as read from or written to a pose file.

    params: BodyParams with one leading axis N and shared betas (S,).
    time:   (N,) seconds, increasing.
    name:   where it came from, for messages.
    body:   whose betas and expression these are: "open" or "smplx"; on another body they mean
            nothing. ``transl`` too is of that body, whose pelvis need not rest at the origin.
    """

    params: BodyParams
    time: np.ndarray
    name: str = ""
    body: str = BodyName.OPEN.value

    @property
    def is_of_open_body(self) -> bool:
        """Whether betas and expression are the open body's."""
        return self.body == BodyName.OPEN

    @property
    def fps(self) -> float:
        """Mean frame rate; 30 for a single frame."""
        span = float(self.time[-1] - self.time[0]) if len(self.time) > 1 else 0.0
        return (len(self.time) - 1) / span if span > 0 else 30.0


@dataclass(frozen=True)
class Track:
    """The tracked person of a clip: motion in the world plus the clip's cameras.

    motion:         N frames; the world of the module docstring.
    camera:         batch of N cameras at the clip's full frame size.
    frame_index:    (N,) int64 index of each frame in the video.
    trusted:        (N,) bool; untrusted frames hold interpolated values, not observations.
    landmark_error: (N,) mean 2D landmark error relative to the person's height in the image;
                    NaN where nothing was observed.
    proportions:    the person's own, without batch axes, where they were estimated; the motion is
                    then that of ``EhmModel.person(proportions)``.
    """

    motion: Motion
    camera: Camera
    frame_index: np.ndarray
    trusted: np.ndarray
    landmark_error: np.ndarray
    proportions: Proportions | None = None
