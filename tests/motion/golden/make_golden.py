"""Makes the files of this folder: one small file of every pose format, and what is read in each.

Run it only when a format's meaning changes on purpose:

    python tests/data/golden/make_golden.py

All files show motions of our own making. ``joints.npz`` holds the posed joints (N, 55, 3) in
metres that each file gave when its pictures had been looked at.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

from pear_avatar.body import load_body
from pear_avatar.body.joints import JOINT_INDEX, JOINT_NAMES, PARENTS
from pear_avatar.geometry.rotations import axis_angle_to_matrix, matrix_to_quat_wxyz
from pear_avatar.motion.formats.registry import read_motion
from pear_avatar.motion.write_bvh import save_bvh
from pear_avatar.motion.write_poses import (
    save_motion_amass,
    save_motion_ehm,
    save_motion_smplh,
    save_motion_smplx,
)
from pear_avatar.types import BodyParams, Motion

HERE = Path(__file__).parent
FRAMES = 4
FILES = (
    "amass_smplh.npz", "amass_smplx.npz", "smplx_names.npz", "gvhmr.pt", "ehm_tracker.pkl",
    "ehm_arrays.npz", "flame_only.npz", "body.bvh", "studio.bvh", "walker.amc", "poselib.npy",
)  # fmt: skip


def wave_angles() -> np.ndarray:
    """(4, 55, 3) axis-angle: a turn, a step, a bent arm, an open mouth, fingers."""
    angles = np.zeros((FRAMES, 55, 3))
    t = np.linspace(0, 1, FRAMES)
    turns = {
        "pelvis": (0, 0.6, 0), "left_hip": (-0.5, 0, 0.1), "left_knee": (0.8, 0, 0),
        "right_ankle": (0.2, 0, 0), "spine2": (0.1, 0.2, 0.05), "head": (0.1, -0.4, 0),
        "left_shoulder": (0, 0, -1.1), "right_shoulder": (0.1, 0.2, 1.0),
        "right_elbow": (0, 1.4, 0), "left_wrist": (0, 0, 0.3), "jaw": (0.2, 0, 0),
        "left_eye": (0, 0.2, 0), "right_eye": (0, 0.2, 0), "right_index1": (0, 0, 0.7),
        "left_thumb2": (0.1, 0.3, 0),
    }  # fmt: skip
    for name, turn in turns.items():
        angles[:, JOINT_INDEX[name]] = t[:, None] * np.array(turn)
    return angles


def wave_motion() -> Motion:
    """The same as a motion that walks 30 cm ahead, at 25 frames a second."""
    path = np.stack([np.zeros(FRAMES), np.full(FRAMES, 0.9), np.linspace(0, 0.3, FRAMES)], 1)
    params = BodyParams(
        torch.zeros(10),
        torch.zeros(FRAMES, 10),
        axis_angle_to_matrix(torch.from_numpy(wave_angles())).float(),
        torch.from_numpy(path).float(),
    )
    return Motion(params, np.arange(FRAMES) / 25.0, "wave")


def write_trackers(angles: np.ndarray) -> None:
    """GVHMR, EHM tracker and FLAME files, as their programs write them."""
    f32 = torch.float32
    part = {
        "body_pose": torch.tensor(angles[:, 1:22].reshape(FRAMES, 63), dtype=f32),
        "betas": torch.full((FRAMES, 10), 0.3),
        "global_orient": torch.tensor(angles[:, 0], dtype=f32),
        "transl": torch.tensor([[0.0, 1.2, 0.1 * n] for n in range(FRAMES)]),
    }
    half_turn = torch.tensor([[torch.pi, 0.0, 0.0]]).expand(FRAMES, 3).clone()
    seen = {**part, "global_orient": half_turn, "transl": torch.tensor([[0.1, 0.2, 4.0]] * FRAMES)}
    K = torch.tensor([[900.0, 0, 320], [0, 900.0, 240], [0, 0, 1]]).expand(FRAMES, 3, 3).clone()
    torch.save(
        {"smpl_params_global": part, "smpl_params_incam": seen, "K_fullimg": K}, HERE / "gvhmr.pt"
    )
    frames = {}
    for n in range(FRAMES):
        RT = np.array([[-1, 0, 0, 0.1], [0, -1, 0, 0.3], [0, 0, 1, 24.0]], np.float32)
        frames[f"frame_{n:06d}"] = {
            "smplx_coeffs": {
                "exp": np.zeros(50, np.float32),
                "global_pose": np.array([np.pi, 0.0, 0.0], np.float32),
                "body_pose": angles[n, 1:22].astype(np.float32),
                "left_hand_pose": angles[n, 25:40].astype(np.float32),
                "right_hand_pose": angles[n, 40:55].astype(np.float32),
                "body_cam": np.array([1.0, 0.0, 0.0], np.float32),
                "camera_RT_params": RT,
            },
            "flame_coeffs": {
                "expression_params": np.full(50, 0.1, np.float32),
                "jaw_params": angles[n, 22].astype(np.float32),
                "pose_params": np.zeros(3, np.float32),
                "eye_pose_params": angles[n, 23:25].reshape(6).astype(np.float32),
                "eyelid_params": np.array([0.0, n / 3], np.float32),
            },
            "head_crop": {"M_o2c": np.eye(3)},
        }
    (HERE / "ehm_tracker.pkl").write_bytes(pickle.dumps(frames, protocol=4))
    np.savez_compressed(
        HERE / "flame_only.npz",
        expression_params=np.zeros((FRAMES, 50)),
        pose_params=angles[:, JOINT_INDEX["head"]],
        jaw_params=angles[:, 22],
        eye_pose_params=angles[:, 23:25].reshape(FRAMES, 6),
        eyelid_params=np.tile(np.linspace(0, 1, FRAMES)[:, None], (1, 2)),
    )


def write_poselib(motion: Motion) -> None:
    """Isaac Gym's dictionary: fifteen bodies, z up, facing +x, arms hanging at rest."""
    names = ["pelvis", "torso", "head"]
    parents, offsets = [-1, 0, 1], [[0, 0, 1.0], [0, 0, 0.24], [0, 0, 0.22]]
    for side, sign in (("right", -1), ("left", 1)):
        at = len(names)
        names += [f"{side}_{n}" for n in ("upper_arm", "lower_arm", "hand")]
        parents += [1, at, at + 1]
        offsets += [[-0.02, sign * 0.18, 0.24], [0, 0, -0.27], [0, 0, -0.26]]
    for side, sign in (("right", -1), ("left", 1)):
        at = len(names)
        names += [f"{side}_{n}" for n in ("thigh", "shin", "foot")]
        parents += [0, at, at + 1]
        offsets += [[0, sign * 0.085, 0], [0, 0, -0.42], [0, 0, -0.41]]
    angles = np.zeros((FRAMES, len(names), 3))
    t = np.linspace(0, 1, FRAMES)
    angles[:, names.index("pelvis"), 2] = 0.5 * t
    angles[:, names.index("left_lower_arm"), 1] = -1.2 * t
    angles[:, names.index("right_thigh"), 1] = -0.6 * t
    angles[:, names.index("right_shin"), 1] = 0.9 * t
    wxyz = matrix_to_quat_wxyz(axis_angle_to_matrix(torch.from_numpy(angles)))

    def wrapped(array: np.ndarray) -> dict:
        return OrderedDict(arr=array, context=OrderedDict(dtype=array.dtype.name))

    tree = OrderedDict(
        node_names=names,
        parent_indices=wrapped(np.array(parents, np.int64)),
        local_translation=wrapped(np.array(offsets, np.float32)),
    )
    root = np.stack([0.3 * t, 0 * t, 0.86 + 0 * t], 1).astype(np.float32)
    content = OrderedDict(
        rotation=wrapped(wxyz.roll(-1, -1).float().numpy()),
        root_translation=wrapped(root),
        global_velocity=wrapped(np.zeros((FRAMES, len(names), 3), np.float32)),
        skeleton_tree=tree,
        is_local=True,
        fps=np.float64(60.0),
        __name__="SkeletonMotion",
    )
    np.save(HERE / "poselib.npy", np.array(content, dtype=object), allow_pickle=True)


