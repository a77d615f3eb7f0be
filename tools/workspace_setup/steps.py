"""The set-up itself: virtual environment, pip, colcon. Every step is done once and noted in a stamp."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from typing import Dict, List, Mapping

from .ros_choice import RosChoice
from .stamps import Stamps, digest, files_below

#: Requirement files of each profile, in requirements/. The wheels of ROS 2 are left out where ROS 2 is sourced.
PROFILES = {
    "run": ("ros.txt", "runtime.txt"),
    "train": ("ros.txt", "runtime.txt", "train.txt"),
    "test": ("ros.txt", "runtime.txt", "train.txt", "dev.txt"),
}
#: ament_python packages: their Python files are linked, not copied, so that only these decide about a new build.
_PYTHON_PACKAGE_FILES = ("package.xml", "setup.py", "setup.cfg", "CMakeLists.txt")
_TAIL_LINES = 25


class StepFailed(Exception):
    """A step ended with an error; the message holds the end of its log."""


class Workspace:
    """The repository at `root`, set up with `python` and the ROS 2 of `choice`; `environ` is for the steps.

    `nvidia_gpu`: whether this machine has one; where it has not, a smaller build of torch is spoken of.
    """

    def __init__(self, root, python, choice, environ, nvidia_gpu=False):
        # type: (str, str, RosChoice, Mapping[str, str], bool) -> None
        self.root = root
        self.choice = choice
        self.venv = os.path.join(root, ".venv" if choice.kind == "wheels" else ".venv-ros")
        self._python = python
        self._environ = dict(environ)
        self._nvidia_gpu = nvidia_gpu
        self._logs = os.path.join(root, "log", "setup")
        self._stamps = Stamps(os.path.join(self.venv, "synthex-stamps.json"))

    def installed(self, profile):
        # type: (str) -> bool
        """Whether pip has nothing to do for `profile`."""
        return self._venv_works() and not self._missing_requirements(profile)

    def set_up(self, profile):
        # type: (str) -> None
        """Does what is missing for `profile`.

        Raises:
            StepFailed: a step ended with an error.
        """
        if not self._venv_works():
            self._make_venv()
        if self._missing_requirements(profile):
            self._install(profile)
        if not self.built():
            self._build()

    def built(self):
        # type: () -> bool
        """Whether install/ holds what the sources say."""
        install = os.path.join(self.root, "install")
        complete = all(os.path.isdir(os.path.join(install, package)) for package in self._packages())
        complete = complete and os.path.isfile(os.path.join(install, "local_setup.bash"))
        return complete and self._stamps.has("build", self._build_fingerprint())

    def activated(self):
        # type: () -> Dict[str, str]
        """The environment with the virtual environment first, before the workspace is sourced."""
        environ = dict(self._environ, VIRTUAL_ENV=self.venv)
        environ["PATH"] = os.path.join(self.venv, "bin") + os.pathsep + environ.get("PATH", os.defpath)
        if self.choice.kind == "wheels":
            environ["AMENT_PREFIX_PATH"] = self.venv
        return environ

    # -- virtual environment ------------------------------------------------------------------------------------------
    def _venv_works(self):
        # type: () -> bool
        python = os.path.join(self.venv, "bin", "python")
        config = os.path.join(self.venv, "pyvenv.cfg")
        if not (os.path.isfile(config) and os.access(python, os.X_OK)):
            return False
        # Scripts in bin/ hold the path they were made at: one that was moved along with its folder does not work.
        with open(os.path.join(self.venv, "bin", "activate"), encoding="utf-8") as stream:
            if self.venv not in stream.read():
                return False
        if self._stamps.has("venv", self.venv):
            return True
        works = subprocess.run([python, "-I", "-c", "import pip"], env=self._environ, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL).returncode == 0
        if works:
            self._stamps.set("venv", self.venv)
        return works

    def _make_venv(self):
        # type: () -> None
        command = [self._python, "-m", "venv", "--clear"]
        if self.choice.kind == "sourced":
            command.append("--system-site-packages")
        self._step("virtual environment in {}".format(os.path.basename(self.venv)), "venv", [command + [self.venv]],
                   self._environ)
        with open(os.path.join(self.venv, ".gitignore"), "w", encoding="utf-8") as stream:
            stream.write("*\n")
        self._stamps.set("venv", self.venv)

    # -- pip ----------------------------------------------------------------------------------------------------------
    def _requirements(self, profile):
        # type: (str) -> List[str]
        names = [name for name in PROFILES[profile] if name != "ros.txt" or self.choice.kind == "wheels"]
        return [os.path.join(self.root, "requirements", name) for name in names]

    def _requirement_fingerprint(self, file):
        # type: (str) -> str
        return digest(self.root, [file, os.path.join(self.root, "requirements", "constraints.txt")])

    def _missing_requirements(self, profile):
        # type: (str) -> List[str]
        return [file for file in self._requirements(profile)
                if not self._stamps.has(os.path.basename(file), self._requirement_fingerprint(file))]

    def _install(self, profile):
        # type: (str) -> None
        pip = [os.path.join(self.venv, "bin", "python"), "-m", "pip", "install", "--disable-pip-version-check",
               "--no-input", "-c", os.path.join(self.root, "requirements", "constraints.txt")]
        files = self._requirements(profile)
        commands = []
        torch = [line.strip() for file in files for line in open(file, encoding="utf-8") if line.startswith("torch==")]
        if torch:
            # First and alone: nothing else then chooses its build (CPU or CUDA), and what it depends on comes from
            # where everything else does.
            commands.append(pip + ["--no-deps"] + self._torch_pip_args() + torch)
        commands.append(pip + [word for file in files for word in ("-r", file)])
        names = ", ".join(os.path.splitext(os.path.basename(file))[0] for file in files)
        for file in files:
            self._stamps.clear(os.path.basename(file))
        self._step("Python packages: {}".format(names), "pip", commands, self.activated())
        for file in files:
            self._stamps.set(os.path.basename(file), self._requirement_fingerprint(file))

    def _torch_pip_args(self):
        # type: () -> List[str]
        asked = self._environ.get("TORCH_PIP_ARGS", "")
        if not asked and not self._nvidia_gpu:
            print("[set-up] no NVIDIA GPU found: torch's CPU build, 4 GB smaller than the one for CUDA, is enough; "
                  "TORCH_PIP_ARGS takes pip's options for where it is")
        return shlex.split(asked)

    # -- colcon -------------------------------------------------------------------------------------------------------
    def _packages(self):
        # type: () -> List[str]
        source = os.path.join(self.root, "src")
        names = [name for name in os.listdir(source) if os.path.isfile(os.path.join(source, name, "package.xml"))]
        return sorted(names + (["tf2_msgs"] if self._needs_underlay() else []))

    def _needs_underlay(self):
        # type: () -> bool
        # There is no wheel of tf2_msgs, and an installation of ROS 2 may lack it.
        prefixes = [self.venv]
        if self.choice.kind == "sourced":
            prefixes = self._environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)
        own = os.path.join(self.root, "install") + os.sep
        return not any(os.path.isdir(os.path.join(prefix, "share", "tf2_msgs"))
                       for prefix in prefixes if not prefix.startswith(own))

    def _build_fingerprint(self):
        # type: () -> str
        join = os.path.join
        interfaces = [join(self.root, "colcon.meta")] + files_below(join(self.root, "src", "synthex_msgs"))
        interfaces += files_below(join(self.root, "tools", "cmake")) + files_below(join(self.root, "tools", "underlay"))
        files, linked = list(interfaces), []
        for package in self._packages():
            folder = join(self.root, "src", package)
            files += [join(folder, name) for name in _PYTHON_PACKAGE_FILES
                      if os.path.isfile(join(folder, name)) and join(folder, name) not in interfaces]
        # Of these the names are enough: what is in the files is linked.
        for folder in ("launch", "config", "models", join("src", "synthex_bringup")):
            linked += [os.path.relpath(file, self.root) for file in files_below(join(self.root, folder))]
        with open(join(self.venv, "pyvenv.cfg"), encoding="utf-8") as stream:
            version = [line for line in stream if line.startswith("version")]
        return digest(self.root, files, [self.choice.kind, self.choice.distro, self.root, version] + sorted(linked))

    def _build(self):
        # type: () -> None
        self._stamps.clear("build")
        self._discard_unfit_builds()
        join = os.path.join
        # By the virtual environment's Python, whichever Python the colcon script names: what it builds gets that one.
        colcon = join(self.venv, "bin", "colcon") if self.choice.kind == "wheels" else shutil.which("colcon")
        command = [join(self.venv, "bin", "python"), colcon, "build", "--symlink-install", "--base-paths", "src"]
        if self._needs_underlay():
            command.append(join("tools", "underlay"))
        command += ["--event-handlers", "console_direct+", "desktop_notification-", "status-",
                    "--cmake-args", "-DBUILD_TESTING=OFF"]
        self._step("colcon build of {} packages".format(len(self._packages())), "colcon", [command], self.activated())
        self._stamps.set("build", self._build_fingerprint())

    def _discard_unfit_builds(self):
        # type: () -> None
        """Removes builds made elsewhere, with another Python or without links, on which no new one can be built."""
        for package in self._packages():
            build = os.path.join(self.root, "build", package)
            if not os.path.isdir(build):
                continue
            cache = os.path.join(build, "CMakeCache.txt")
            if os.path.isfile(cache):
                with open(cache, encoding="utf-8", errors="replace") as stream:
                    text = stream.read()
                home = "CMAKE_HOME_DIRECTORY:INTERNAL={}{}".format(self.root, os.sep)
                fit = "AMENT_CMAKE_SYMLINK_INSTALL:BOOL=1" in text and home in text and self.venv + os.sep in text
            else:
                fit = os.path.islink(os.path.join(build, package))
            if not fit:
                shutil.rmtree(build)
                shutil.rmtree(os.path.join(self.root, "install", package), ignore_errors=True)

    # -- running ------------------------------------------------------------------------------------------------------
    def _step(self, title, name, commands, environ):
        # type: (str, str, List[List[str]], Mapping[str, str]) -> None
        os.makedirs(self._logs, exist_ok=True)
        path = os.path.join(self._logs, name + ".log")
        sys.stdout.write("[set-up] {} ... ".format(title))
        sys.stdout.flush()
        start = time.time()
        with open(path, "wb") as log:
            for command in commands:
                log.write("$ {}\n".format(" ".join(command)).encode())
                log.flush()
                status = subprocess.call(command, cwd=self.root, env=dict(environ), stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=subprocess.STDOUT)
                if status:
                    print("failed after {:.0f} s".format(time.time() - start))
                    raise StepFailed("{} ended with exit code {}. The last lines of {}:\n{}".format(
                        title, status, os.path.relpath(path, self.root), _tail(path)))
        print("{:.0f} s".format(time.time() - start))
        sys.stdout.flush()


def _tail(path):
    # type: (str) -> str
    with open(path, encoding="utf-8", errors="replace") as stream:
        return "".join("    " + line for line in stream.readlines()[-_TAIL_LINES:])
