"""Makes the tools, which are not installed, importable for the tests of the workspace itself."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[1] / "tools")]

from launch_workspace import LaunchWorkspace  # noqa: E402


@pytest.fixture
def workspace(tmp_path):
    """An installed package `demo` to launch from."""
    return LaunchWorkspace(tmp_path)