def write_studio_bvh() -> None:
    """The body's own skeleton under a studio's names, z up, centimetres, no fingers."""
    rest = load_body().joint_template.double().numpy()
    theirs = {
        "pelvis": "Hips",
        "spine1": "Spine",
        "spine2": "Spine1",
        "spine3": "Spine2",
        "neck": "Neck",
        "head": "Head",
    }
    parts = {
        "hip": "UpLeg",
        "knee": "Leg",
        "ankle": "Foot",
        "foot": "ToeBase",
        "collar": "Shoulder",
        "shoulder": "Arm",
        "elbow": "ForeArm",
        "wrist": "Hand",
    }
    for side in ("left", "right"):
        theirs |= {f"{side}_{a}": f"{side.title()}{b}" for a, b in parts.items()}
    lines: list[str] = ["HIERARCHY"]
    order: list[str] = []

    def joint(name: str, depth: int) -> None:
        j = JOINT_INDEX[name]
        order.append(name)
        pad = "  " * depth
        x, y, z = np.zeros(3) if j == 0 else 100 * (rest[j] - rest[PARENTS[j]])
        kind = "ROOT" if j == 0 else "JOINT"
        moves = "6 Xposition Yposition Zposition" if j == 0 else "3"
        lines.extend([f"{pad}{kind} {theirs[name]}", f"{pad}{{"])
        lines.append(f"{pad}  OFFSET {x:.5f} {-z:.5f} {y:.5f}")
        lines.append(f"{pad}  CHANNELS {moves} Zrotation Xrotation Yrotation")
        below = [
            n for n in theirs if JOINT_INDEX[n] and JOINT_NAMES[PARENTS[JOINT_INDEX[n]]] == name
        ]
        for child in below:
            joint(child, depth + 1)
        if not below:
            lines.extend([f"{pad}  End Site", f"{pad}  {{", f"{pad}    OFFSET 0 0 5", f"{pad}  }}"])
        lines.append(f"{pad}}}")

    joint("pelvis", 0)
    lines += ["MOTION", f"Frames: {FRAMES}", "Frame Time: 0.0333333"]
    for n in range(FRAMES):
        row = [f"{3 * n:.3f} {-5 * n:.3f} {90:.3f} {8 * n:.3f} 0 0"]
        for name in order[1:]:
            bend = {"left_elbow": -20 * n, "right_knee": 15 * n}.get(name, 0)
            row.append(f"{bend if name == 'left_elbow' else 0} {0 if 'elbow' in name else bend} 0")
        lines.append(" ".join(row))
    (HERE / "studio.bvh").write_text("\n".join(lines) + "\n")


