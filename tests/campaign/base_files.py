"""Small valid files of every format that the commands read: what the cases damage."""

from __future__ import annotations

import io
import json
import pickle
import wave
import zipfile
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

from pear_avatar.avatar.file_format import save_avatar
from pear_avatar.body import load_body
from pear_avatar.io.video import VideoWriter
from pear_avatar.motion.formats.registry import load_motion
from pear_avatar.motion.write_bvh import save_bvh
from tests.support.grey_avatar import grey_avatar

FRAMES = 6
MOTIONS = ("m.npz", "m.bvh", "m.pkl", "m.pt", "m.npy", "m.json", "m.trc")
PICTURES = ("p.png", "p.jpg", "p.webp", "p.gif", "p.tiff", "p.bmp")
VIDEOS = ("v.mp4", "v.mkv", "v.avi")


def make_base_files(folder: Path) -> None:
    """Write every base file once."""
    folder.mkdir(parents=True, exist_ok=True)
    _motions(folder)
    _media(folder)
    save_avatar(folder / "a.safetensors", grey_avatar(50, logit_opacity=0.0))
    K = [[100.0, 0.0, 64.0], [0.0, 100.0, 48.0], [0.0, 0.0, 1.0]]
    entry = {"K": K, "R": np.eye(3).tolist(), "t": [0, 0, 0], "image_wh": [128, 96]}
    (folder / "c.json").write_text(json.dumps({"left": entry, "right": entry}))
    (folder / "mine.txt").write_text("the user's own notes\n")
    (folder / "preset.yaml").write_text("clip:\n  max_frames: 3\n")


def _motions(folder: Path) -> None:
    poses, trans = np.zeros((FRAMES, 165)), np.zeros((FRAMES, 3))
    poses[:, 5] = np.linspace(0, 1, FRAMES)
    arrays = {"poses": poses, "trans": trans, "mocap_frame_rate": np.array(30.0)}
    np.savez(folder / "m.npz", **arrays)
    (folder / "m.pkl").write_bytes(pickle.dumps({k: v.copy() for k, v in arrays.items()}))
    smpl = {
        "global_orient": torch.zeros(FRAMES, 3),
        "body_pose": torch.zeros(FRAMES, 63),
        "transl": torch.zeros(FRAMES, 3),
    }
    torch.save({"smpl_params_global": smpl}, folder / "m.pt")
    np.save(folder / "m.npy", np.zeros((FRAMES, 322)))
    plain = {k: v.tolist() for k, v in arrays.items()}
    (folder / "m.json").write_text(json.dumps(plain))
    motion = load_motion(folder / "m.npz")
    save_bvh(folder / "m.bvh", motion, load_body())
    (folder / "m.trc").write_text(
        "PathFileType\t4\t(X/Y/Z)\tm.trc\nDataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\n"
        "30\t30\t2\t1\tm\nFrame#\tTime\tHip\t\t\n\t\tX1\tY1\tZ1\n1\t0\t0\t1\t0\n2\t.03\t0\t1\t0\n"
    )


def _media(folder: Path) -> None:
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 255, (96, 128, 3), np.uint8))
    for name in PICTURES:
        noise.save(folder / name)
    with VideoWriter(folder / "v.mp4", 12.0) as writer:
        for shade in range(FRAMES):
            writer.write(np.full((96, 128, 3), 100 + shade, np.uint8))
    for name in ("v.mkv", "v.avi"):
        with av.open(str(folder / name), "w") as out:
            stream = out.add_stream("mpeg4", rate=12)
            stream.width, stream.height = 128, 96
            for shade in range(FRAMES):
                grey = np.full((96, 128, 3), 100 + shade, np.uint8)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            out.mux(stream.encode(None))
    with wave.open(str(folder / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(b"\0\1" * 4000)


def bombs() -> dict[str, bytes]:
    """Small motion files that unfold into gigabytes, or nest without end."""
    found = {
        "deep_tuples.pkl": b"\x80\x04" + b"(" * 100_000 + b")" + b"t" * 100_000 + b".",
        "deep_key.pkl": b"\x80\x04})" + b"\x85" * 100_000 + b"K\x01s.",
        "deep_lists.pkl": b"\x80\x04" + b"](" * 1000 + b"e" * 1000 + b".",
        "deep.json": b'{"poses":' * 20_000,
        "wide.json": b'{"poses":[' + b"[]," * 500_000 + b"[]]}",
        "doubling.pkl": _doubling(),
        "long_line.bvh": b"HIERARCHY\n" + b"ROOT " * 500_000,
        "deep.bvh": b"HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 0\n" + b"JOINT b\n{\n" * 50_000,
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for k in range(6):
            head = io.BytesIO()
            shape = (900_000_000 // 8,)
            np.lib.format.write_array_header_1_0(
                head, {"descr": "<f8", "fortran_order": False, "shape": shape}
            )
            with archive.open(f"poses{k}.npy", "w", force_zip64=True) as entry:
                entry.write(head.getvalue())
                for _ in range(60):
                    entry.write(bytes(1_000_000))
    found["zeros.npz"] = packed.getvalue()
    return found


def _doubling() -> bytes:
    """Lists that hold the one before twice, sixty times over."""
    steps = b"".join(b"]\x94(h%ch%ce" % (k, k) for k in range(60))
    return b"\x80\x04]\x94" + steps.replace(b"\x94(", b"\x94(") + b"."
