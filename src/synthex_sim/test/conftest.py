"""The shipped device files."""

from pathlib import Path

import pytest
from sim_worlds import CONFIG

from cm_kinematics.geometry import load_geometry
from synthex_sim.carm.carm import CArm


@pytest.fixture(scope="session")
def config_folder() -> Path:
    return CONFIG


@pytest.fixture(scope="session")
def carm() -> CArm:
    return CArm.from_yaml(CONFIG / "carm" / "cios_fusion.yaml")


@pytest.fixture(scope="session")
def cm_geometry():
    return load_geometry(CONFIG / "cm" / "notched_27.yaml")
