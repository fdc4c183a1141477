"""Take the pose from a photo and give it to an avatar.

python examples/08_pose_like_a_photo.py holiday-avatar/avatar.safetensors yoga.jpg
"""

import argparse
from pathlib import Path

import numpy as np

import pear_avatar as pear

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("avatar", type=Path)
parser.add_argument("photo", type=Path)
parser.add_argument("-o", "--out", type=Path, default=Path("posed"))
parser.add_argument("--size", type=int, nargs=2, default=(512, 512), metavar=("W", "H"))
args = parser.parse_args()

people = pear.recover(args.photo)
if not people:
    raise SystemExit(f"{args.photo} shows no person")

# A motion is N poses of one body; a photo gives one.
p = people[0].params
params = pear.BodyParams(p.betas, p.expression[None], p.rotations[None], p.transl[None])
motion = pear.Motion(params, time=np.zeros(1), name=args.photo.name)
pear.save_motion(args.out.with_suffix(".npz"), motion)

# PNG pictures with alpha; the pose is fitted to the avatar's own proportions.
folder = pear.render(args.avatar, motion, args.out, background="transparent", size=tuple(args.size))
print(f"written: {folder}")
