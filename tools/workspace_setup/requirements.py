"""What has to be there before the workspace can be set up; each thing that is not, with the exact remedy."""

import json
import os
import platform
import shutil
import subprocess
from typing import Dict, List, NamedTuple, Optional

OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 13)
OLDEST_GLIBC = (2, 28)
# Free disk to begin with: what stays (2.5 GB, measured with torch's CPU build; 4 GB more with the one for CUDA, by what
# its wheels hold) and pip's downloads, which lie in its cache and, until they are unpacked, once more beside it.
NEEDED_BYTES = 6 * 10 ** 9
NEEDED_BYTES_WITH_CUDA = 14 * 10 ** 9
WITHOUT_WHEELS = ("use a container with x86-64 Debian 12 or Ubuntu 24.04, or RoboStack (ROS 2 from conda), or "
                  "ROS 2's own packages (Ubuntu 24.04: ros-jazzy-ros-base) as the README's ROS 2 way says")

# The Python between 3.11 and 3.13 that a release has packages of.
_PYTHON_OF = {"debian 12": "3.11", "debian 13": "3.13", "ubuntu 22.04": "3.11", "ubuntu 24.04": "3.12"}

Problem = NamedTuple("Problem", [("what", str), ("remedy", str)])

# What a Python says about itself. One call, because starting some Pythons (pyenv's shims) takes a while.
_ASK_PYTHON = """
import importlib.util as u, json, os, platform, struct, sys, sysconfig
include = sysconfig.get_path("include")
print(json.dumps(dict(version=list(sys.version_info[:3]), implementation=platform.python_implementation(),
    bits=8 * struct.calcsize("P"), executable=sys.executable, libc=list(platform.libc_ver()),
    venv=u.find_spec("venv") is not None and u.find_spec("ensurepip") is not None,
    header=bool(include) and os.path.isfile(os.path.join(include, "Python.h")),
    free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")))))
"""


class Machine:
    """Asks this machine. Tests give `find_problems` a machine of their own making."""

    def python(self, executable):
        # type: (str) -> Optional[Dict]
        """What the Python `executable` says about itself, None where it does not run."""
        try:
            answer = subprocess.run([executable, "-I", "-c", _ASK_PYTHON], stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, timeout=60)
            return json.loads(answer.stdout.decode()) if answer.returncode == 0 else None
        except (OSError, ValueError, subprocess.TimeoutExpired):
            return None

    def program(self, name):
        # type: (str) -> Optional[str]
        """The path of a program, None where there is none."""
        return shutil.which(name)

    def system(self):
        # type: () -> str
        """Linux, Darwin, Windows, ..."""
        return platform.system()

    def processor(self):
        # type: () -> str
        """x86_64, aarch64, ..."""
        return platform.machine()

    def distribution(self):
        # type: () -> List[str]
        """Release, distribution and those it derives from, e.g. ['ubuntu 24.04', 'ubuntu', 'debian']."""
        try:
            with open("/etc/os-release", encoding="utf-8") as file:
                pairs = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
        except OSError:
            return []
        own = pairs.get("ID", "").strip('"')
        release = "{} {}".format(own, pairs.get("VERSION_ID", "").strip('"'))
        return [release, own] + pairs.get("ID_LIKE", "").strip('"').split()

    def nvidia_gpu(self):
        # type: () -> bool
        """Whether there is an NVIDIA GPU, told by its driver: in the kernel or, under WSL, by the driver's own tool."""
        return os.path.exists("/proc/driver/nvidia/version") or self.program("nvidia-smi") is not None

    def free_bytes(self, folder):
        # type: (str) -> int
        """Free disk space where `folder` is."""
        return shutil.disk_usage(folder).free

    def writable(self, folder):
        # type: (str) -> bool
        """Whether files can be made in `folder`."""
        return os.access(folder, os.W_OK | os.X_OK)


def choose_python(machine, asked):
    # type: (Machine, str) -> str
    """The Python to build with: `asked` if it serves, else the first that serves; `asked` if none does."""
    found = []
    for name in [asked, "python3", "python3.12", "python3.11", "python3.13"]:
        answer = machine.python(name)
        if answer is None or not _python_problem(answer) == []:
            continue
        if answer["venv"] and answer["header"]:
            return name
        found.append(name)
    return found[0] if found else asked


def find_problems(machine, root, python, with_wheels, installed, with_cuda=False):
    # type: (Machine, str, str, bool, bool, bool) -> List[Problem]
    """Everything that keeps the workspace at `root` from being set up with `python`; empty when all is well.

    `with_wheels`: ROS 2 is to come from PyPI. `installed`: the packages are there already, so that disk is no question.
    `with_cuda`: torch will be the build for CUDA, which needs more of it.
    """
    if with_wheels:
        problems = _platform_problems(machine)
        if problems:
            return problems  # the rest would only distract
    needed_bytes = 0 if installed else NEEDED_BYTES_WITH_CUDA if with_cuda else NEEDED_BYTES
    problems = _folder_problems(machine, root, needed_bytes)
    package_manager = _PackageManager(machine.distribution())
    answer = machine.python(python)
    if answer is None:
        problems.append(Problem("'{}' does not run".format(python), "name another Python: make PYTHON=python3.12 ..."))
    else:
        problems += _libc_problems(answer) if with_wheels else []
        problems += _python_problem(answer, package_manager) or _python_parts(answer, package_manager)
    if machine.program("g++") is None and machine.program("c++") is None:
        problems.append(Problem("no C++ compiler (g++)", package_manager.install("g++", "gcc-c++")))
    if machine.program("make") is None:
        problems.append(Problem("no make", package_manager.install("make", "make")))
    if machine.program("bash") is None:
        problems.append(Problem("no bash", package_manager.install("bash", "bash")))
    if not with_wheels and machine.program("colcon") is None:
        problems.append(Problem("no colcon", package_manager.install("python3-colcon-common-extensions",
                                                                     "python3-colcon-common-extensions")))
    return problems


