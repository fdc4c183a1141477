"""Made skeletons in the naming of many programs, and a small independent reader of BVH."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

#: (name, parent, offset in centimetres) of a person in a T-pose, under neutral names.
BONES: tuple[tuple[str, str, tuple[float, float, float]], ...] = (
    ("hips", "", (0, 95, 0)), ("spine", "hips", (0, 10, 0)), ("chest", "spine", (0, 14, 0)),
    ("upperchest", "chest", (0, 13, 0)), ("neck", "upperchest", (0, 14, 0)),
    ("head", "neck", (0, 9, 2)),
    ("L.collar", "upperchest", (3, 10, 0)), ("L.upperarm", "L.collar", (13, 0, 0)),
    ("L.lowerarm", "L.upperarm", (27, 0, 0)), ("L.hand", "L.lowerarm", (25, 0, 0)),
    ("R.collar", "upperchest", (-3, 10, 0)), ("R.upperarm", "R.collar", (-13, 0, 0)),
    ("R.lowerarm", "R.upperarm", (-27, 0, 0)), ("R.hand", "R.lowerarm", (-25, 0, 0)),
    ("L.upperleg", "hips", (9, -4, 0)), ("L.lowerleg", "L.upperleg", (0, -42, 0)),
    ("L.foot", "L.lowerleg", (0, -41, -1)), ("L.toe", "L.foot", (0, -6, 13)),
    ("R.upperleg", "hips", (-9, -4, 0)), ("R.lowerleg", "R.upperleg", (0, -42, 0)),
    ("R.foot", "R.lowerleg", (0, -41, -1)), ("R.toe", "R.foot", (0, -6, 13)),
)  # fmt: skip
_PARTS = tuple(dict.fromkeys(name.partition(".")[2] or name for name, _, _ in BONES))


def _scheme(names: str, side: Callable[[str, str], str]) -> dict[str, str]:
    """Neutral name -> a program's, from its parts in the order above."""
    parts = dict(zip(_PARTS, names.split("|"), strict=True))
    out = {}
    for name, _, _ in BONES:
        letter, dot, part = name.partition(".")
        out[name] = side(letter, parts[part]) if dot else parts[name]
    return out


def _word(letter: str, part: str) -> str:
    return ("Left" if letter == "L" else "Right") + part


_MIXAMO = "Hips|Spine|Spine1|Spine2|Neck|Head|Shoulder|Arm|ForeArm|Hand|UpLeg|Leg|Foot|ToeBase"


def _prefixed(prefix: str) -> dict[str, str]:
    return {k: prefix + v for k, v in _scheme(_MIXAMO, _word).items()}


