"""Which ROS 2 is used: the one sourced in this shell, or the wheels from PyPI. Never a mixture of the two."""

import os
from typing import Callable, Dict, List, Mapping, NamedTuple, Optional

RosChoice = NamedTuple("RosChoice", [("kind", str), ("distro", str), ("reason", str), ("foreign", List[str])])

WHEELS_DISTRO = "jazzy"
# Releases are named in alphabetical order; those before Jazzy lack what the nodes and launch files use.
_OLDEST_DISTRO = "jazzy"
_PREFIX_LISTS = ("AMENT_PREFIX_PATH", "COLCON_PREFIX_PATH", "CMAKE_PREFIX_PATH")
_PATH_LISTS = _PREFIX_LISTS + ("PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "PKG_CONFIG_PATH", "GZ_CONFIG_PATH")
_ROS_VARIABLES = ("ROS_DISTRO", "ROS_VERSION", "ROS_PYTHON_VERSION", "ROS_ETC_DIR", "ROS_ROOT", "ROS_PACKAGE_PATH",
                  "ROS_MASTER_URI", "COLCON_CURRENT_PREFIX", "AMENT_CURRENT_PREFIX")


def choose_ros(environ, asked, has_rclpy):
    # type: (Mapping[str, str], str, Callable[[str], bool]) -> RosChoice
    """Decides by the shell's environment.

    Args:
        asked: "" to let this decide, "sourced" or "wheels" to insist.
        has_rclpy: whether an installation prefix holds rclpy.

    Raises:
        ValueError: asked for the sourced ROS 2 where none is sourced, or asked for something else.
    """
    if asked not in ("", "sourced", "wheels"):
        raise ValueError("ROS must be 'sourced' or 'wheels', not '{}'".format(asked))
    distro = environ.get("ROS_DISTRO", "")
    prefixes = _split(environ.get("AMENT_PREFIX_PATH", ""))
    base = next((prefix for prefix in prefixes if has_rclpy(prefix)), None)
    foreign = _foreign_prefixes(environ, distro)
    if not distro and not prefixes:
        if asked == "sourced":
            raise ValueError("ROS=sourced, but no ROS 2 is sourced in this shell: source "
                             "/opt/ros/<distro>/setup.bash first")
        return RosChoice("wheels", WHEELS_DISTRO, "no ROS 2 is sourced in this shell", foreign)
    name = distro or "unnamed"
    if asked == "wheels":
        reason = "ROS=wheels was asked for; the sourced ROS ({}) is left out".format(name)
    elif base is None:
        reason = "a ROS ({}) is sourced, but holds no rclpy; it is left out".format(name)
    elif distro < _OLDEST_DISTRO:
        reason = "the sourced ROS 2 ({}) is older than Jazzy; it is left out".format(name)
    else:
        return RosChoice("sourced", distro, "ROS 2 {} is sourced from {}".format(name, base), [])
    if asked == "sourced":
        raise ValueError("ROS=sourced cannot be: " + reason)
    return RosChoice("wheels", WHEELS_DISTRO, reason, foreign)


def scrub(environ, foreign):
    # type: (Mapping[str, str], List[str]) -> Dict[str, str]
    """The environment without what a foreign ROS left in it: its variables, and its folders in every search path."""
    clean = {name: value for name, value in environ.items() if name not in _ROS_VARIABLES}
    for name in _PATH_LISTS:
        if name in clean:
            kept = [entry for entry in _split(clean[name]) if not any(_inside(entry, prefix) for prefix in foreign)]
            if kept and name not in _PREFIX_LISTS:
                clean[name] = os.pathsep.join(kept)
            else:
                del clean[name]
    if clean.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp") != "rmw_fastrtps_cpp":
        del clean["RMW_IMPLEMENTATION"]  # the wheels hold Fast DDS alone
    # The wheels' start-up hook takes this as "LD_LIBRARY_PATH is right already", which in another venv it is not.
    clean.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None)
    return clean


def _foreign_prefixes(environ, distro):
    # type: (Mapping[str, str], str) -> List[str]
    prefixes = [entry for name in _PREFIX_LISTS for entry in _split(environ.get(name, ""))]
    if distro:
        prefixes.append("/opt/ros/" + distro)
    return sorted(set(prefixes))


def _inside(entry, prefix):
    # type: (str, str) -> bool
    entry, prefix = os.path.normpath(entry), os.path.normpath(prefix)
    return entry == prefix or entry.startswith(prefix + os.sep)


def _split(paths):
    # type: (Optional[str]) -> List[str]
    return [entry for entry in (paths or "").split(os.pathsep) if entry]
