"""Fit an avatar to a video, then draw it in a pose that the video does not show.

python examples/01_fit_and_repose.py holiday.mp4
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image

import pear_avatar as pear
from pear_avatar.body.joints import JOINT_INDEX
from pear_avatar.geometry.rotations import axis_angle_to_matrix

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("video", type=Path)
parser.add_argument("-o", "--out", type=Path, default=Path("example-avatar"))
parser.add_argument("--preset", default="fast", help="fast, default, high or a YAML file")
parser.add_argument("--set", dest="settings", nargs="*", default=[], metavar="KEY=VALUE")
args = parser.parse_args()

# Interrupt it whenever you like: the same call continues where it stopped.
result = pear.fit(args.video, args.out, preset=args.preset, settings=args.settings)
print(f"{result.report['heldout']['psnr_masked']:.1f} dB on frames that the fit never saw")

# One frame of the tracked motion, with the right arm raised and the head turned.
frame = result.track.motion.params[0]
rotations = frame.rotations.clone()
rotations[JOINT_INDEX["right_shoulder"]] = axis_angle_to_matrix(torch.tensor([0.0, 0.0, -0.9]))
rotations[JOINT_INDEX["head"]] = axis_angle_to_matrix(torch.tensor([0.0, 0.5, 0.0]))
pose = replace(frame, rotations=rotations)

# The video's own camera; world units are metres, images are RGB in [0, 1].
with torch.no_grad():
    image = result.avatar.gaussians(pose).render(result.track.camera[0], torch.ones(3)).color
Image.fromarray((image.clamp(0, 1) * 255).byte().numpy()).save(args.out / "reposed.png")
print(f"written: {args.out / 'reposed.png'}")
