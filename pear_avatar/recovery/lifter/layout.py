"""Which landmarks the lifter reads, how they pair up, and the sizes of its tensors."""

from __future__ import annotations

from pear_avatar.body.joints import JOINT_INDEX, MIRROR, PARAM_SLICES
from pear_avatar.body.topology import LIFTED_FACE_POINTS, NUM_HAND, NUM_POSE

NUM_FACE = len(LIFTED_FACE_POINTS)

NUM_BODY_JOINTS, NUM_FINGER_JOINTS = 22, 15
NUM_BETAS, NUM_ACTIONS, NUM_SCALES, NUM_GAZE = 16, 52, 6, 4

#: Widths of the network's inputs.
POSE_SIZE = NUM_POSE * 6
CONTEXT_SIZE = 8
HAND_SIZE = NUM_HAND * 2 + 5
FACE_SIZE = NUM_FACE * 2 + 5

INPUT_NAMES = ("pose", "context", "left_hand", "right_hand", "face")
OUTPUT_NAMES = (
    "body",
    "betas",
    "scales",
    "camera",
    "left_fingers",
    "right_fingers",
    "actions",
    "gaze",
)

MIRROR_BODY: tuple[int, ...] = MIRROR[:NUM_BODY_JOINTS]

PELVIS, HEAD, JAW = JOINT_INDEX["pelvis"], JOINT_INDEX["head"], JOINT_INDEX["jaw"]
LEFT_EYE, RIGHT_EYE = JOINT_INDEX["left_eye"], JOINT_INDEX["right_eye"]
LEFT_WRIST, RIGHT_WRIST = JOINT_INDEX["left_wrist"], JOINT_INDEX["right_wrist"]
LEFT_FINGERS, RIGHT_FINGERS = PARAM_SLICES["left_hand_pose"], PARAM_SLICES["right_hand_pose"]
