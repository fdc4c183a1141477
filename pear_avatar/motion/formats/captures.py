"""A capture's skeleton in motion -> the body's motion, as every capture format needs it."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from pear_avatar.motion.formats.format import MotionFile
from pear_avatar.motion.formats.read_options import ReadOptions
from pear_avatar.motion.retarget.capture import CaptureMotion
from pear_avatar.motion.retarget.same_skeleton import copy_same_skeleton, is_same_skeleton

__all__ = ["capture_file"]

logger = logging.getLogger(__name__)


def capture_file(capture: CaptureMotion, layout: str, options: ReadOptions) -> MotionFile:
    """Retarget a capture, or copy it where its skeleton already is the body's.

    Raises MotionFileError where the skeleton is not recognised.
    """
    from pear_avatar.body import load_body
    from pear_avatar.motion.retarget.retarget import retarget

    rest_joints, sole_height = options.rest_joints, options.sole_height
    if rest_joints is None:
        body = load_body()
        rest_joints, sole_height = body.joint_template.numpy(), float(body.v_template[:, 1].min())
    rest_joints = np.asarray(rest_joints, np.float64)
    if is_same_skeleton(capture, rest_joints):
        motion, report = copy_same_skeleton(capture, rest_joints)
    else:
        motion, report = retarget(
            capture, rest_joints, sole_height=sole_height, up_axis=options.up_axis
        )
    logger.info("%s: %s", capture.source, report.summary())
    for warning in report.warnings:
        logger.warning("%s: %s", capture.source, warning)
    return MotionFile(
        replace(motion, name=capture.source), layout, report, warnings=report.warnings
    )
