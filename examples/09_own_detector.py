"""Use a detector of your own: here mediapipe's, on pictures that are brightened first.

python examples/09_own_detector.py night.jpg
"""

import argparse
from pathlib import Path

import numpy as np

import pear_avatar as pear

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("photo", type=Path)
args = parser.parse_args()


class Brightened:
    """A detector returns landmarks of one person in pixels, or None for what it does not find.

    A network of your own would fill a FrameDetection itself: 33 landmarks of the body, 21 of each
    hand, 478 of the face, in mediapipe's order, and a soft mask.
    """

    def __init__(self, follow: bool) -> None:
        # True: successive frames of a video. False: single pictures.
        self.network = pear.load_detectors("mediapipe").person(follow)

    def detect(self, rgb: np.ndarray) -> pear.FrameDetection:
        middle = np.clip(np.median(rgb) / 255, 0.01, 0.5)
        gamma = np.log(0.5) / np.log(middle)  # takes the middle grey to one half
        curve = (255 * np.linspace(0, 1, 256) ** gamma).astype(np.uint8)
        return self.network.detect(curve[rgb])

    def reset(self) -> None:
        self.network.reset()

    def close(self) -> None:
        self.network.close()


# The name is part of the cache key of a fit: change it whenever results change.
detectors = pear.Detectors("brightened-1", person=Brightened)

people = pear.recover(args.photo, detectors=detectors)
print(f"people found: {len(people)}")
for person in people:
    box = ", ".join(f"{v:.0f}" for v in person.box_xyxy)
    print(f"box {box}, confidence {person.confidence:.2f} {person.reason}")

# A fit takes it as well: pear.fit("night.mp4", detectors=detectors). As a file my_detector.py in
# pear_avatar/perception/detectors, or as an entry point "pear_avatar.detectors" of your package,
# it has a name for the command line: pear-avatar fit night.mp4 --detector my_detector.
