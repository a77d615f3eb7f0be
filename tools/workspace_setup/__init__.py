"""Sets this workspace up on a machine that has Python, a C++ compiler and make, and runs commands in it.

Standard library only, and written so that Python 3.6 can read it: whoever has an older or newer Python than the
workspace needs shall get a sentence that helps, not a SyntaxError.

    requirements.py  what must be there before anything is installed, and the remedy for what is not
    ros_choice.py    which ROS 2 is used: the sourced one or the wheels, never a mixture
    environment.py   the environment variables that commands in the workspace get
    stamps.py        remembers what has been done, keyed by what it was done with
    steps.py         virtual environment, pip, colcon
    command.py       the command line
"""
