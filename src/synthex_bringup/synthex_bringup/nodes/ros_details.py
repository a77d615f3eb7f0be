"""Which ROS 2 this process runs on, for ``session.json``."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import rclpy

from ..recording.details import RosDetails


def ros_details() -> RosDetails:
    """Distribution, origin and versions of the running rclpy and what records beside it."""
    wheel = _wheel_of_rclpy()
    packages = {"rclpy": wheel[1] if wheel else _system_version()}
    for name in ("rosbags", "numpy", "torch"):
        if (version := _version(name)) is not None:
            packages[name] = version
    return RosDetails(
        distribution=_distribution(from_wheels=wheel is not None),
        source="wheels" if wheel else "system",
        rmw=rclpy.get_rmw_implementation_identifier(),
        python=platform.python_version(),
        packages={name: version for name, version in packages.items() if version},
    )


def _wheel_of_rclpy() -> tuple[str, str] | None:
    """(distribution, version) of the wheel that the running rclpy comes from; None for a ROS installation's."""
    for name in ("ros-rclpy", "ros-jazzy-rclpy", "rclpy"):
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        # A ROS installation carries an egg-info called rclpy, which is no wheel, and both can be on the path.
        if found.read_text("WHEEL") and _holds_rclpy(found):
            return name, found.version
    return None


def _holds_rclpy(found: metadata.Distribution) -> bool:
    running = Path(rclpy.__file__).resolve()
    return Path(str(found.locate_file("rclpy/__init__.py"))).resolve() == running


def _system_version() -> str:
    """Version in the package.xml of the ROS installation; empty where there is none."""
    share = Path(rclpy.__file__).resolve()
    for parent in share.parents:
        manifest = parent / "share" / "rclpy" / "package.xml"
        if manifest.is_file():
            text = manifest.read_text(encoding="utf-8")
            return text.partition("<version>")[2].partition("</version>")[0].strip()
    return ""


def _distribution(*, from_wheels: bool) -> str:
    """ROS_DISTRO, which every ROS installation sets; for wheels the name of the pinned meta package."""
    if not from_wheels:
        return os.environ.get("ROS_DISTRO", "unknown")
    for found in metadata.distributions():
        parts = (found.metadata["Name"] or "").split("-")
        if len(parts) == 3 and parts[0] == "ros" and parts[2] == "rclpy":
            return parts[1]
    return os.environ.get("ROS_DISTRO", "unknown")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
