"""``pear-avatar export``: an avatar as one file for other programs and people."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from pear_avatar.choices import SplatAxes, VrmPermission
from pear_avatar.cli.options import (
    Subparsers,
    add_command,
    add_force_option,
    add_rig_options,
    plan_outputs,
    positive_int,
    rig_style,
)
from pear_avatar.commands.find_avatars import AVATAR_FILE, find_avatar
from pear_avatar.errors import (
    EXIT_OK,
    PearError,
    require_file,
)
from pear_avatar.machine import limit_threads

_EXAMPLES = """\
  pear-avatar export holiday-avatar --html me.html
      one page with the avatar and the viewer in it; opens from disk, needs no network
  pear-avatar export holiday-avatar --html me.html --motion dance.npz --with-video
  pear-avatar export holiday-avatar --web me/
      a folder for any static web host; visitors' cameras drive the avatar, in their own browser
  pear-avatar export holiday-avatar --ply me.ply --spz me.spz --pose dance.npz --frame 40
      splats of one pose, for other splat viewers
  pear-avatar export holiday-avatar --gltf splats.glb --glb body.glb
      splats as glTF (KHR_gaussian_splatting), and a skinned mesh with facial expressions
  pear-avatar export holiday-avatar --glb body.glb --motion walk.bvh --motion dance.npz
      the mesh with two clips; --bones mixamo, unreal or vrm for other joint names
"""
#: Option, endings it may have, what it writes.
_KINDS = {
    "html": ((".html", ".htm"), "one web page: the avatar, its motions and the viewer"),
    "ply": ((".ply",), "splats of a pose as 3DGS PLY"),
    "spz": ((".spz",), "splats of a pose as SPZ"),
    "gltf": ((".gltf", ".glb"), "splats of a pose as glTF (KHR_gaussian_splatting)"),
    "glb": ((".glb",), "a skinned, textured mesh with facial expressions"),
    "usd": ((".usdz",), "the same mesh as USD (UsdSkel); needs pear-avatar[usd]"),
    "vrm": ((".vrm",), "VRM 1.0: humanoid, 52 facial expressions, licence"),
    "pmo": ((".pmo",), "the motion of --pose, to be dropped onto an exported web page"),
}


def add_parser(commands: Subparsers) -> None:
    """Add the command and its options."""
    parser = add_command(
        commands, "export", "Write an avatar as a web page, splats or a mesh.", _EXAMPLES
    )
    parser.add_argument(
        "avatar",
        nargs="?",
        type=Path,
        metavar="AVATAR",
        help="avatar file or result folder (default: the newest one under the current folder)",
    )
    for kind, (_, summary) in _KINDS.items():
        parser.add_argument(f"--{kind}", type=Path, metavar="FILE", help=summary)
    parser.add_argument(
        "--web",
        type=Path,
        metavar="DIR",
        help="a new folder for a static web host: the page, and a camera drives the avatar",
    )
    parser.add_argument(
        "--motion",
        dest="motions",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a motion for the web page, or a clip of the mesh; may be given many times",
    )
    parser.add_argument(
        "--with-video",
        action="store_true",
        help="put the input video into the web page, scaled down, to compare with",
    )
    parser.add_argument(
        "--video", type=Path, metavar="FILE", help="that video, where it is not found by itself"
    )
    parser.add_argument(
        "--pose", type=Path, metavar="FILE", help="pose of the splats (default: standing)"
    )
    parser.add_argument(
        "--frame", type=int, default=0, metavar="N", help="frame of that file (default: 0)"
    )
    parser.add_argument(
        "--axes",
        choices=get_args(SplatAxes),
        default="y-up",
        help="of PLY files: y-up as SPZ (default), y-down as cameras and many 3DGS captures",
    )
    parser.add_argument(
        "--texture-size",
        type=positive_int,
        default=1024,
        metavar="N",
        help="pixels a side of the mesh's texture, 16 to 8192 (default: 1024)",
    )
    add_rig_options(parser)
    _add_vrm_options(parser)
    add_force_option(parser)
    parser.set_defaults(run=run)


def _add_vrm_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what a VRM file says of itself")
    group.add_argument("--name", metavar="NAME", help="of the avatar (default: its file's)")
    group.add_argument("--author", metavar="NAME", help="who made it; needed for --vrm")
    group.add_argument(
        "--permission",
        choices=get_args(VrmPermission),
        default="onlyAuthor",
        help="who may act as it (default: onlyAuthor)",
    )
    group.add_argument(
        "--licence", default="", metavar="URL", help="your own licence, beside VRM's"
    )


def run(args: argparse.Namespace) -> int:
    """Write all that was asked for, and say how large it is."""
    outputs = {kind: path for kind in _KINDS if (path := getattr(args, kind)) is not None}
    if not outputs and args.web is None:
        options = ", ".join(f"--{kind} FILE" for kind in _KINDS)
        raise PearError(f"say what to write: {options}, --web DIR")
    for kind, path in outputs.items():
        endings = _KINDS[kind][0]
        if path.suffix.lower() not in endings:
            raise PearError(f"--{kind} writes {' or '.join(endings)} files, got {path}")
        if path.is_dir():
            raise PearError(f"{path} is a folder: name a file in it")
    if args.pmo is not None and args.pose is None:
        raise PearError("--pmo writes a motion: name it with --pose FILE")
    if args.vrm is not None and not args.author:
        raise PearError("a VRM file names its author: add --author NAME")
    target: Path = args.avatar if args.avatar is not None else find_avatar(None, Path.cwd())
    for path in (*args.motions, *([args.pose] if args.pose else [])):
        require_file(path, "motion")
    if args.video is not None:
        require_file(args.video, "video")
    avatar_file = target / AVATAR_FILE if target.is_dir() else target
    plan_outputs(args, outputs.values(), [avatar_file, *args.motions, args.pose, args.video])
    limit_threads()

    from pear_avatar.commands.export import export_web, one_avatar

    avatar = one_avatar(target)
    print(f"avatar: {avatar}")
    for kind, path in outputs.items():
        _writers(args, avatar)[kind](path)
        print(f"written: {path} ({path.stat().st_size / 1e6:.1f} MB)")
    if args.web is not None:
        size = export_web(avatar, args.web, motions=args.motions)
        print(f"written: {args.web} ({size / 1e6:.1f} MB)")
    return EXIT_OK


def _writers(args: argparse.Namespace, avatar: Path) -> dict[str, Callable[[Path], object]]:
    from pear_avatar.commands import export
    from pear_avatar.export import VrmMeta

    def splats(path: Path) -> None:
        export.export_splats(avatar, path, pose=args.pose, frame=args.frame, axes=args.axes)

    return {
        "html": lambda path: export.export_html(
            avatar,
            path,
            motions=args.motions,
            with_video=args.with_video or args.video is not None,
            video=args.video,
        ),
        "ply": splats,
        "spz": splats,
        "gltf": splats,
        "glb": lambda path: export.export_mesh(
            avatar,
            path,
            motions=args.motions,
            rig=rig_style(args),
            texture_size=args.texture_size,
        ),
        "usd": lambda path: export.export_usd(
            avatar,
            path,
            motions=args.motions,
            rig=rig_style(args),
            texture_size=args.texture_size,
        ),
        "vrm": lambda path: export.export_vrm(
            avatar,
            path,
            meta=VrmMeta(args.name or path.stem, args.author, args.permission, args.licence),
            texture_size=args.texture_size,
        ),
        "pmo": lambda path: export.export_motion(avatar, path, pose=args.pose),
    }
