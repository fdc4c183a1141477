"""Export an avatar for game engines and other programs: rigged mesh, splats, motion, web page.

python examples/05_export_for_engines.py holiday-avatar dance.bvh
"""

import argparse
from pathlib import Path

import pear_avatar as pear

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("avatar", type=Path, help="an avatar file or the folder of a fit")
parser.add_argument("motion", type=Path)
parser.add_argument("-o", "--out", type=Path, default=Path("exported"))
args = parser.parse_args()
args.out.mkdir(parents=True, exist_ok=True)

# Blender, Unity, Unreal, Godot, three.js: skin, 55 joints, texture, the motion as animation.
pear.export_mesh(args.avatar, args.out / "avatar.glb", motions=[args.motion])

# Splat viewers: the avatar frozen in one frame of the motion, as 3D Gaussian splatting files.
pear.export_splats(args.avatar, args.out / "pose.ply", pose=args.motion, frame=0)
pear.export_splats(args.avatar, args.out / "pose.spz", pose=args.motion, frame=0)

# Only the motion, on this package's 55 joints: for animation programs, and as AMASS does.
motion = pear.load_motion(args.motion)
pear.save_motion(args.out / "motion.bvh", motion)
pear.save_motion(args.out / "motion.npz", motion, layout="amass")

# One page that opens from disk, with the avatar and its motions in it.
pear.export_html(args.avatar, args.out / "avatar.html", motions=[args.motion])

for path in sorted(args.out.iterdir()):
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