BONES = """
lowerback root 0 1 0 2.0 rx,ry,rz 0,0,0
thorax lowerback 0 1 0 2.5 rx,ry,rz 0,0,0
lowerneck thorax 0 1 0 1.5 rx,ry,rz 0,0,0
head lowerneck 0 1 0 1.7 rx,ry,rz 0,0,0
lclavicle thorax 0.9 0.4 0 1.8 ry,rz 0,0,0
lhumerus lclavicle 1 0 0 5.0 rx,ry,rz 180,-30,-90
lradius lhumerus 1 0 0 3.4 rx 180,-30,-90
lwrist lradius 1 0 0 1.7 ry 0,90,90
lhand lwrist 1 0 0 0.7 rx,rz 0,90,90
rclavicle thorax -0.9 0.4 0 1.8 ry,rz 0,0,0
rhumerus rclavicle -1 0 0 5.0 rx,ry,rz 180,30,90
rradius rhumerus -1 0 0 3.4 rx 180,30,90
rwrist rradius -1 0 0 1.7 ry 0,-90,-90
rhand rwrist -1 0 0 0.7 rx,rz 0,-90,-90
lhipjoint root 0.6 -0.75 0.3 2.4 - 0,0,0
lfemur lhipjoint 0.342 -0.94 0 7.2 rx,ry,rz 0,0,20
ltibia lfemur 0.342 -0.94 0 7.4 rx 0,0,20
lfoot ltibia 0.07 -0.2 0.98 2.3 rx,rz -90,0,20
ltoes lfoot 0 0 1 1.2 rx -90,0,20
rhipjoint root -0.6 -0.75 0.3 2.4 - 0,0,0
rfemur rhipjoint -0.342 -0.94 0 7.2 rx,ry,rz 0,0,-20
rtibia rfemur -0.342 -0.94 0 7.4 rx 0,0,-20
rfoot rtibia -0.07 -0.2 0.98 2.3 rx,rz -90,0,-20
rtoes rfoot 0 0 1 1.2 rx -90,0,-20
"""


