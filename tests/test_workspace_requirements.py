"""What a machine lacks is found before anything is installed, and named with the remedy."""

import pytest
from workspace_setup.requirements import Machine, choose_python, find_problems

ROOT = "/home/me/synthex"


def python(version=(3, 12, 3), **other):
    return {"version": list(version), "implementation": "CPython", "bits": 64, "libc": ["glibc", "2.39"], "venv": True,
            "header": True, "free_threaded": False, "executable": "/usr/bin/python3", **other}


class FakeMachine(Machine):
    """A machine on which all is well, but for what a test takes away."""

    def __init__(self, *, pythons=None, missing=(), system="Linux", processor="x86_64", distribution=("debian",),
                 free_gb=100.0, writable=True):
        self._pythons = {"python3": python()} if pythons is None else pythons
        self._missing, self._system, self._processor = missing, system, processor
        self._distribution, self._free_gb, self._writable = list(distribution), free_gb, writable

    def python(self, executable):
        return self._pythons.get(executable)

    def program(self, name):
        return None if name in self._missing else "/usr/bin/" + name

    def system(self):
        return self._system

    def processor(self):
        return self._processor

    def distribution(self):
        return self._distribution

    def free_bytes(self, folder):
        return self._free_gb * 1e9

    def writable(self, folder):
        return self._writable


def problems(root=ROOT, with_wheels=True, installed=False, with_cuda=False, **machine):
    return find_problems(FakeMachine(**machine), root, "python3", with_wheels, installed, with_cuda)


def only_problem(**arguments):
    (problem,) = problems(**arguments)
    return problem


def test_a_machine_with_everything_has_no_problem():
    assert problems() == []


def test_this_very_machine_answers_all_questions():
    machine = Machine()
    answer = machine.python("python3")
    assert answer is None or len(answer["version"]) == 3
    assert isinstance(find_problems(machine, "/tmp", "python3", True, True), list)
    assert machine.python("/nowhere/python") is None
    assert machine.nvidia_gpu() in (True, False)


@pytest.mark.parametrize("distribution, remedy", [
    (["debian"], "sudo apt-get install g++"), (["linuxmint", "ubuntu", "debian"], "sudo apt-get install g++"),
    (["fedora"], "sudo dnf install gcc-c++"), (["rocky", "rhel", "centos", "fedora"], "sudo dnf install gcc-c++")])
def test_a_missing_compiler_is_named_in_the_words_of_the_distribution(distribution, remedy):
    problem = only_problem(missing=("g++", "c++"), distribution=distribution)
    assert "C++ compiler" in problem.what and problem.remedy == remedy


def test_another_compiler_will_do():
    assert problems(missing=("g++",)) == []


@pytest.mark.parametrize("lacking, package, word", [
    ("venv", "python3.12-venv (or python3-venv", "ensurepip"),
    ("header", "python3.12-dev (or python3-dev", "Python.h")])
def test_a_python_without_a_part_names_the_package_of_that_part(lacking, package, word):
    problem = only_problem(pythons={"python3": python(**{lacking: False})})
    assert word in problem.what and problem.remedy.startswith("sudo apt-get install " + package)


def test_headers_have_another_name_on_fedora():
    problem = only_problem(pythons={"python3": python(header=False)}, distribution=["fedora"])
    assert problem.remedy == "sudo dnf install python3.12-devel"


def test_a_missing_make_is_named():
    assert only_problem(missing=("make",)).remedy == "sudo apt-get install make"


@pytest.mark.parametrize("change", [{"version": (3, 10, 12)}, {"version": (3, 14, 0)}, {"version": (3, 6, 9)},
                                    {"implementation": "PyPy"}, {"bits": 32}, {"free_threaded": True}])
def test_a_python_without_wheels_is_refused_and_one_with_wheels_is_named(change):
    problem = only_problem(pythons={"python3": python(**change)})
    assert "CPython 3.11, 3.12 or 3.13" in problem.what
    assert "python3.12 python3.12-venv python3.12-dev" in problem.remedy and "PYTHON=python3.12" in problem.remedy


@pytest.mark.parametrize("release, package", [("debian 12", "python3.11"), ("ubuntu 24.04", "python3.12")])
def test_the_python_that_is_named_is_one_the_release_has(release, package):
    problem = only_problem(pythons={"python3": python((3, 9, 2))}, distribution=[release, release.split()[0]])
    assert problem.remedy.startswith("sudo apt-get install " + package + " ")


@pytest.mark.parametrize("system, processor, words", [
    ("Darwin", "arm64", "macOS on arm64"), ("Windows", "AMD64", "Windows"), ("Linux", "aarch64", "Linux on aarch64")])
def test_a_platform_without_wheels_is_told_of_the_other_ways_and_nothing_else(system, processor, words):
    problem = only_problem(system=system, processor=processor, missing=("g++", "c++", "make"))
    assert words in problem.what
    assert all(way in problem.remedy for way in ("container", "RoboStack", "ROS 2's own packages"))


@pytest.mark.parametrize("libc, words", [(["", ""], "musl"), (["glibc", "2.17"], "glibc 2.17 is older than 2.28")])
def test_an_unfit_c_library_is_told_of_the_other_ways(libc, words):
    problem = only_problem(pythons={"python3": python(libc=libc)})
    assert words in problem.what and "container" in problem.remedy


def test_with_a_sourced_ros_the_platform_does_not_matter_but_colcon_does():
    problem = only_problem(with_wheels=False, processor="aarch64", missing=("colcon",))
    assert problem.what == "no colcon" and "python3-colcon-common-extensions" in problem.remedy


@pytest.mark.parametrize("root", ["/home/my name/synthex", "/home/a:b/synthex", "/home/me/it's"])
def test_a_path_that_cmake_cannot_take_is_refused(root):
    problem = only_problem(root=root)
    assert root in problem.what and "clone it" in problem.remedy


def test_a_full_disk_is_noticed_before_but_not_after_the_packages_are_there():
    problem = only_problem(free_gb=2.0)
    assert "2.0 GB" in problem.what and "6 GB are needed" in problem.remedy
    assert problems(free_gb=2.0, installed=True) == []


def test_torch_for_cuda_needs_more_disk():
    assert problems(free_gb=8.0) == []
    assert "14 GB are needed" in only_problem(free_gb=8.0, with_cuda=True).remedy


def test_a_folder_that_cannot_be_written_is_named():
    assert "no permission" in only_problem(writable=False).what


def test_everything_that_is_missing_is_named_at_once():
    found = problems(missing=("g++", "c++", "make"), pythons={"python3": python(venv=False, header=False)})
    assert len(found) == 4


def test_another_python_is_taken_where_the_first_does_not_serve():
    old, bare, whole = python((3, 10, 1)), python((3, 12, 1), header=False), python((3, 11, 2))
    assert choose_python(FakeMachine(pythons={"python3": whole}), "python3") == "python3"
    assert choose_python(FakeMachine(pythons={"python3": old, "python3.12": bare, "python3.11": whole}),
                         "python3") == "python3.11"
    assert choose_python(FakeMachine(pythons={"python3": old, "python3.12": bare}), "python3") == "python3.12"
    assert choose_python(FakeMachine(pythons={"python3": old}), "python3") == "python3"
