"""mediapipe's holistic graph with hands and face on demand: the body every frame, parts when due.

The networks and their order are those of mediapipe's own holistic graph (pose, then hand and face
crops placed by the pose), so landmarks equal those of the detector ``mediapipe`` bit for bit
where a part is asked for; the person mask is left out. On one core a frame costs some 20 ms
without parts and 47 with all.
"""

from __future__ import annotations

import numpy as np

from pear_avatar.perception.detectors import FrameDetection
from pear_avatar.perception.detectors.mediapipe import (
    detection_of_landmarks,
    import_mediapipe,
    silent_stderr,
)

__all__ = ["GatedDetector"]

_OUTPUTS = (
    "pose_landmarks",
    "pose_world_landmarks",
    "left_hand_landmarks",
    "right_hand_landmarks",
    "face_landmarks",
)
_SIDE_INPUTS = {
    "model_complexity": 1,
    "smooth_landmarks": False,
    "enable_segmentation": False,
    "smooth_segmentation": False,
    "use_prev_landmarks": True,
    "refine_face_landmarks": True,
}
_FACE_POSE_POINTS = 11

_GRAPH = (
    """
input_stream: "image"
input_stream: "want_hands"
input_stream: "want_face"
"""
    + "".join(f'input_side_packet: "{name}"\n' for name in _SIDE_INPUTS)
    + "".join(f'output_stream: "{name}"\n' for name in _OUTPUTS)
    + """
node {
  calculator: "PoseLandmarkCpu"
  input_stream: "IMAGE:image"
  input_side_packet: "MODEL_COMPLEXITY:model_complexity"
  input_side_packet: "SMOOTH_LANDMARKS:smooth_landmarks"
  input_side_packet: "ENABLE_SEGMENTATION:enable_segmentation"
  input_side_packet: "SMOOTH_SEGMENTATION:smooth_segmentation"
  input_side_packet: "USE_PREV_LANDMARKS:use_prev_landmarks"
  output_stream: "LANDMARKS:pose_landmarks"
  output_stream: "WORLD_LANDMARKS:pose_world_landmarks"
}
node {
  calculator: "GateCalculator"
  input_stream: "image"
  input_stream: "pose_landmarks"
  input_stream: "ALLOW:want_hands"
  output_stream: "image_for_hands"
  output_stream: "pose_for_hands"
}
node {
  calculator: "HandLandmarksLeftAndRightCpu"
  input_stream: "IMAGE:image_for_hands"
  input_stream: "POSE_LANDMARKS:pose_for_hands"
  output_stream: "LEFT_HAND_LANDMARKS:left_hand_landmarks"
  output_stream: "RIGHT_HAND_LANDMARKS:right_hand_landmarks"
}
node {
  calculator: "GateCalculator"
  input_stream: "image"
  input_stream: "pose_landmarks"
  input_stream: "ALLOW:want_face"
  output_stream: "image_for_face"
  output_stream: "pose_for_face"
}
node {
  calculator: "SplitNormalizedLandmarkListCalculator"
  input_stream: "pose_for_face"
  output_stream: "face_landmarks_from_pose"
  options: {
    [mediapipe.SplitVectorCalculatorOptions.ext] { ranges: { begin: 0 end: """
    + str(_FACE_POSE_POINTS)
    + """ } }
  }
}
node {
  calculator: "FaceLandmarksFromPoseCpu"
  input_stream: "IMAGE:image_for_face"
  input_stream: "FACE_LANDMARKS_FROM_POSE:face_landmarks_from_pose"
  input_side_packet: "REFINE_LANDMARKS:refine_face_landmarks"
  output_stream: "FACE_LANDMARKS:face_landmarks"
}
"""
)


class GatedDetector:
    """Follows one person; hands and face are looked for only in the frames that ask for them."""

    def __init__(self) -> None:
        import_mediapipe()
        from google.protobuf import text_format
        from mediapipe.framework import calculator_pb2
        from mediapipe.python.solution_base import PacketDataType, SolutionBase

        config = text_format.Parse(_GRAPH, calculator_pb2.CalculatorGraphConfig())
        hints = {
            "image": PacketDataType.IMAGE_FRAME,
            "want_hands": PacketDataType.BOOL,
            "want_face": PacketDataType.BOOL,
            **dict.fromkeys(_OUTPUTS, PacketDataType.PROTO),
        }
        with silent_stderr():
            self._graph = SolutionBase(
                graph_config=config,
                side_inputs=_SIDE_INPUTS,
                outputs=list(_OUTPUTS),
                stream_type_hints=hints,
            )
            self.detect(np.zeros((64, 64, 3), np.uint8), hands=True, face=True)

    def detect(self, rgb: np.ndarray, *, hands: bool, face: bool) -> FrameDetection:
        """Look at one (H, W, 3) uint8 frame; parts that were not asked for are None."""
        found = self._graph.process({"image": rgb, "want_hands": hands, "want_face": face})
        return detection_of_landmarks(found, rgb.shape[1], rgb.shape[0])

    def close(self) -> None:
        """Free the networks."""
        self._graph.close()