#: Program -> its names.
SCHEMES: dict[str, dict[str, str]] = {
    "mixamo": _prefixed("mixamorig:"),
    "mixamo 1": _prefixed("mixamorig1:"),
    "mixamo 9_": _prefixed("mixamorig9_"),
    "mixamo _": _prefixed("mixamorig_"),
    "mixamo plain": _prefixed("mixamorig"),
    "character1": _prefixed("Character1_"),
    "any prefix": _prefixed("Dancer_A_"),
    "lafan1": _scheme(
        "Hips|Spine|Spine1|Spine2|Neck|Head|Shoulder|Arm|ForeArm|Hand|UpLeg|Leg|Foot|Toe", _word
    ),
    "cmu": _scheme(
        "Hips|LowerBack|Spine|Spine1|Neck1|Head|Shoulder|Arm|ForeArm|Hand|UpLeg|Leg|Foot|ToeBase",
        _word,
    ),
    "acclaim": _scheme(
        "root|lowerback|upperback|thorax|lowerneck|head|clavicle|humerus|radius|wrist|femur|tibia"
        "|foot|toes",
        lambda letter, part: letter.lower() + part,
    ),
    "bandai-namco": _scheme(
        "Hips|Spine|Chest|UpperChest|Neck|Head|Shoulder|UpperArm|LowerArm|Hand|UpperLeg|LowerLeg"
        "|Foot|Toes",
        lambda letter, part: f"{part}_{letter}",
    ),
    "rokoko": _scheme(
        "Hips|Spine|Spine2|Spine4|Neck|Head|Shoulder|Arm|ForeArm|Hand|Thigh|Shin|Foot|Toe", _word
    ),
    "xsens": _scheme(
        "Pelvis|L5|L3|T8|Neck|Head|Shoulder|UpperArm|ForeArm|Hand|UpperLeg|LowerLeg|Foot|Toe", _word
    ),
    "perception neuron": _scheme(
        "Robot_Hips|Robot_Spine|Robot_Spine1|Robot_Spine2|Robot_Neck|Robot_Head|Shoulder|Arm"
        "|ForeArm|Hand|UpLeg|Leg|Foot|ForeFoot",
        lambda letter, part: "Robot_" + _word(letter, part),
    ),
    "motive": _scheme(
        "Hip|Ab|Chest|Chest2|Neck|Head|Shoulder|UArm|FArm|Hand|Thigh|Shin|Foot|Toe",
        lambda letter, part: letter + part,
    ),
    "motive skeleton": _scheme(
        "Skeleton 001_Hip|Skeleton 001_Ab|Skeleton 001_Chest|Skeleton 001_Chest2"
        "|Skeleton 001_Neck|Skeleton 001_Head|Shoulder|UArm|FArm|Hand|Thigh|Shin|Foot|Toe",
        lambda letter, part: f"Skeleton 001_{letter}{part}",
    ),
    "biped": _scheme(
        "Bip01 Pelvis|Bip01 Spine|Bip01 Spine1|Bip01 Spine2|Bip01 Neck|Bip01 Head|Clavicle"
        "|UpperArm|Forearm|Hand|Thigh|Calf|Foot|Toe0",
        lambda letter, part: f"Bip01 {letter} {part}",
    ),
    "valve biped": _scheme(
        "ValveBiped.Bip01_Pelvis|ValveBiped.Bip01_Spine|ValveBiped.Bip01_Spine1"
        "|ValveBiped.Bip01_Spine2|ValveBiped.Bip01_Neck1|ValveBiped.Bip01_Head1|Clavicle|UpperArm"
        "|Forearm|Hand|Thigh|Calf|Foot|Toe0",
        lambda letter, part: f"ValveBiped.Bip01_{letter}_{part}",
    ),
    "unreal": _scheme(
        "pelvis|spine_01|spine_02|spine_03|neck_01|head|clavicle|upperarm|lowerarm|hand|thigh|calf"
        "|foot|ball",
        lambda letter, part: f"{part}_{letter.lower()}",
    ),
    "daz": _scheme(
        "hip|abdomen|abdomen2|chest|neck|head|Collar|Shldr|ForeArm|Hand|Thigh|Shin|Foot|Toe",
        lambda letter, part: letter.lower() + part,
    ),
    "daz 8": _scheme(
        "hip|abdomenLower|abdomenUpper|chestLower|neckLower|head|Collar|ShldrBend|ForearmBend|Hand"
        "|ThighBend|Shin|Foot|Toe",
        lambda letter, part: letter.lower() + part,
    ),
    "character creator": _scheme(
        "CC_Base_Hip|CC_Base_Waist|CC_Base_Spine01|CC_Base_Spine02|CC_Base_NeckTwist01"
        "|CC_Base_Head|Clavicle|Upperarm|Forearm|Hand|Thigh|Calf|Foot|ToeBase",
        lambda letter, part: f"CC_Base_{letter}_{part}",
    ),
    "vroid": _scheme(
        "J_Bip_C_Hips|J_Bip_C_Spine|J_Bip_C_Chest|J_Bip_C_UpperChest|J_Bip_C_Neck|J_Bip_C_Head"
        "|Shoulder|UpperArm|LowerArm|Hand|UpperLeg|LowerLeg|Foot|ToeBase",
        lambda letter, part: f"J_Bip_{letter}_{part}",
    ),
    "vrm": _scheme(
        "hips|spine|chest|upperChest|neck|head|Shoulder|UpperArm|LowerArm|Hand|UpperLeg|LowerLeg"
        "|Foot|Toes",
        lambda letter, part: ("left" if letter == "L" else "right") + part,
    ),
    "rigify": _scheme(
        "spine|spine.001|spine.002|spine.003|spine.004|spine.006|shoulder|upper_arm|forearm|hand"
        "|thigh|shin|foot|toe",
        lambda letter, part: f"{part}.{letter}",
    ),
    "rigify deform": _scheme(
        "DEF-spine|DEF-spine.001|DEF-spine.002|DEF-spine.003|DEF-spine.004|DEF-spine.006|shoulder"
        "|upper_arm|forearm|hand|thigh|shin|foot|toe",
        lambda letter, part: f"DEF-{part}.{letter}",
    ),
    "makehuman": _scheme(
        "root|spine05|spine03|spine01|neck01|head|clavicle|upperarm01|lowerarm01|wrist|upperleg01"
        "|lowerleg01|foot|toe1-1",
        lambda letter, part: f"{part}.{letter}",
    ),
    "mmd": _scheme(
        "センター|上半身|上半身2|上半身3|首|頭|肩|腕|ひじ|手首|足|ひざ|足首|つま先",
        lambda letter, part: ("左" if letter == "L" else "右") + part,
    ),
    "mmd in blender": _scheme(
        "センター|上半身|上半身2|上半身3|首|頭|肩|腕|ひじ|手首|足|ひざ|足首|つま先",
        lambda letter, part: f"{part}.{letter}",
    ),
    "smpl": _scheme(
        "Pelvis|Spine1|Spine2|Spine3|Neck|Head|Collar|Shoulder|Elbow|Wrist|Hip|Knee|Ankle|Foot",
        lambda letter, part: f"{letter}_{part}",
    ),
    "suffix _L": _scheme(
        "hips|spine|spine1|spine2|neck|head|clavicle|arm|forearm|hand|thigh|knee|ankle|toe",
        lambda letter, part: f"{part}_{letter}",
    ),
    "prefix l_ JNT": _scheme(
        "hips_JNT|spine_JNT|spine1_JNT|spine2_JNT|neck_JNT|head_JNT|shoulder|arm|forearm|hand|upleg"
        "|leg|foot|toebase",
        lambda letter, part: f"{letter.lower()}_{part}_JNT",
    ),
}


