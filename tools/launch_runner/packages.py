"""Finds packages and their executables through AMENT_PREFIX_PATH, as `ament_index_python` does."""

import os
from collections.abc import Mapping
from pathlib import Path

from .errors import LaunchError

_MARKER = Path("share/ament_index/resource_index/packages")


def package_prefix(package: str, environment: Mapping[str, str]) -> Path:
    """The install prefix of `package`.

    Raises:
        LaunchError: no prefix in AMENT_PREFIX_PATH holds it.
    """
    prefixes = [entry for entry in environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if entry]
    for prefix in prefixes:
        if (Path(prefix) / _MARKER / package).is_file():
            return Path(prefix)
    raise LaunchError(f"package '{package}' not found: no prefix in AMENT_PREFIX_PATH holds it "
                      f"(searched {len(prefixes)}; is the workspace built and sourced?)")


def package_share(package: str, environment: Mapping[str, str]) -> Path:
    """The share folder of `package`."""
    return package_prefix(package, environment) / "share" / package


def package_executable(package: str, executable: str, environment: Mapping[str, str]) -> Path:
    """The executable that `ros2 run package executable` would start.

    Raises:
        LaunchError: the package has no such executable; the message names those it has.
    """
    folder = package_prefix(package, environment) / "lib" / package
    path = folder / executable
    if path.is_file() and os.access(path, os.X_OK):
        return path
    known = sorted(entry.name for entry in folder.iterdir() if os.access(entry, os.X_OK)) if folder.is_dir() else []
    raise LaunchError(f"package '{package}' has no executable '{executable}' (it has: {', '.join(known) or 'none'})")
