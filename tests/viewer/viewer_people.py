"""A hand-made person with a track and a clip, and a small worker twin, for the viewer's tests."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from pear_avatar.avatar.binding import sample_surface
from pear_avatar.avatar.file_format import save_avatar
from pear_avatar.avatar.avatar import Avatar, SplatSet, personalise
from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.motion.track_file import save_track
from pear_avatar.io.video import VideoWriter
from pear_avatar.geometry.cameras import default_world_camera, intrinsics
from pear_avatar.geometry.rotations import axis_angle_to_matrix
from pear_avatar.types import BodyParams, Camera, Motion, Track

WIDTH, HEIGHT, FPS = 240, 320, 20.0


def make_person(num_splats: int = 6000, seed: int = 0) -> Avatar:
    """A body of some shape in clothes of its own, with splats of all colours and sizes."""
    body = load_body()
    generator = torch.Generator().manual_seed(seed)
    betas = torch.zeros(body.num_betas)
    betas[:6] = torch.randn(6, generator=generator) * 0.8
    normals = torch.nn.functional.normalize(body.v_template - body.v_template.mean(0), dim=-1)
    own = personalise(body, betas, 0.004 * normals)
    binding = sample_surface(own.v_template, own.faces, torch.ones(len(own.faces)), num_splats, 1)
    count = binding.count

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    quats = torch.nn.functional.normalize(
        torch.tensor([1.0, 0.0, 0.0, 0.0]) + 0.15 * noise(count, 4), dim=-1
    )
    spacing = binding.spacing[:, None].log()
    flat = torch.tensor([-0.3, -0.3, -1.4])
    place = binding.rest_points(own.v_template)
    colors = 0.5 + 0.45 * torch.sin(9 * place + torch.tensor([0.0, 2.0, 4.0]))
    splats = SplatSet(
        0.003 * noise(count, 3),
        quats,
        spacing + flat + 0.2 * noise(count, 3),
        3.0 + noise(count),
        (colors + 0.05 * noise(count, 3)).clamp(0, 1),
    )
    metadata = {"source": "clip.mp4", "steps": "10", "heldout": '{"psnr_masked": 24.5}'}
    return Avatar(own, binding, splats, betas, metadata)


def make_motion(avatar: Avatar, num_frames: int = 12) -> Motion:
    """Everything moves: all joints a little, arms a lot, the face too; three metres away."""
    generator = torch.Generator().manual_seed(5)
    time = torch.linspace(0, 1, num_frames)
    axis_angle = 0.12 * torch.randn(1, 55, 3, generator=generator).expand(num_frames, -1, -1)
    axis_angle = axis_angle * torch.sin(2 * math.pi * time)[:, None, None]
    axis_angle[:, JOINT_INDEX["left_shoulder"], 2] = -1.1 + 1.4 * time
    axis_angle[:, JOINT_INDEX["right_shoulder"], 2] = 1.1 - 0.4 * time
    axis_angle[:, JOINT_INDEX["jaw"], 0] = 0.2 * time
    expression = torch.randn(1, avatar.body.num_expression, generator=generator) * time[:, None]
    transl = torch.stack([0.1 * time - 0.05, 0.25 + 0 * time, -3.0 + 0 * time], 1)
    params = BodyParams(avatar.betas, expression, axis_angle_to_matrix(axis_angle), transl)
    return Motion(params, np.arange(num_frames) / FPS, "clip.mp4")


def make_track(avatar: Avatar, num_frames: int = 12) -> Track:
    """The motion as tracked in a clip of our own."""
    camera = Camera(intrinsics(400.0, WIDTH, HEIGHT), default_world_camera(), WIDTH, HEIGHT)
    cameras = Camera(
        camera.K.expand(num_frames, 3, 3),
        camera.T_camera_world.expand(num_frames, 4, 4),
        WIDTH,
        HEIGHT,
    )
    frames = np.arange(num_frames)
    return Track(
        make_motion(avatar, num_frames), cameras, frames, np.ones(num_frames, bool), 0.0 * frames
    )


def draw_frame(avatar: Avatar, params: BodyParams, camera: Camera) -> torch.Tensor:
    """(H, W, 4) straight colour and alpha in [0, 1], by the C++ rasteriser."""
    with torch.no_grad():
        out = avatar.gaussians(params).render(camera)
    straight = torch.where(out.alpha > 1e-3, out.color / out.alpha.clamp_min(1e-3), 0.0)
    return torch.cat([straight, out.alpha], -1)


def save_person(folder: Path, avatar: Avatar, *, num_frames: int = 12) -> Path:
    """A result folder with avatar, track and clip; returns the avatar's file."""
    folder.mkdir(parents=True, exist_ok=True)
    track = make_track(avatar, num_frames)
    save_avatar(folder / "avatar.safetensors", avatar)
    save_track(folder / "track.npz", track)
    with VideoWriter(folder / "clip.mp4", FPS) as video:
        for i in range(num_frames):
            drawn = draw_frame(avatar, track.motion.params[i], track.camera[i])
            rgb = drawn[..., :3] * drawn[..., 3:] + 0.35 * (1 - drawn[..., 3:])
            video.write((rgb.clamp(0, 1) * 255).to(torch.uint8).numpy())
    return folder / "avatar.safetensors"


def _bvh_joint(name: str, offset: str, *children: list[str]) -> list[str]:
    """Lines of one joint and what hangs on it."""
    inner = [line for child in children for line in child] or ["End Site", "{", "OFFSET 0 5 0", "}"]
    head = [f"JOINT {name}", "{", f"OFFSET {offset}", "CHANNELS 3 Zrotation Xrotation Yrotation"]
    return [*head, *inner, "}"]


def _bvh() -> str:
    def limb(*parts: tuple[str, str]) -> list[str]:
        (name, offset), *rest = parts
        return _bvh_joint(name, offset, *([limb(*rest)] if rest else []))

    arms = [
        limb((f"{side}Arm", f"{x * 15} 30 0"), (f"{side}ForeArm", f"{x * 28} 0 0"),
             (f"{side}Hand", f"{x * 25} 0 0"))
        for side, x in (("Left", 1), ("Right", -1))
    ]
    legs = [
        limb((f"{side}UpLeg", f"{x * 9} 0 0"), (f"{side}Leg", "0 -42 0"),
             (f"{side}Foot", "0 -42 0"), (f"{side}ToeBase", "0 -6 12"))
        for side, x in (("Left", 1), ("Right", -1))
    ]
    spine = _bvh_joint("Spine", "0 20 0", _bvh_joint("Head", "0 40 0"), *arms)
    root = ["ROOT Hips", "{", "OFFSET 0 90 0"]
    root += ["CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"]
    tree = [*root, *spine, *(line for leg in legs for line in leg), "}"]
    joints = sum(line.startswith(("JOINT", "ROOT")) for line in tree)
    frames = [
        " ".join(["0 90 0", *["0"] * 3, *([f"{5 * k}"] * 3 * (joints - 1))]) for k in range(6)
    ]
    return "\n".join(["HIERARCHY", *tree, "MOTION", "Frames: 6", "Frame Time: 0.04", *frames, ""])


#: Six frames of a small skeleton with Mixamo's names.
WALK_BVH = _bvh()
