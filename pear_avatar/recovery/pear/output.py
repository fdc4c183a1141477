"""What the PEAR network says about a person, and what that means in this package's conventions.

The published camera is PyTorch3D's: axes left, up, forward; ``x_camera = R x + T`` with
R = diag(-1, -1, 1) and T = (tx, ty, 24 / s); a picture of half side h shows the point at
``h - 24 h x_camera / z_camera`` pixels. Written in OpenCV's axes that is the identity rotation
and the translation (-tx, -ty, 24 / s): the network's own world is the camera, y down. Ours has
y up, so people are turned by half a turn about x when they leave here, and cameras with them;
what is seen in the picture does not change.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from pear_avatar.geometry.cameras import default_world_camera
from pear_avatar.geometry.rotations import axis_angle_to_matrix, rotation_6d_to_matrix
from pear_avatar.recovery.pear.pear_config import FOCAL, NUM_ROTATIONS, OutputSizes
from pear_avatar.types import BodyParams, Camera, Proportions

__all__ = ["PearOutput", "body_params", "crop_cameras", "proportions"]

_NUM_BODY = 21
_NUM_HAND = 15


@dataclass(frozen=True)
class PearOutput:
    """The network's prediction for a batch of crops, before any body model.

    rotation_6d:     (B, 52, 6) root, 21 body joints, 15 joints of the left hand, 15 of the right;
                     two vectors each, the first two columns of the matrix.
    hand_scale:      (B, 3) per-axis scale; predicted and never applied by the authors.
    head_scale:      (B, 3) per-axis scale of the head.
    betas:           (B, S) of the body model.
    expression:      (B, E) of the body model.
    eye_pose:        (B, 2, 3) axis-angle of the left and the right eye, radians.
    head_pose:       (B, 3) axis-angle of the head model's root; not used, the body turns the head.
    jaw_pose:        (B, 3) axis-angle.
    eyelids:         (B, 2) left, right; 0 as modelled, 1 closed.
    head_betas:      (B, H) of the head model.
    head_expression: (B, K) of the head model.
    camera:          (B, 3) tx, ty, tz of the published camera, metres.
    """

    rotation_6d: Tensor
    hand_scale: Tensor
    head_scale: Tensor
    betas: Tensor
    expression: Tensor
    eye_pose: Tensor
    head_pose: Tensor
    jaw_pose: Tensor
    eyelids: Tensor
    head_betas: Tensor
    head_expression: Tensor
    camera: Tensor

    def __getitem__(self, index: slice | Tensor) -> PearOutput:
        """Pick people from the batch axis."""
        return PearOutput(*(getattr(self, f.name)[index] for f in fields(self)))

    def float(self) -> PearOutput:
        """The same in float32."""
        return PearOutput(*(getattr(self, f.name).float() for f in fields(self)))

    @property
    def batch(self) -> int:
        """B."""
        return int(self.camera.shape[0])


def layer_widths(sizes: OutputSizes) -> dict[str, int]:
    """Width of each linear layer of the head that is used, in the order of :func:`from_layers`."""
    return {
        "smplx_poses_decoder": 6 * NUM_ROTATIONS,
        "smplx_scale_decoder": 6,
        "smplx_shape_decoder": sizes.betas,
        "smplx_expression_decoder": sizes.expression,
        "flame_poses_decoder": 14,
        "flame_shape_decoder": sizes.head_betas,
        "flame_expression_decoder": sizes.head_expression,
        "cam_decoder": 3,
    }


def from_layers(layers: dict[str, Tensor]) -> PearOutput:
    """Name the parts of the linear layers' outputs, each (B, its width).

    The mean pose and the camera's bias are expected to be part of them already.
    """
    face = layers["flame_poses_decoder"]
    scale = layers["smplx_scale_decoder"]
    camera = layers["cam_decoder"]
    depth = FOCAL / (camera[:, 2:] + 1e-9)
    return PearOutput(
        rotation_6d=layers["smplx_poses_decoder"].unflatten(1, (NUM_ROTATIONS, 6)),
        hand_scale=scale[:, :3],
        head_scale=scale[:, 3:],
        betas=layers["smplx_shape_decoder"],
        expression=layers["smplx_expression_decoder"],
        eye_pose=face[:, :6].unflatten(1, (2, 3)),
        head_pose=face[:, 6:9],
        jaw_pose=face[:, 9:12],
        eyelids=face[:, 12:14],
        head_betas=layers["flame_shape_decoder"],
        head_expression=layers["flame_expression_decoder"],
        camera=torch.cat([camera[:, :2], depth], dim=1),
    )


def local_rotations(output: PearOutput) -> Tensor:
    """(B, 55, 3, 3) in the package's joint order, the root in the network's own world (y down)."""
    R = rotation_6d_to_matrix(output.rotation_6d)
    face = torch.cat([output.jaw_pose.unsqueeze(1), output.eye_pose], dim=1)
    left = 1 + _NUM_BODY
    return torch.cat([R[:, :left], axis_angle_to_matrix(face), R[:, left:]], dim=1)


def proportions(output: PearOutput) -> Proportions:
    """Head and hand scale and the head's shape; joint offsets are not predicted."""
    return Proportions(output.head_scale, output.hand_scale, output.head_betas)


