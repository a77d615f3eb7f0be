"""The set-up: done once, done again when its inputs change, quiet, and clear when it fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from workspace_setup.environment import cache_folder, workspace_environment
from workspace_setup.ros_choice import RosChoice
from workspace_setup.stamps import Stamps, digest, files_below
from workspace_setup.steps import StepFailed, Workspace

REPOSITORY = Path(__file__).resolve().parents[1]
WHEELS = RosChoice("wheels", "jazzy", "", [])

# Stands for Python with venv, pip and colcon: notes its calls and leaves behind what the real ones do.
FAKE_PYTHON = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in
  *"-m venv"*) for last; do :; done; mkdir -p "$last/bin"; echo "version = 3.12.1" > "$last/pyvenv.cfg"
               echo "VIRTUAL_ENV=$last" > "$last/bin/activate"; cp {python} "$last/bin/python";;
  *"pip install"*) [ ! -e {root}/pip-fails ] || {{ echo "no such version"; exit 1; }};;
  *colcon*) mkdir -p install/demo; touch install/local_setup.bash; mkdir -p install/tf2_msgs;;
esac
"""


@pytest.fixture
def tree(tmp_path):
    """A small repository with a Python that only notes what it is asked for."""
    root = tmp_path / "repository"
    for name, text in {
        "requirements/ros.txt": "ros-rclpy==1\n", "requirements/runtime.txt": "torch==2\nnumpy==2\n",
        "requirements/train.txt": "lightning==2\n", "requirements/dev.txt": "pytest==9\n",
        "requirements/constraints.txt": "numpy==2\n", "colcon.meta": "{}", "launch/a.launch.yaml": "launch: []",
        "src/demo/package.xml": "<package/>", "src/demo/setup.py": "", "src/demo/demo/__init__.py": "",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    python = tmp_path / "python"
    python.write_text(FAKE_PYTHON.format(calls=tmp_path / "calls", python=python, root=root))
    python.chmod(0o755)
    return root


def calls_of_set_up(tree, profile="run", nvidia_gpu=False, **environ):
    """Sets `tree` up; gives the calls that it took, less the questions that change nothing."""
    calls = tree.parent / "calls"
    calls.write_text("")
    environ["PATH"] = os.environ["PATH"]
    Workspace(str(tree), str(tree.parent / "python"), WHEELS, environ, nvidia_gpu).set_up(profile)
    return [line for line in calls.read_text().splitlines() if "import pip" not in line]


def set_up(tree, profile="run"):
    """Sets `tree` up; gives the calls that it took, in short."""
    kinds = ("venv", "torch==2", "-r", "colcon")
    lines = calls_of_set_up(tree, profile)
    return [next(kind for kind in kinds if kind in line.split() or f"/{kind} " in line) for line in lines]


def test_the_first_call_does_everything_and_the_second_nothing(tree):
    assert set_up(tree) == ["venv", "torch==2", "-r", "colcon"]
    assert set_up(tree) == []


def test_a_larger_profile_adds_its_packages_and_contains_the_smaller(tree):
    set_up(tree, "run")
    assert set_up(tree, "test") == ["torch==2", "-r"]
    assert set_up(tree, "run") == set_up(tree, "train") == []


@pytest.mark.parametrize("file, again", [
    ("requirements/runtime.txt", ["torch==2", "-r"]), ("requirements/constraints.txt", ["torch==2", "-r"]),
    ("requirements/dev.txt", []), ("src/demo/setup.py", ["colcon"]), ("src/demo/package.xml", ["colcon"]),
    ("colcon.meta", ["colcon"]), ("launch/b.launch.yaml", ["colcon"]),
    ("src/demo/demo/__init__.py", []), ("launch/a.launch.yaml", [])])  # these two are linked into install/
def test_what_depends_on_a_changed_file_is_done_again_and_nothing_else(tree, file, again):
    set_up(tree)
    (tree / file).write_text("torch==2\n# changed\n")
    assert set_up(tree) == again
    assert set_up(tree) == []


def test_an_install_folder_that_was_removed_is_built_again(tree):
    set_up(tree)
    (tree / "install/demo").rmdir()
    assert set_up(tree) == ["colcon"]


def test_a_failed_step_shows_the_end_of_its_log_and_is_done_again(tree, capsys):
    (tree / "pip-fails").touch()
    with pytest.raises(StepFailed, match=r"(?s)exit code 1.*log/setup/pip.log.*no such version"):
        set_up(tree)
    assert "failed after" in capsys.readouterr().out
    (tree / "pip-fails").unlink()
    assert set_up(tree) == ["torch==2", "-r", "colcon"]


def test_a_moved_repository_gets_a_new_virtual_environment(tree):
    set_up(tree)
    moved = tree.rename(tree.parent / "moved")
    assert set_up(moved)[0] == "venv"


def test_a_build_of_another_place_is_removed_before_it_is_built_upon(tree):
    set_up(tree)
    build = tree / "build/demo"
    build.mkdir(parents=True)
    (build / "CMakeCache.txt").write_text("AMENT_CMAKE_SYMLINK_INSTALL:BOOL=1\n"
                                          "CMAKE_HOME_DIRECTORY:INTERNAL=/elsewhere/src/demo\n")
    (tree / "colcon.meta").write_text("{ }")
    assert set_up(tree) == ["colcon"]
    assert not build.exists()


def test_a_step_says_in_one_line_what_it_does(tree, capsys):
    calls_of_set_up(tree, TORCH_PIP_ARGS="--pre")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all(line.startswith("[set-up] ") and line.endswith(" s") for line in lines)


@pytest.mark.parametrize("nvidia_gpu, asked, options, told", [
    (False, "", [], 1), (True, "", [], 0), (False, "--find-links '/my wheels'", ["--find-links", "/my", "wheels"], 0),
    (True, "--pre", ["--pre"], 0)])
def test_torch_alone_gets_the_options_asked_for_and_without_a_gpu_the_smaller_build_is_named(
        tree, capsys, nvidia_gpu, asked, options, told):
    _, torch, others, _ = calls_of_set_up(tree, nvidia_gpu=nvidia_gpu, TORCH_PIP_ARGS=asked)
    assert torch.partition("--no-deps ")[2].split() == [*options, "torch==2"]
    assert "--no-deps" not in others and not any(option in others for option in options)
    lines = [line for line in capsys.readouterr().out.splitlines() if "TORCH_PIP_ARGS" in line]
    assert len(lines) == told and all(line.startswith("[set-up] no NVIDIA GPU found") for line in lines)


def test_a_fingerprint_tells_names_contents_and_words_apart(tmp_path):
    file = tmp_path / "a"
    file.write_text("1")
    first = digest(str(tmp_path), [str(file)], ["x"])
    assert first == digest(str(tmp_path), [str(file)], ["x"])
    assert first != digest(str(tmp_path), [str(file)], ["y"])
    file.write_text("2")
    assert first != digest(str(tmp_path), [str(file)], ["x"])


def test_bytecode_is_no_source(tmp_path):
    for name in ("a.py", "a.pyc", "__pycache__/a.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert files_below(str(tmp_path)) == [str(tmp_path / "a.py")]


def test_a_damaged_stamp_file_counts_as_none(tmp_path):
    stamps = Stamps(str(tmp_path / "stamps.json"))
    stamps.set("a", "1")
    assert stamps.has("a", "1") and not stamps.has("a", "2")
    (tmp_path / "stamps.json").write_text("{")
    assert not stamps.has("a", "1")


def test_caches_go_where_the_user_says_else_to_the_users_cache_else_into_the_repository(tmp_path):
    named, home = str(tmp_path / "named"), str(tmp_path / "home")
    assert cache_folder("/repo", {"SYNTHEX_CACHE_DIR": named, "HOME": home}) == named
    assert cache_folder("/repo", {"HOME": home}) == f"{home}/.cache/synthex-ros"
    assert cache_folder("/repo", {"XDG_CACHE_HOME": named}) == f"{named}/synthex-ros"
    assert cache_folder("/repo", {"HOME": "/proc/none"}) == cache_folder("/repo", {}) == "/repo/.venv/cache"


def test_everything_is_written_below_the_repository_or_the_cache(tmp_path):
    environ = workspace_environment("/repo", {"SYNTHEX_CACHE_DIR": str(tmp_path), "HOME": "/h"}, "wheels")
    folders = [value for name, value in environ.items() if name not in ("HOME",) and value.startswith("/")]
    assert len(folders) >= 8
    assert all(folder.startswith(("/repo/log", str(tmp_path))) for folder in folders)


def test_nodes_are_heard_on_this_machine_only_unless_the_user_says_otherwise():
    assert workspace_environment("/r", {}, "wheels")["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    chosen = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}
    assert workspace_environment("/r", chosen, "wheels")["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SUBNET"


def test_what_would_lead_pip_astray_is_left_out():
    environ = workspace_environment("/r", {"PIP_TARGET": "/x", "PYTHONHOME": "/x", "MAKEFLAGS": "-j"}, "wheels")
    assert not {"PIP_TARGET", "PYTHONHOME", "MAKEFLAGS"} & set(environ)


def test_bootstrap_can_be_read_by_older_pythons():
    # 3.6 is the oldest grammar that `compile` can be asked for in this way from 3.7 on.
    import ast
    for file in [REPOSITORY / "tools/bootstrap.py", *(REPOSITORY / "tools/workspace_setup").glob("*.py")]:
        ast.parse(file.read_text(), feature_version=(3, 6))


def test_a_command_in_a_workspace_that_is_not_built_says_what_to_do(tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "bootstrap.py").write_text((REPOSITORY / "tools/bootstrap.py").read_text())
    (tools / "workspace_setup").symlink_to(REPOSITORY / "tools/workspace_setup")
    result = subprocess.run([sys.executable, str(tools / "bootstrap.py"), "--", "true"], capture_output=True, text=True)
    assert result.returncode == 1 and "make build" in result.stderr
