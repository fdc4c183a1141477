"""Which side and part of the body a joint's name means, in the naming of every studio and program.

Names are taken apart into words (``Bip01 L UpperArm`` -> bip 01 l upper arm); one word says the
side, wherever it stands, and the last words the part. Words in front of them are the program's
own (``mixamorig``, ``Character1``, ``J_Bip``, ``DEF``), whatever they are.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = ["PARTS", "finger_joint", "side_and_part"]

#: Parts with telling names, the most telling first. Shoulders, hips and collar bones are not
#: among them, for one name means different joints in different skeletons.
PARTS: dict[str, tuple[str, ...]] = {
    "elbow": ("forearm", "elbow", "lowerarm", "lowarm", "radius", "farm", "forearmbend",
              "lwrarm", "loarm", "armlower"),
    "wrist": ("wrist", "hand", "palm"),
    "knee": ("knee", "leg", "shin", "calf", "lowerleg", "lowleg", "tibia", "lwrleg", "loleg",
             "crus", "shinbend", "leglower", "foreleg"),
    "ankle": ("ankle", "foot"),
    "toe": ("toe", "toebase", "toes", "ball", "forefoot", "toeroot", "football", "foot"),
}  # fmt: skip
#: Where a thigh or an upper arm begins: known so that an "upleg" is not taken for a "leg".
_HIPS = frozenset(
    ("upleg", "upperleg", "thigh", "femur", "thighbend", "legupper", "hip", "hipjoint",
     "buttock", "uleg")
)  # fmt: skip
_SHOULDERS = frozenset(
    ("upperarm", "uparm", "uarm", "arm", "humerus", "shldr", "shldrbend", "armupper", "shoulder")
)
_COLLARS = frozenset(("collar", "clavicle", "scapula", "shoulderblade"))
_KNOWN = _HIPS | _SHOULDERS | _COLLARS | {"head"} | {n for names in PARTS.values() for n in names}

_LEFT = frozenset(("left", "l", "lft"))
_RIGHT = frozenset(("right", "r", "rgt"))
#: Joints beside the skeleton: helpers, targets, the ends of bones.
_HELPERS = frozenset(
    ("ik", "fk", "pole", "target", "twist", "roll", "end", "nub", "tip", "top", "helper", "ctrl",
     "control", "endsite", "effector", "goal", "dummy", "metacarpal", "carpal", "leaf", "hint",
     "site", "muscle", "share", "twst", "partial")
)  # fmt: skip
#: Words that say nothing: the middle of the body, kinds of nodes.
_EMPTY = frozenset(("c", "m", "center", "centre", "jnt", "joint", "bone", "jt", "skin", "bind"))

#: Japanese names, as MikuMikuDance has them -> words. Longer ones come first.
_JAPANESE: tuple[tuple[str, str], ...] = (
    ("左", " left "), ("右", " right "), ("親指", " thumb "), ("人差指", " index "),
    ("人指", " index "), ("中指", " middle "), ("薬指", " ring "), ("小指", " pinky "),
    ("手首", " wrist "), ("足首", " ankle "), ("つま先", " toe "), ("ひじ", " elbow "),
    ("肘", " elbow "), ("ひざ", " knee "), ("膝", " knee "), ("上半身", " spine "),
    ("下半身", " pelvis "), ("センター", " center "), ("捩", " twist "), ("腕", " upperarm "),
    ("肩", " collar "), ("足", " thigh "), ("頭", " head "), ("首", " neck "),
    ("先", " tip "), ("キャンセル", " helper "), ("親", " root "), ("両目", " eyes "),
    ("目", " eye "),
)  # fmt: skip

_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_FINGERS = {
    "index": "index",
    "middle": "middle",
    "mid": "middle",
    "ring": "ring",
    "pinky": "pinky",
    "little": "pinky",
    "pink": "pinky",
    "thumb": "thumb",
}
#: Fingers that are only numbered, from the thumb on.
_IN_ORDER = ("thumb", "index", "middle", "ring", "pinky")
_PHALANGES = {"proximal": 1, "intermediate": 2, "distal": 3}


@lru_cache(maxsize=4096)
def side_and_part(name: str) -> tuple[str, str]:
    """("left" | "right" | "", the part in lower case; "" for helpers).

    A part that is unknown comes back as all words of the name together.
    """
    words = _words(name)
    side, rest = _side(words)
    if any(word in _HELPERS for word in rest):
        return side, ""
    rest = [word for word in rest if word not in _EMPTY]
    while len(rest) > 1 and rest[-1].isdigit():
        rest = rest[:-1]
    for start in () if side else range(len(rest)):
        if _glued("".join(rest[start:]))[0]:
            return _glued("".join(rest[start:]))
    for start in range(len(rest)):  # the longest that is known: an "upleg" is no "leg"
        part = "".join(rest[start:])
        if part in _KNOWN:
            return side, part
    return (side, "".join(rest)) if side else _glued("".join(rest))


def finger_joint(name: str) -> tuple[str, str] | None:
    """(side, such as "index2") of a finger's joint, or None.

    "thumb0" is what some programs call the thumb's first joint; theirs are one ahead of ours.
    """
    words = _words(name)
    side, rest = _side(words)
    if not side:
        side, glued = _glued("".join(rest))
        rest = [w.lower() for w in _WORDS.findall(glued)]
    if not side or any(word in _HELPERS - {"carpal"} for word in rest if word != "metacarpal"):
        return None
    place = next((k for k, word in enumerate(rest) if word in ("finger", "fingers")), None)
    if place is not None:
        return _numbered_finger(side, [word for word in rest[place:] if word.isdigit()])
    for place, word in enumerate(rest):
        finger = _FINGERS.get(word) or next(
            (f for n, f in _FINGERS.items() if len(n) > 3 and word.endswith(n)), None
        )
        if finger is None:
            continue
        after = rest[place + 1 :]
        number = next((int(w) for w in after if w.isdigit() and 1 <= int(w) <= 3), 0)
        number = number or next((_PHALANGES[w] for w in after if w in _PHALANGES), 0)
        if finger == "thumb" and not number and {"metacarpal", "0", "00"} & set(after):
            return side, "thumb0"
        return (side, f"{finger}{number}") if number else None
    return None


def _numbered_finger(side: str, digits: list[str]) -> tuple[str, str] | None:
    """Biped counts ``Finger0, Finger01, Finger02``, MakeHuman ``finger1-1``; the thumb is first."""
    if len(digits) > 1:
        finger, joint = int(digits[0]) - 1, int(digits[1])
    elif digits and len(digits[0]) <= 2:
        finger, joint = int(digits[0][0]), int(digits[0][1:] or 0) + 1
    else:
        return None
    known = 0 <= finger < len(_IN_ORDER) and 1 <= joint <= 3
    return (side, f"{_IN_ORDER[finger]}{joint}") if known else None


def _words(name: str) -> list[str]:
    """The words of a name in lower case, without the name space."""
    name = unicodedata.normalize("NFKC", name)
    name = re.split(r"[:|]", name)[-1]
    for japanese, word in _JAPANESE:
        name = name.replace(japanese, word)
    return [word.lower() for word in _WORDS.findall(name)]


def _side(words: list[str]) -> tuple[str, list[str]]:
    """The side that one of the words says, and the other words."""
    for side, names in (("left", _LEFT), ("right", _RIGHT)):
        found = [k for k, word in enumerate(words) if word in names]
        long = [k for k in found if len(words[k]) > 2]
        if found:
            k = (long or found)[-1]
            return side, words[:k] + words[k + 1 :]
    for side in ("left", "right"):  # "leftforearm", "mixamorigleftarm", "forearmleft"
        for k, word in enumerate(words):
            before, found_side, after = word.partition(side)
            fits = not before or not after or after in _KNOWN
            if found_side and fits and word != "upright":
                return side, [*words[:k], *(w for w in (before, after) if w), *words[k + 1 :]]
    return "", words


def _glued(plain: str) -> tuple[str, str]:
    """A side of one letter that is written together with the part: ``lfemur``, ``LUArm``."""
    for letter, side in (("l", "left"), ("r", "right")):
        if plain.startswith(letter) and (plain[1:] in _KNOWN or _is_finger(plain[1:])):
            return side, plain[1:]
        if plain.endswith(letter) and plain[:-1] in _KNOWN:
            return side, plain[:-1]
    return "", plain


def _is_finger(plain: str) -> bool:
    pattern = r"(index|middle|mid|ring|pinky|little|thumb)\d*|fingers?\d*"
    return re.fullmatch(pattern, plain) is not None
