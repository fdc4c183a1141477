"""Draw an avatar with a camera of your own, in the splat renderer of this package or another.

python examples/06_splats_on_your_camera.py holiday-avatar/avatar.safetensors
"""

import argparse
from pathlib import Path

import torch
from PIL import Image

import pear_avatar as pear
from pear_avatar.rendering.showcase import standard_pose

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("avatar", type=Path)
parser.add_argument("-o", "--out", type=Path, default=Path("close-up.png"))
parser.add_argument("--size", type=int, nargs=2, default=(512, 512), metavar=("W", "H"))
args = parser.parse_args()

avatar = pear.load_avatar(args.avatar)
with torch.no_grad():
    pose = standard_pose(avatar, "down")
    head = avatar.body.shape().pose(pose.rotations, pose.transl).joints[15]

    # A camera is K in pixels and T_camera_world (4, 4); OpenCV axes, metres, pixel centres at +.5.
    width, height = args.size
    eye = head + torch.tensor([0.5, 0.1, 1.2])
    camera = pear.Camera(
        K=pear.intrinsics(1.6 * height, width, height),
        T_camera_world=pear.look_at(eye, head),
        width=width,
        height=height,
    )
    splats = avatar.gaussians(pose)
    picture = splats.render(camera, background=torch.tensor([0.1, 0.1, 0.12]))

print(f"{float((picture.alpha > 0.5).float().mean()):.0%} of the picture is covered")
print(f"nearest point: {float(picture.expected_depth()[picture.alpha > 0.5].min()):.2f} m away")
Image.fromarray((picture.color.clamp(0, 1) * 255).byte().numpy()).save(args.out)

# Another renderer takes the same numbers; gsplat.rasterization, for one, with activations applied:
arguments = {
    "means": splats.means,
    "quats": splats.quats_wxyz,
    "scales": splats.log_scales.exp(),
    "opacities": splats.logit_opacities.sigmoid(),
    "colors": splats.colors,
    "viewmats": camera.T_camera_world[None],
    "Ks": camera.K[None],
    "width": width,
    "height": height,
}
print({name: tuple(getattr(value, "shape", ())) or value for name, value in arguments.items()})
