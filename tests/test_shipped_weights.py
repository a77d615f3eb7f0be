"""The shipped weights: they load, fit the session, stay small, and see nothing where nothing is.

How well they see is measured by `make evaluate` and stated in their model card; it is no test.
"""

from pathlib import Path

import numpy as np
import pytest

from synthex_perception.inference.predictor import Predictor
from synthex_sim import anatomy
from synthex_sim.carm.carm import CArm
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.simulator import XraySimulator

REPOSITORY = Path(__file__).resolve().parents[1]
WEIGHTS = REPOSITORY / "models" / "session.safetensors"


@pytest.fixture(scope="module")
def predictor():
    return Predictor.from_file(WEIGHTS, task="session", label_names=anatomy.LABEL_NAMES,
                               landmark_names=anatomy.SESSION_LANDMARKS)


def test_the_file_is_at_most_five_megabytes_and_has_a_model_card():
    assert WEIGHTS.stat().st_size <= 5_000_000
    assert "not a medical device" in WEIGHTS.with_suffix(".md").read_text()


@pytest.mark.parametrize("kvp", [70.0, 90.0, 110.0])
@pytest.mark.parametrize("mas", [0.1, 0.5, 2.0])
def test_a_frame_without_patient_and_tool_gives_no_detection(predictor, kvp, mas):
    carm = CArm.from_yaml(REPOSITORY / "config" / "carm" / "cios_fusion.yaml")
    view = carm.view(carm.aim((0, 0, 1120), 780.0, 0.0, 0.0)).resized((256, 256))
    image, _ = XraySimulator(carm).acquire(Scene(None), view, Exposure(kvp, mas), seed=3, sample=int(kvp + 10 * mas))
    found = predictor.predict(image.counts)
    assert not found.visible.any()
    assert np.count_nonzero(found.mask == anatomy.MANIPULATOR) == 0
    assert np.count_nonzero(found.mask) <= 0.01 * found.mask.size
