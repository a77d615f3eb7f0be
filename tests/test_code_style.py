"""All Python files keep to the rules in pyproject.toml."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def test_the_linter_finds_nothing():
    found = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", "."],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
