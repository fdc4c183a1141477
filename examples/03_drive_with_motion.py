"""Drive an avatar with motion capture: AMASS, BVH, SMPL-X files, a track, or your own numbers.

python examples/03_drive_with_motion.py holiday-avatar/avatar.safetensors dance.bvh
"""

import argparse
from dataclasses import replace
from pathlib import Path

import pear_avatar as pear

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("avatar", type=Path)
parser.add_argument("motion", type=Path)
parser.add_argument("-o", "--out", type=Path, default=Path("driven.mp4"))
parser.add_argument("--size", type=int, nargs=2, default=(512, 512), metavar=("W", "H"))
parser.add_argument("--max-frames", type=int)
args = parser.parse_args()

# The file's format is recognised by its content; any human skeleton is retargeted.
motion = pear.load_motion(args.motion)
print(f"{motion.params.num_frames} frames at {motion.fps:.4g} fps from {args.motion.name}")

# A motion is plain tensors: slow it down to half its speed before it is rendered.
slow = replace(motion, time=motion.time * 2)
avatar = pear.load_avatar(args.avatar)
pear.render(
    avatar, slow, args.out, camera="orbit", size=tuple(args.size), max_frames=args.max_frames
)
print(f"written: {args.out}")
