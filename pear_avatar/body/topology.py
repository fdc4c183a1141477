"""Topologies of the landmark detectors: counts, names and index tables, stated once.

mediapipe's pose has 33 landmarks, a hand 21 (the wrist first, then four along each finger, thumb
first) and the face mesh 478, of which the last ten are the irises. COCO-WholeBody has 133
keypoints. "Left" and "right" are the person's.
"""

from __future__ import annotations

NUM_POSE, NUM_HAND, NUM_FACE = 33, 21, 478
NUM_WHOLE_BODY = 133

# ---------------------------------------------------------------- pose
NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR = 0, 2, 5, 7, 8
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW, RIGHT_ELBOW = 11, 12, 13, 14
LEFT_WRIST, RIGHT_WRIST, LEFT_HIP, RIGHT_HIP = 15, 16, 23, 24
LEFT_ANKLE, RIGHT_ANKLE = 27, 28
HEAD_POINTS = tuple(range(11))
HAND_POINTS = tuple(range(15, 23))
FOOT_POINTS = tuple(range(27, NUM_POSE))
LEG_POINTS = tuple(range(23, NUM_POSE))
LEFT_ARM_POINTS, RIGHT_ARM_POINTS = (13, 15, 17, 19, 21), (14, 16, 18, 20, 22)
LEFT_LEG_POINTS, RIGHT_LEG_POINTS = (25, 27, 29, 31), (26, 28, 30, 32)

#: (left, right) partners.
SIDE_PAIRS: tuple[tuple[int, int], ...] = (
    (1, 4),
    (2, 5),
    (3, 6),
    *((k, k + 1) for k in range(7, NUM_POSE, 2)),
)


_PARTNER = dict(SIDE_PAIRS) | {right: left for left, right in SIDE_PAIRS}
#: The landmark on the person's other side (the nose is its own).
MIRROR_POSE: tuple[int, ...] = tuple(_PARTNER.get(k, k) for k in range(NUM_POSE))

#: Torso, arms, legs, feet: what is drawn and measured.
BONES: tuple[tuple[int, int], ...] = (
    (11, 12), (23, 24), (11, 23), (12, 24), (11, 13), (13, 15), (12, 14), (14, 16),
    (23, 25), (25, 27), (24, 26), (26, 28), (27, 29), (29, 31), (27, 31), (28, 30), (30, 32),
    (28, 32),
)  # fmt: skip
#: Forearms and shins.
THIN_BONES = ((13, 15), (14, 16), (25, 27), (26, 28))

# ---------------------------------------------------------------- hand
FINGERS: tuple[tuple[int, ...], ...] = tuple((0, *range(k, k + 4)) for k in (1, 5, 9, 13, 17))
PALM = (5, 9, 13, 17)

# ---------------------------------------------------------------- face mesh
FIRST_IRIS = 468
IRIS_POINTS: tuple[int, ...] = tuple(range(FIRST_IRIS, NUM_FACE))
LEFT_EYE_OUTER, RIGHT_EYE_OUTER, NOSE_TIP, FOREHEAD, CHIN = 263, 33, 1, 10, 152
CHEEKS = (50, 280)

#: Landmarks that the network of facial actions looks at.
ACTION_POINTS: tuple[int, ...] = (
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65,
    66, 67, 70, 78, 80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136,
    144, 145, 146, 148, 149, 150, 152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172,
    173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283,
    284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318, 321, 323, 324,
    332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385,
    386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472,
    473, 474, 475, 476, 477,
)  # fmt: skip

#: Closed outlines.
OVAL: tuple[int, ...] = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
LEFT_EYE_OUTLINE: tuple[int, ...] = (
    263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466,
)  # fmt: skip
RIGHT_EYE_OUTLINE: tuple[int, ...] = (
    33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246,
)  # fmt: skip
OUTER_LIPS: tuple[int, ...] = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185,
)  # fmt: skip
INNER_LIPS: tuple[int, ...] = (
    78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191,
)  # fmt: skip
LEFT_BROW_OUTLINE = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
RIGHT_BROW_OUTLINE = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
#: Open lines.
LEFT_UPPER_LID = (263, 466, 388, 387, 386, 385, 384, 398, 362)
RIGHT_UPPER_LID = (33, 246, 161, 160, 159, 158, 157, 173, 133)
LEFT_BROW_BELOW, RIGHT_BROW_BELOW = (276, 283, 282, 295, 285), (46, 53, 52, 65, 55)
NOSE_RIDGE = (168, 6, 197, 195, 5, 4)

#: Points the tracker uses: brows, nose, eyes, lips, oval. A hundred of 478 carry nearly all of
#: what an expression basis can follow.
TRACKED_FACE_POINTS: tuple[int, ...] = (
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,
    10, 151, 9,
)  # fmt: skip
#: Of these the face's outline, which slides over the skin as the head turns.
TRACKED_OVAL: frozenset[int] = frozenset(TRACKED_FACE_POINTS) & frozenset(OVAL)

#: Points the lifter reads: oval, nose, eyes, irises, brows, lips, cheeks. Their order is that of
#: the inputs of its weights.
LIFTED_FACE_POINTS: tuple[int, ...] = (
    *OVAL,
    168, 6, 195, 5, 4, 1, 2, 98, 327, 64, 294,
    33, 160, 158, 133, 153, 144, 159, 145, 263, 387, 385, 362, 380, 373, 386, 374, 468, 473,
    70, 63, 105, 66, 107, 55, 300, 293, 334, 296, 336, 285,
    61, 291, 0, 17, 37, 267, 39, 269, 40, 270, 84, 314, 181, 405, 91, 321,
    13, 14, 82, 312, 81, 311, 78, 308, 87, 317, 178, 402, 50, 280, 205, 425,
)  # fmt: skip

#: The 68 iBUG face points: contour, then brows to inner lips.
IBUG_FROM_FACE: tuple[int, ...] = (
    127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip

# ---------------------------------------------------------------- COCO and OpenPose
COCO_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
FOOT_NAMES = (
    "left_big_toe",
    "left_small_toe",
    "left_heel",
    "right_big_toe",
    "right_small_toe",
    "right_heel",
)
#: Rows of COCO-WholeBody's 133 by part.
WHOLE_BODY_PARTS: dict[str, slice] = {
    "body": slice(0, 17),
    "feet": slice(17, 23),
    "face": slice(23, 91),
    "left_hand": slice(91, 112),
    "right_hand": slice(112, NUM_WHOLE_BODY),
}
#: OpenPose's 18 and 25 -> COCO's 17; the neck (and middle hip) have no place there.
OPENPOSE_TO_COCO: dict[str, tuple[int, ...]] = {
    "openpose18": (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10),
    "openpose25": (0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11),
}
