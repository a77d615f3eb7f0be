"""The rules of the layout: which way dependencies point, who may know ROS, and that packages say what they contain."""

import ast
import configparser
import importlib.metadata
import importlib.util
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCE = REPOSITORY / "src"
#: Each package may use those before it.
ORDER = ["cm_kinematics", "synthex_sim", "synthex_perception", "synthex_bringup"]
ROS_MODULES = {"rclpy", "rosidl_runtime_py", "rosidl_parser", "ament_index_python", "builtin_interfaces", "tf2_ros",
               "rosgraph_msgs", "std_srvs", "rcl_interfaces", "unique_identifier_msgs", "action_msgs"}
TEXT = {".py", ".yaml", ".txt", ".md", ".cmake", ".xml", ".msg", ".srv", ".action"}
#: Adapters that say clearly what is missing where these are not installed.
OPTIONAL = {"cupy", "deepdrr"}


def modules_of(package):
    return sorted((SOURCE / package / package).rglob("*.py"))


def imported_modules(file, package):
    """The absolute names of all modules that `file`, a module in the Python package `package`, imports anywhere in it.

    `from a.b import c` counts as a.b and as a.b.c: whether c is a module is not to be seen from here.
    """
    names = set()
    for node in ast.walk(ast.parse(file.read_text(), filename=str(file))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            relative = "." * node.level + (node.module or "")
            module = importlib.util.resolve_name(relative, package)
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            if isinstance(node.args[0], ast.Constant):
                names.add(importlib.util.resolve_name(str(node.args[0].value), package))
    return names


def modules_imported(file):
    """`imported_modules` of a file below src/<package>/."""
    return imported_modules(file, ".".join(file.parent.relative_to(SOURCE).parts[1:]))


def imported(file):
    """The top-level names of everything that `file` imports, at whatever place in it."""
    return {name.split(".")[0] for name in modules_imported(file)}


def is_ros(name):
    return name in ROS_MODULES or name.endswith("_msgs")


def knows_ros(module):
    """Whether a module is one of ROS, or one of our nodes/, which import ROS in their turn."""
    first, *rest = module.split(".")
    return is_ros(first) or (first in ORDER and rest[:1] == ["nodes"])


def tree(package):
    return ElementTree.parse(SOURCE / package / "package.xml").getroot()


@pytest.mark.parametrize("package", ORDER)
def test_dependencies_point_one_way(package):
    above = set(ORDER[ORDER.index(package) + 1:])
    wrong = {f"{file.relative_to(SOURCE)} imports {name}" for file in modules_of(package)
             for name in imported(file) & above}
    assert modules_of(package) and not wrong


@pytest.mark.parametrize("package", ORDER)
def test_only_nodes_know_ros(package):
    wrong = {f"{file.relative_to(SOURCE)} imports {name}" for file in modules_of(package)
             if "nodes" not in file.relative_to(SOURCE / package / package).parts
             for name in modules_imported(file) if knows_ros(name)}
    assert not wrong


def test_this_test_would_notice():
    nodes = [file for package in ORDER for file in modules_of(package) if "nodes" in file.parts]
    assert any(is_ros(name) for file in nodes for name in imported(file))


@pytest.mark.parametrize(("line", "module"), [
    ("import rclpy.node", "rclpy.node"),
    ("from synthex_sim.nodes import carm_messages", "synthex_sim.nodes.carm_messages"),
    ("from ..nodes.raw_topics import x", "synthex_bringup.nodes.raw_topics"),
    ("from .. import nodes", "synthex_bringup.nodes"),
    ("from ..nodes import raw_topics", "synthex_bringup.nodes.raw_topics"),
    ("def f():\n    importlib.import_module('..nodes.raw_topics', __package__)", "synthex_bringup.nodes.raw_topics"),
])
def test_an_import_is_noticed_however_it_is_written(tmp_path, line, module):
    file = tmp_path / "gate.py"
    file.write_text(line)
    found = imported_modules(file, "synthex_bringup.recording")
    assert module in found and any(knows_ros(name) for name in found)


def test_an_import_of_the_own_package_that_is_no_node_is_allowed(tmp_path):
    file = tmp_path / "gate.py"
    file.write_text("from . import files\nfrom .topics import nodes\nfrom ..report.page import write")
    assert not any(knows_ros(name) for name in imported_modules(file, "synthex_bringup.recording"))


@pytest.mark.parametrize("document", [
    "README.md", "NOTICE", *(f"docs/{f.name}" for f in (REPOSITORY / "docs").glob("*.md"))])
def test_links_within_the_repository_lead_somewhere(document):
    file = REPOSITORY / document
    links = re.findall(r"\]\(([^)#:]+)\)", file.read_text())
    assert [link for link in links if not (file.parent / link).exists()] == []


@pytest.mark.parametrize("package", ORDER)
def test_every_python_folder_is_a_package(package):
    folders = {file.parent for file in modules_of(package)}
    assert [str(folder.relative_to(SOURCE)) for folder in folders if not (folder / "__init__.py").is_file()] == []
    assert (SOURCE / package / package / "py.typed").is_file()


@pytest.mark.parametrize("package", ORDER)
def test_package_xml_names_every_ros_package_that_is_imported(package):
    declared = {element.text for element in tree(package) if element.tag.endswith("depend")}
    used = {name for file in modules_of(package) for name in imported(file) if is_ros(name) or name in ORDER}
    assert used - declared - {package} == set()


@pytest.mark.parametrize("package", [*ORDER, "synthex_msgs"])
def test_versions_and_licences_agree(package):
    root = tree(package)
    assert root.findtext("name") == package and root.findtext("license") == "Apache-2.0"
    assert root.findtext("version") == tree("synthex_msgs").findtext("version")
    setup = SOURCE / package / "setup.py"
    if setup.is_file():
        assert f'version="{root.findtext("version")}"' in setup.read_text()


@pytest.mark.parametrize("package", ["cm_kinematics", "synthex_sim", "synthex_perception"])
def test_console_scripts_are_installed_where_ros_looks_and_run_with_the_python_of_the_shell(package):
    config = configparser.ConfigParser()
    config.read(SOURCE / package / "setup.cfg")
    assert config["develop"]["script_dir"] == config["install"]["install_scripts"] == f"$base/lib/{package}"
    assert config["build_scripts"]["executable"] == "/usr/bin/env python3"


@pytest.mark.parametrize("package", [*ORDER, "synthex_msgs"])
def test_the_maintainers_address_can_belong_to_nobody(package):
    # RFC 2606: nothing under .invalid is ever anybody's.
    files = [file for name in ("package.xml", "setup.py") if (file := SOURCE / package / name).is_file()]
    found = [address for file in files for address in re.findall(r"[\w.-]+@[\w.-]+", file.read_text())]
    assert len(found) == len(files) and all(address.endswith(".invalid") for address in found)


@pytest.mark.parametrize("package", ["cm_kinematics", "synthex_sim", "synthex_perception"])
def test_console_scripts_point_at_functions_that_exist(package):
    scripts = re.findall(r'"(\w+) = ([\w.]+):(\w+)"', (SOURCE / package / "setup.py").read_text())
    assert scripts
    for name, module, function in scripts:
        file = SOURCE / package / (module.replace(".", "/") + ".py")
        assert file.is_file(), f"{name}: {file} does not exist"
        functions = [node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)]
        assert function in functions, f"{name}: {module} has no {function}"


