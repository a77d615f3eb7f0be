#!/usr/bin/env python3
"""Sets the workspace up where only Python, a C++ compiler and make are there, and runs commands in it.

    python3 tools/bootstrap.py --profile run                        set up what a session needs
    python3 tools/bootstrap.py --profile test -- pytest tests       ... what the tests need, then run them
    python3 tools/bootstrap.py -- ros2 topic list                   run a command in the workspace as it is

The environment variable PYTHON names another Python to build with, ROS (sourced or wheels) the ROS 2 to use.
"""

import os
import sys

if sys.version_info < (3, 6):
    sys.exit("CPython 3.11, 3.12 or 3.13 is needed, this is Python " + sys.version.split()[0])

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tools"))

from workspace_setup.command import main  # noqa: E402

sys.exit(main(ROOT))
