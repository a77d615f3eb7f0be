"""The environment that every command of the workspace gets: what to write where, and who may hear it."""

import os
from typing import Dict, Mapping

# Variables with which pip or Python would leave the virtual environment, and make's own, which its children inherit.
_UNWANTED = ("PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_REQUIRE_VIRTUALENV", "VIRTUAL_ENV",
             "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "GNUMAKEFLAGS")


def cache_folder(root, environ):
    # type: (str, Mapping[str, str]) -> str
    """SYNTHEX_CACHE_DIR if it is set, else a folder of the user's cache, else (nowhere to write) one in `.venv`."""
    named = environ.get("SYNTHEX_CACHE_DIR")
    if named:
        return os.path.abspath(named)
    home = environ.get("HOME")
    caches = environ.get("XDG_CACHE_HOME") or (home and os.path.join(home, ".cache"))
    if caches:
        folder = os.path.join(caches, "synthex-ros")
        try:
            os.makedirs(folder, exist_ok=True)
            if os.access(folder, os.W_OK | os.X_OK):
                return folder
        except OSError:
            pass
    return os.path.join(root, ".venv", "cache")


def workspace_environment(root, environ, kind):
    # type: (str, Mapping[str, str], str) -> Dict[str, str]
    """`environ` for commands in the workspace at `root` with the ROS 2 of `kind`; what the user has set stays."""
    cache = cache_folder(root, environ)
    log = os.path.join(root, "log")
    result = {name: value for name, value in environ.items() if name not in _UNWANTED}
    result["SYNTHEX_CACHE_DIR"] = cache
    result["SYNTHEX_ROS"] = kind
    defaults = {
        # Nothing outside this machine hears the nodes unless the user says so.
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOG_DIR": os.path.join(log, "ros"),
        "RCUTILS_CONSOLE_OUTPUT_FORMAT": "[{severity}] {message}",
        "RCUTILS_LOGGING_BUFFERED_STREAM": "0",
        "PYTHONUNBUFFERED": "1",
        # Sources are imported where they lie (--symlink-install); their folders stay as git left them.
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_CACHE_DIR": os.path.join(cache, "numba"),
        "MPLCONFIGDIR": os.path.join(cache, "matplotlib"),
        "MPLBACKEND": "Agg",
        "TORCH_HOME": os.path.join(cache, "torch"),
        "PIP_CACHE_DIR": os.path.join(cache, "pip"),
        "HYPOTHESIS_STORAGE_DIRECTORY": os.path.join(log, "hypothesis"),
        "COLCON_HOME": os.path.join(log, "colcon"),
        "COLCON_LOG_PATH": log,
    }
    for name, value in defaults.items():
        result.setdefault(name, value)
    return result