def body_params(output: PearOutput, pelvis: Tensor, *, expression: str = "head") -> BodyParams:
    """The person in this package's world: y up, the camera at the origin looking along -z.

    Args:
        output: of B people.
        pelvis: (B, 3) the rest position of joint 0 of each person's shaped body, metres. The
            body turns about it, so the translation depends on it.
        expression: ``"head"`` takes the head model's coefficients (for a body with a FLAME head),
            ``"body"`` the body model's own.

    Raises:
        ValueError: another expression was asked for.
    """
    if expression not in ("head", "body"):
        raise ValueError(f"expression must be 'head' or 'body', got {expression!r}")
    rotations = local_rotations(output)
    flip = _half_turn(rotations)
    # The point of the released picture is R (v - pelvis) + pelvis + (-tx, -ty, tz) in OpenCV's
    # axes; ours adds the pelvis unturned.
    tx, ty, tz = output.camera.unbind(-1)
    transl = (pelvis + torch.stack([-tx, -ty, tz], dim=-1)) * flip - pelvis
    root = flip[:, None] * rotations[:, :1]
    return BodyParams(
        betas=output.betas,
        expression=output.head_expression if expression == "head" else output.expression,
        rotations=torch.cat([root, rotations[:, 1:]], dim=1),
        transl=transl,
    )


def crop_cameras(boxes: Tensor, width: int, height: int) -> Camera:
    """The cameras that see, in a whole frame, what the network saw in its crops.

    Args:
        boxes: (B, 3) left, top and side of each square crop in pixels of the frame.
        width, height: of the frame.

    Returns:
        B cameras at the origin of this package's world. All of them see their crop with the
        published field of view, so their focal length is that of a very long lens: depths within
        one picture agree with its pixels, but are not distances from the photographer.
    """
    side = boxes[:, 2]
    zero, one = torch.zeros_like(side), torch.ones_like(side)
    focal = 0.5 * FOCAL * side
    center = boxes[:, :2] + 0.5 * side[:, None]
    entries = [focal, zero, center[:, 0], zero, focal, center[:, 1], zero, zero, one]
    K = torch.stack(entries, dim=-1).unflatten(-1, (3, 3))
    T = default_world_camera(K.dtype).to(K.device).expand(len(boxes), 4, 4)
    return Camera(K, T, int(width), int(height))


def _half_turn(like: Tensor) -> Tensor:
    """(3,) the diagonal of half a turn about x, made on the device without a copy to it."""
    flip = -torch.ones(3, dtype=like.dtype, device=like.device)
    flip[:1].neg_()
    return flip
