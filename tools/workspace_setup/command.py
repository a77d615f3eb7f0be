"""The command line of tools/bootstrap.py."""

import argparse
import contextlib
import os
import sys
from typing import Iterator, List, Optional

from .environment import workspace_environment
from .requirements import Machine, choose_python, find_problems
from .ros_choice import RosChoice, choose_ros, scrub
from .steps import PROFILES, StepFailed, Workspace

# The folder's own local_setup, not setup: that one would chain to whatever was sourced when the workspace was built.
_ENTER = '. "$VIRTUAL_ENV/bin/activate" && . "$0/install/local_setup.bash" && exec "$@"'


def main(root, arguments=None):
    # type: (str, Optional[List[str]]) -> int
    """Exit status: that of the command that was run; 1 a step failed, 3 something is missing, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        choice = choose_ros(os.environ, options.ros, _has_rclpy)
        return _work(root, options, choice)
    except (StepFailed, ValueError) as error:
        print("set-up: error: {}".format(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up interrupted; the same command goes on from here", file=sys.stderr)
        return 130


def _parser():
    # type: () -> argparse.ArgumentParser
    parser = argparse.ArgumentParser(prog="tools/bootstrap.py",
                                     description="Sets the workspace up; runs commands in it.")
    parser.add_argument("--ros", default=os.environ.get("ROS", ""), metavar="sourced|wheels",
                        help="insist on the ROS 2 sourced in this shell, or on the wheels")
    parser.add_argument("--profile", choices=sorted(PROFILES), help="set up what this needs")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="then run this command in the workspace")
    return parser


def _work(root, options, choice):
    # type: (str, argparse.Namespace, RosChoice) -> int
    machine = Machine()
    environ = scrub(os.environ, choice.foreign) if choice.kind == "wheels" else dict(os.environ)
    environ = workspace_environment(root, environ, choice.kind)
    # Inside a virtual environment, the Python it was made from: an environment cannot be made anew by its own Python.
    asked = os.environ.get("PYTHON") or getattr(sys, "_base_executable", None) or sys.executable
    nvidia_gpu = machine.nvidia_gpu()
    workspace = Workspace(root, asked, choice, environ, nvidia_gpu)
    if options.profile:
        ready = workspace.installed(options.profile)
        if not ready or not workspace.built():
            python = choose_python(machine, asked)
            with_cuda = nvidia_gpu and not environ.get("TORCH_PIP_ARGS")
            problems = find_problems(machine, root, python, choice.kind == "wheels", ready, with_cuda)
            if problems:
                _report(problems)
                return 3
            _announce(choice, python)
            workspace = Workspace(root, python, choice, environ, nvidia_gpu)
            with _alone(root):
                workspace.set_up(options.profile)
        elif choice.foreign or choice.kind == "sourced":
            print("[set-up] {}".format(_named(choice)))
    elif not os.path.isfile(os.path.join(root, "install", "local_setup.bash")):
        raise ValueError("the workspace is not built yet: make build")
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        return 0
    sys.stdout.flush()
    os.execvpe("bash", ["bash", "-c", _ENTER, root] + command, workspace.activated())


def _named(choice):
    # type: (RosChoice) -> str
    wheels = "ROS 2 {} from PyPI wheels".format(choice.distro.capitalize())
    used = "the sourced ROS 2" if choice.kind == "sourced" else wheels
    return "{}: using {}".format(choice.reason, used)


def _announce(choice, python):
    # type: (RosChoice, str) -> None
    print("[set-up] {}, with {}; details in log/setup/".format(_named(choice), python))
    sys.stdout.flush()


def _report(problems):
    # type: (List) -> None
    print("set-up: error: this machine lacks what pip cannot give:", file=sys.stderr)
    for problem in problems:
        print("  - {}\n      {}".format(problem.what, problem.remedy), file=sys.stderr)


def _has_rclpy(prefix):
    # type: (str) -> bool
    return os.path.isfile(os.path.join(prefix, "share", "rclpy", "package.xml"))


@contextlib.contextmanager
def _alone(root):
    # type: (str) -> Iterator[None]
    """Holds the lock that keeps two set-ups of one workspace from working at once."""
    import fcntl  # not on Windows, which has been refused before this

    os.makedirs(os.path.join(root, "log"), exist_ok=True)
    with open(os.path.join(root, "log", ".set-up.lock"), "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("[set-up] waiting for another set-up of this workspace to finish")
            sys.stdout.flush()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
