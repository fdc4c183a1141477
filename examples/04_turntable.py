"""Draw an avatar from all sides into an animated WebP.

python examples/04_turntable.py holiday-avatar/avatar.safetensors
"""

import argparse
from pathlib import Path

import torch
from PIL import Image

import pear_avatar as pear
from pear_avatar.rendering.camera_paths import turntable_path
from pear_avatar.rendering.showcase import standard_pose

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("avatar", type=Path)
parser.add_argument("-o", "--out", type=Path, default=Path("turntable.webp"))
parser.add_argument("--frames", type=int, default=48)
parser.add_argument("--size", type=int, nargs=2, default=(360, 512), metavar=("W", "H"))
args = parser.parse_args()

avatar = pear.load_avatar(args.avatar)
width, height = args.size
with torch.no_grad():
    pose = standard_pose(avatar, "down")
    splats = avatar.gaussians(pose)
    # The pose does not change: the splats are made once and drawn by every camera.
    cameras = turntable_path(avatar.vertices(pose), args.frames, width=width, height=height)
    pictures = [splats.render(cameras[i], torch.ones(3)).color for i in range(args.frames)]

frames = [Image.fromarray((p.clamp(0, 1) * 255).byte().numpy()) for p in pictures]
frames[0].save(args.out, save_all=True, append_images=frames[1:], duration=50, loop=0)
print(f"written: {args.out}")
