from __future__ import annotations

from pathlib import Path

import pytest

from cm_kinematics.actuation import Actuation, load_actuation
from cm_kinematics.geometry import CmGeometry, load_geometry


@pytest.fixture(scope="session")
def device_file() -> Path:
    """The shipped device, config/cm/notched_27.yaml of the repository."""
    return Path(__file__).resolve().parents[3] / "config" / "cm" / "notched_27.yaml"


@pytest.fixture(scope="session")
def geometry(device_file: Path) -> CmGeometry:
    return load_geometry(device_file)


@pytest.fixture(scope="session")
def actuation(device_file: Path) -> Actuation:
    return load_actuation(device_file)