def _platform_problems(machine):
    # type: (Machine) -> List[Problem]
    system, processor = machine.system(), machine.processor()
    if system != "Linux" or processor not in ("x86_64", "AMD64"):
        return [Problem("there are no ROS 2 wheels for {} on {} (only for Linux on x86_64)".format(
            {"Darwin": "macOS"}.get(system, system or "this system"), processor or "this processor"), WITHOUT_WHEELS)]
    return []


def _libc_problems(answer):
    # type: (Dict) -> List[Problem]
    name, version = answer["libc"]
    if name != "glibc":
        return [Problem("this Linux has no glibc (musl?), which the ROS 2 wheels need", WITHOUT_WHEELS)]
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_GLIBC:
        return [Problem("glibc {} is older than 2.28, which the ROS 2 wheels need".format(version), WITHOUT_WHEELS)]
    return []


def _folder_problems(machine, root, needed_bytes):
    # type: (Machine, str, int) -> List[Problem]
    problems = []
    unfit = sorted({character for character in root if character.isspace() or character in ":;\"'$\\&#%"})
    if unfit:
        problems.append(Problem("the path of this folder holds {}: {}".format(
            " and ".join(repr(character) for character in unfit), root),
            "move or clone it to a path without (CMake and colcon stumble over it)"))
    if not machine.writable(root):
        problems.append(Problem("no permission to write in {}".format(root),
                                "clone the repository to a folder of your own"))
    elif machine.free_bytes(root) < needed_bytes:
        problems.append(Problem("only {:.1f} GB of disk are free in {}".format(machine.free_bytes(root) / 1e9, root),
                                "make room, or clone to another disk: {:.0f} GB are needed".format(needed_bytes / 1e9)))
    return problems


def _python_problem(answer, package_manager=None):
    # type: (Dict, Optional[_PackageManager]) -> List[Problem]
    version = tuple(answer["version"][:2])
    name = "{} {}".format(answer["implementation"], ".".join(str(part) for part in answer["version"]))
    if answer["implementation"] != "CPython" or answer["bits"] != 64 or answer["free_threaded"]:
        wrong = name + (", 32 bit" if answer["bits"] != 64 else "")
        wrong += ", free-threaded" if answer["free_threaded"] else ""
    elif not OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        wrong = name
    else:
        return []
    remedy = package_manager.python() if package_manager else ""
    what = "CPython 3.11, 3.12 or 3.13 (64 bit) is needed, '{}' is {}".format(answer["executable"], wrong)
    return [Problem(what, remedy)]


def _python_parts(answer, package_manager):
    # type: (Dict, _PackageManager) -> List[Problem]
    short = "{}.{}".format(*answer["version"][:2])
    problems = []
    if not answer["venv"]:
        problems.append(Problem("Python {} lacks venv with ensurepip".format(short), package_manager.install(
            "python{}-venv".format(short), "python{}".format(short), debian_default="python3-venv")))
    if not answer["header"]:
        problems.append(Problem("Python {} lacks its C headers (Python.h)".format(short), package_manager.install(
            "python{}-dev".format(short), "python{}-devel".format(short), debian_default="python3-dev")))
    return problems


class _PackageManager:
    """The words for installing something on this distribution."""

    def __init__(self, distributions):
        # type: (List[str]) -> None
        names = set(distributions)
        self._python = next((_PYTHON_OF[name] for name in distributions if name in _PYTHON_OF), "3.12")
        self._kind = ("apt" if names & {"debian", "ubuntu"} else "dnf" if names & {"fedora", "rhel", "centos"} else "")

    def install(self, debian, fedora, debian_default=None):
        # type: (str, str, Optional[str]) -> str
        also = " (or {}, where this is the distribution's own Python)".format(debian_default) if debian_default else ""
        if self._kind == "apt":
            return "sudo apt-get install {}{}".format(debian, also)
        if self._kind == "dnf":
            return "sudo dnf install {}".format(fedora)
        return "install it with your package manager (Debian, Ubuntu: {}; Fedora, RHEL: {})".format(debian, fedora)

    def python(self):
        # type: () -> str
        packages = "python{0} python{0}-venv python{0}-dev".format(self._python)
        return "{0}, or `pyenv install {1}`; then `make PYTHON=python{1} ...`".format(
            self.install(packages, "python{0} python{0}-devel".format(self._python)), self._python)