def test_scripts_of_the_bringup_package_point_at_modules_that_exist():
    scripts = sorted((SOURCE / "synthex_bringup/scripts").iterdir())
    cmake = (SOURCE / "synthex_bringup/CMakeLists.txt").read_text()
    assert scripts
    for script in scripts:
        (module,) = re.findall(r"from ([\w.]+) import main", script.read_text())
        file = SOURCE / "synthex_bringup" / (module.replace(".", "/") + ".py")
        assert file.is_file() and "def main(" in file.read_text(), f"{script.name}: {file}"
        assert f"scripts/{script.name}\n" in cmake


def test_every_interface_of_synthex_msgs_is_built_and_every_field_is_commented():
    folder = SOURCE / "synthex_msgs"
    cmake = (folder / "CMakeLists.txt").read_text()
    files = [file for kind in ("msg", "srv", "action") for file in sorted((folder / kind).iterdir())]
    assert files
    for file in files:
        assert f"  {file.parent.name}/{file.name}\n" in cmake
        lines = file.read_text().splitlines()
        for above, line in zip(["", *lines], lines, strict=False):
            if line.strip() and not line.startswith(("#", "---")):
                assert "#" in line or above.startswith("#"), f"{file.name}: '{line}' has no comment"


def test_requirements_are_all_pinned_by_the_constraints():
    folder = REPOSITORY / "requirements"
    lines = (folder / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines if line and not line.startswith("#"))
    for name in ("ros", "runtime", "train", "dev", "gpu"):
        for line in (folder / f"{name}.txt").read_text().splitlines():
            if line and not line.startswith("#"):
                package, _, version = line.split("#")[0].strip().partition("==")
                key = re.sub(r"\[.*\]", "", package).lower().replace("_", "-")
                assert key in pins and version in ("", pins[key]), f"{name}.txt: {line}"


def requirements(*names):
    lines = [line.split("#")[0].strip() for name in names
             for line in (REPOSITORY / "requirements" / f"{name}.txt").read_text().splitlines()]
    return {re.split(r"[\[=<>~ ]", line)[0].lower().replace("_", "-") for line in lines if line}


@pytest.mark.parametrize("package", ORDER)
def test_every_library_that_is_imported_is_required_where_it_is_imported(package):
    # Imports inside functions too: "lazily" is no excuse for a library that is not there.
    distributions = importlib.metadata.packages_distributions()
    running = requirements("runtime", "ros", "gpu")
    training = running | requirements("train")
    wrong = set()
    for file in modules_of(package):
        parts = file.relative_to(SOURCE / package / package).parts
        allowed = training if parts[0] in ("training", "evaluation", "adaptation", "randomization") else running
        for name in imported(file) - set(sys.stdlib_module_names) - set(ORDER) - OPTIONAL:
            found = {distribution.lower().replace("_", "-") for distribution in distributions.get(name, [name])}
            if not is_ros(name) and not found & allowed:
                wrong.add(f"{file.relative_to(SOURCE)} imports {name}")
    assert wrong == set()


def test_no_file_of_the_tree_holds_a_merge_marker_or_a_path_of_the_machine_it_was_written_on():
    this = Path(__file__).resolve()
    wrong = []
    for folder in ("src", "launch", "config", "tools", "tests", "requirements", ".ci", "docs"):
        for file in (REPOSITORY / folder).rglob("*"):
            if file.suffix in TEXT and file != this:
                text = file.read_text(errors="replace")
                if re.search(r"(^|[\s\"'=(])/(root|work)/|^<<<<<<< |^>>>>>>> ", text, re.MULTILINE):
                    wrong.append(str(file.relative_to(REPOSITORY)))
    assert wrong == []