def angles(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """(N, 3) degrees about z, x, y of each joint: bends that grow and swing."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, count)[:, None]
    limits = {"hips": 25, "upperarm": 60, "lowerarm": 50, "upperleg": 40, "lowerleg": 40}
    out = {}
    for name, _, _ in BONES:
        most = limits.get(name.partition(".")[2] or name, 10)
        swing = np.sin(2 * np.pi * (t + rng.uniform(size=(1, 3))))
        out[name] = most * rng.uniform(-1, 1, (1, 3)) * swing
    out["hips"][:, 2] += 60 * t[:, 0]  # turns while it walks
    return out


def bvh(
    names: dict[str, str],
    turns: dict[str, np.ndarray],
    path: np.ndarray,
    bones: tuple[tuple[str, str, tuple[float, float, float]], ...] = BONES,
) -> str:
    """A BVH text: the root with positions, every joint with z, x, y rotations.

    names: of the joints in the file; others keep their own.
    turns: (N, 3) degrees by joint; others are at rest.
    path:  (N, 3) positions of the root.
    """
    lines, order = ["HIERARCHY"], []

    def add(name: str, depth: int) -> None:
        offset = next(o for n, _, o in bones if n == name)
        pad = "\t" * depth
        kind = "ROOT" if depth == 0 else "JOINT"
        lines.append(f"{pad}{kind} {names.get(name, name)}")
        lines.append(f"{pad}{{")
        lines.append(f"{pad}\tOFFSET {' '.join(f'{v:.6f}' for v in offset)}")
        moves = "6 Xposition Yposition Zposition" if depth == 0 else "3"
        lines.append(f"{pad}\tCHANNELS {moves} Zrotation Xrotation Yrotation")
        order.append(name)
        below = [n for n, parent, _ in bones if parent == name]
        for child in below:
            add(child, depth + 1)
        if not below:
            lines.extend((f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\tOFFSET 0 5 0", f"{pad}\t}}"))
        lines.append(f"{pad}}}")

    add(next(n for n, parent, _ in bones if not parent), 0)
    count = len(path)
    rest = np.zeros((count, 3))
    rows = np.concatenate([path, *(turns.get(name, rest) for name in order)], axis=1)
    lines += ["MOTION", f"Frames: {count}", "Frame Time: 0.033333"]
    lines += [" ".join(f"{v:.6f}" for v in row) for row in rows]
    return "\n".join(lines) + "\n"


def positions(text: str) -> dict[str, np.ndarray]:
    """(N, 3) world positions of every joint of a BVH text: a reader that shares nothing with the
    package's."""
    head, motion = text.split("MOTION")
    names, parents, offsets, channels, stack = [], [], [], [], []
    for line in head.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] in ("ROOT", "JOINT"):
            parents.append(stack[-1] if stack else None)
            names.append(line.strip().split(maxsplit=1)[1].strip())
            offsets.append(None)
            channels.append([])
            stack.append(len(names) - 1)
        elif words[0] == "End":
            stack.append(-1)
        elif words[0] == "}":
            stack.pop()
        elif words[0] == "OFFSET" and stack[-1] >= 0:
            offsets[stack[-1]] = np.array([float(w) for w in words[1:]])
        elif words[0] == "CHANNELS":
            channels[stack[-1]] = [w[0].upper() + w[1:].lower() for w in words[2:]]
    rows = [r.split() for r in motion.splitlines() if re.match(r"\s*[-+\d.]", r)]
    values = np.array([[float(v) for v in row] for row in rows])
    place, rotation, column = {}, {}, 0
    for j, name in enumerate(names):
        p, R = np.tile(offsets[j], (len(values), 1)), np.tile(np.eye(3), (len(values), 1, 1))
        for channel in channels[j]:
            v, axis = values[:, column], "XYZ".index(channel[0])
            column += 1
            if channel.endswith("position"):
                p[:, axis] = v
            else:
                R = R @ _about(axis, np.radians(v))
        if parents[j] is not None:
            up_R, up_p = rotation[parents[j]], place[names[parents[j]]]
            p = up_p + np.einsum("nij,nj->ni", up_R, p)
            R = up_R @ R
        rotation[j], place[name] = R, p
    return place


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    o, z = np.ones_like(c), np.zeros_like(c)
    rows = {
        0: [[o, z, z], [z, c, -s], [z, s, c]],
        1: [[c, z, s], [z, o, z], [-s, z, c]],
        2: [[c, -s, z], [s, c, z], [z, z, o]],
    }[axis]
    return np.moveaxis(np.array(rows), -1, 0)
