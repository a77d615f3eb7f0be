"""The throw-away environment of the peers: made anew when what it must hold changes, never the project's own.

It lies in the cache folder and may be removed at any time. Each peer is installed for itself, so that one that cannot
be had takes no other with it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

from contestants import Absent

REPOSITORY = Path(__file__).resolve().parents[2]
_COMMON = ["numpy==2.4.6", "scipy==1.17.1"]
#: DiffDRR asks for torchvision, which would replace torch by another build; it does not need it to render.
_TORCH = [["torch==2.13.0"]]
_STEPS: dict[str, list[list[str]]] = {
    "rtk": [["itk-rtk==2.7.0.post1"]],
    "nanodrr": [*_TORCH, ["nanodrr==0.1.7"]],
    "diffdrr": [
        *_TORCH,
        ["--no-deps", "diffdrr==0.6.1", "kornia==0.9.0", "kornia-rs==0.2.0"],
        ["roma", "einops", "fastcore", "jaxtyping", "torchio==1.2.1", "matplotlib", "pandas"],
    ],
}
_PACKAGES = {"rtk": ("itk-rtk",), "nanodrr": ("nanodrr", "torch"), "diffdrr": ("diffdrr", "torch")}
#: For one step of pip, seconds.
_PATIENCE_S = 900


def folder() -> Path:
    """Where the environment is: in the project's cache folder, or in build/ without one."""
    cache = os.environ.get("SYNTHEX_CACHE_DIR")
    return (Path(cache) if cache else REPOSITORY / "build") / "render_peers"


def make_ready(peer: str) -> str:
    """Installs what a peer needs, unless it is there.

    Returns:
        Its version, and that of what it computes with.

    Raises:
        Absent: it cannot be had; the message says why.
    """
    if peer == "plastimatch":
        return _plastimatch_version()
    place = folder()
    if not (place / "bin" / "python").exists():
        shutil.rmtree(place, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(place)], "no virtual environment")
        _install(place, _COMMON)
    for step in _STEPS[peer]:
        _install(place, step)
    packages = [str(path) for path in place.glob("lib/*/site-packages")]
    found = {d.metadata["Name"].lower(): d.version for d in distributions(path=packages)}
    return ", ".join(f"{name} {found[name]}" for name in _PACKAGES[peer])


def _install(place: Path, requirements: list[str]) -> None:
    """One call of pip, remembered in a file, so that it is not made twice."""
    done = place / "installed.txt"
    line = " ".join(requirements)
    if done.exists() and line in done.read_text().splitlines():
        return
    print(f"[peers] installing {line}", flush=True)
    options = shlex.split(os.environ.get("TORCH_PIP_ARGS", "")) if line.startswith("torch=") else []
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, *options, *requirements], f"{line} cannot be installed")
    with open(done, "a") as file:
        print(line, file=file)


def _run(command: list[str], complaint: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired as error:
        raise Absent(f"{complaint}: not done after {_PATIENCE_S} s") from error
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise Absent(f"{complaint}: {errors[-1] if errors else 'no reason given'}")


def _plastimatch_version() -> str:
    """It comes with the system (Debian and Ubuntu: ``apt-get install plastimatch``), not from the Python index."""
    command = shutil.which("plastimatch")
    if command is None:
        raise Absent("plastimatch: not installed on this system (Debian, Ubuntu: apt-get install plastimatch)")
    printed = subprocess.run([command, "--version"], capture_output=True, text=True).stdout.split()
    return f"plastimatch {printed[-1] if printed else 'of unknown version'}"
