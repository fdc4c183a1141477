"""Which landmarks the lifter reads, how they pair up, and the sizes of its tensors."""

from __future__ import annotations

from pear_avatar.body.joints import JOINT_INDEX, MIRROR

NUM_POSE, NUM_HAND = 33, 21

#: Face-mesh points the lifter reads: oval, nose, eyes, irises, brows, lips, cheeks.
FACE_POINTS: tuple[int, ...] = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
    168, 6, 195, 5, 4, 1, 2, 98, 327, 64, 294,
    33, 160, 158, 133, 153, 144, 159, 145, 263, 387, 385, 362, 380, 373, 386, 374, 468, 473,
    70, 63, 105, 66, 107, 55, 300, 293, 334, 296, 336, 285,
    61, 291, 0, 17, 37, 267, 39, 269, 40, 270, 84, 314, 181, 405, 91, 321,
    13, 14, 82, 312, 81, 311, 78, 308, 87, 317, 178, 402, 50, 280, 205, 425,
)  # fmt: skip
NUM_FACE = len(FACE_POINTS)

NUM_BODY_JOINTS, NUM_FINGER_JOINTS = 22, 15
NUM_BETAS, NUM_ACTIONS, NUM_SCALES, NUM_GAZE = 16, 52, 6, 4

#: Widths of the network's inputs.
POSE_SIZE = NUM_POSE * 6
CONTEXT_SIZE = 8
HAND_SIZE = NUM_HAND * 2 + 5
FACE_SIZE = NUM_FACE * 2 + 5

INPUT_NAMES = ("pose", "context", "left_hand", "right_hand", "face")
OUTPUT_NAMES = (
    "body", "betas", "scales", "camera", "left_fingers", "right_fingers", "actions", "gaze",
)  # fmt: skip

#: mediapipe pose landmarks by part
HEAD_POINTS = tuple(range(11))
LEFT_ARM_POINTS, RIGHT_ARM_POINTS = (13, 15, 17, 19, 21), (14, 16, 18, 20, 22)
LEFT_LEG_POINTS, RIGHT_LEG_POINTS = (25, 27, 29, 31), (26, 28, 30, 32)
LEG_POINTS = tuple(range(23, 33))

#: The pose landmark on the person's other side.
MIRROR_POSE: tuple[int, ...] = (
    0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(i + 1 if i % 2 else i - 1 for i in range(11, 33)),
)  # fmt: skip
MIRROR_BODY: tuple[int, ...] = MIRROR[:NUM_BODY_JOINTS]

PELVIS, HEAD, JAW = JOINT_INDEX["pelvis"], JOINT_INDEX["head"], JOINT_INDEX["jaw"]
LEFT_EYE, RIGHT_EYE = JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"]
LEFT_WRIST, RIGHT_WRIST = JOINT_INDEX["left_wrist"], JOINT_INDEX["right_wrist"]
LEFT_FINGERS, RIGHT_FINGERS = slice(25, 40), slice(40, 55)