def write_acclaim() -> None:
    """A skeleton in CMU's manner and four frames on it."""
    bones = [line.split() for line in BONES.strip().splitlines()]
    asf = [":version 1.10", ":name golden", ":units", "  mass 1.0", "  length 0.45", "  angle deg"]
    asf += [":root", "  order TX TY TZ RX RY RZ", "  axis XYZ", "  position 0 0 0"]
    asf += ["  orientation 0 0 0", ":bonedata"]
    for number, (name, _, x, y, z, length, dofs, axis) in enumerate(bones, start=1):
        asf += ["  begin", f"    id {number}", f"    name {name}", f"    direction {x} {y} {z}"]
        asf += [f"    length {length}", f"    axis {axis.replace(',', ' ')}  XYZ"]
        if dofs != "-":
            asf += [f"    dof {dofs.replace(',', ' ')}"]
        asf += ["  end"]
    asf += [":hierarchy", "  begin"]
    asf += [
        f"    {parent} " + " ".join(b[0] for b in bones if b[1] == parent)
        for parent in dict.fromkeys(b[1] for b in bones)
    ]
    (HERE / "walker.asf").write_text("\n".join([*asf, "  end", ""]))
    amc = ["#!OML:ASF golden", ":FULLY-SPECIFIED", ":DEGREES"]
    for n in range(FRAMES):
        amc += [str(n + 1), f"root 0 16.8 {2 * n} 0 {5 * n} 0"]
        for name, *_, dofs, _ in bones:
            values = [0.0] * len(dofs.split(","))
            if name == "lradius":
                values = [25.0 * n]
            elif name == "rfemur":
                values[0] = -10.0 * n
            elif name == "rtibia":
                values = [20.0 * n]
            elif name == "rhumerus":
                values[2] = -15.0 * n
            if dofs != "-":
                amc.append(name + " " + " ".join(f"{v:g}" for v in values))
    (HERE / "walker.amc").write_text("\n".join([*amc, ""]))


def main() -> None:
    motion = wave_motion()
    save_motion_smplh(HERE / "amass_smplh.npz", motion)
    save_motion_amass(HERE / "amass_smplx.npz", motion)
    save_motion_smplx(HERE / "smplx_names.npz", motion)
    save_motion_ehm(HERE / "ehm_arrays.npz", motion)
    save_bvh(HERE / "body.bvh", motion, load_body())
    write_trackers(wave_angles())
    write_poselib(motion)
    write_studio_bvh()
    write_acclaim()
    body, joints = load_body(), {}
    for name in FILES:
        p = read_motion(HERE / name).motion.params
        joints[name] = body.shape().pose(p.rotations, p.transl).joints.numpy().astype(np.float32)
    np.savez_compressed(HERE / "joints.npz", **joints)


if __name__ == "__main__":
    main()
