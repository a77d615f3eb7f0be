"""Detections as messages: the depth of the manipulator's ends, and sizes that agree with the device file."""

from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("synthex_msgs", reason="needs the built workspace")

from manipulator_views import FOCAL_PX, GEOMETRY, K  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from synthex_perception.inference.detections import Detections  # noqa: E402
from synthex_perception.nodes.perception_messages import (  # noqa: E402
    cm_message,
    landmarks_message,
    manipulator_depths,
)
from synthex_sim.anatomy import LABEL_NAMES, SESSION_LANDMARKS  # noqa: E402

SESSION = Path(__file__).resolve().parents[3] / "config" / "session" / "default.yaml"


def found(base_width_px: float, tip_width_px: float) -> Detections:
    count = len(SESSION_LANDMARKS)
    return Detections(
        np.zeros((8, 8), np.uint8), np.zeros((count, 2)), np.ones(count, np.float32), np.ones(count, bool), 0.0,
        LABEL_NAMES, SESSION_LANDMARKS, base_width_px, tip_width_px,
    )


def test_the_depth_is_that_at_which_the_device_is_as_wide_as_it_is_seen():
    widths = 6.0 * FOCAL_PX / 720.0, 6.0 * FOCAL_PX / 750.0
    seen = found(*widths)
    depths = manipulator_depths(seen, K.ravel().tolist(), 6.0)
    assert depths == pytest.approx({"CM-base": 0.72, "CM-tip": 0.75})
    cm = cm_message(seen, Header(), depths)
    assert (cm.base.depth, cm.tip.depth) == pytest.approx((0.72, 0.75))
    points = landmarks_message(seen, Header(), depths).landmarks
    assert [np.isfinite(p.depth) for p in points] == [p.name.startswith("CM-") for p in points]


def test_a_width_that_was_not_measured_or_a_camera_that_is_not_calibrated_gives_no_depth():
    assert set(manipulator_depths(found(np.nan, 7.0), K.ravel().tolist(), 6.0)) == {"CM-tip"}
    assert manipulator_depths(found(7.0, 7.0), [0.0] * 9, 6.0) == {}


def test_the_sessions_sizes_are_those_of_the_device_file():
    values = yaml.safe_load(SESSION.read_text())["/**/perception_node"]["ros__parameters"]
    assert values["cm_outer_diameter_mm"] == GEOMETRY.outer_diameter_mm
    assert values["cm_inner_diameter_mm"] == GEOMETRY.inner_diameter_mm
    assert values["cm_body_length_mm"] == GEOMETRY.length_mm - GEOMETRY.flexible_start_mm
