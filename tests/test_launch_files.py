"""The launch files of this repository: what they name exists, under the runner as under the real `ros2 launch`."""

import ast
import re
from pathlib import Path

import pytest
import yaml
from launch_runner.description import declared_arguments, describe
from launch_runner.errors import LaunchError
from launch_runner.parameters import ParameterFile

REPOSITORY = Path(__file__).resolve().parents[1]
FILES = sorted((REPOSITORY / "launch").glob("*.launch.yaml"))
#: Of what the runner knows, the attributes that the YAML front end of launch 3.4 and launch_ros 0.26 (Jazzy) knows.
ATTRIBUTES = {
    "arg": {"name", "default", "description", "choice"}, "let": {"name", "value"}, "set_env": {"name", "value"},
    "unset_env": {"name"}, "include": {"file", "arg"}, "group": {"scoped", "children"}, "log": {"message"},
    "push_ros_namespace": {"namespace"},
    "node": {"pkg", "exec", "name", "namespace", "param", "remap", "args", "ros_args", "exec_name", "output", "on_exit",
             "cwd", "env"},
    "executable": {"cmd", "name", "output", "on_exit", "cwd", "env"},
}


@pytest.fixture
def installed(workspace):
    """The repository's packages as an install folder with links, so that launch files can be read without a build."""
    for package in ("cm_kinematics", "synthex_sim", "synthex_perception", "synthex_bringup"):
        (workspace.prefix / "share/ament_index/resource_index/packages" / package).touch()
        programs = workspace.prefix / "lib" / package
        programs.mkdir(parents=True)
        for name in executables(package):
            (programs / name).touch(mode=0o755)
    share = workspace.prefix / "share/synthex_bringup"
    share.mkdir()
    for folder in ("launch", "config", "models"):
        (share / folder).symlink_to(REPOSITORY / folder)
    return workspace


def executables(package):
    """Name to module file of what a package installs."""
    folder = REPOSITORY / "src" / package
    if (folder / "setup.py").is_file():
        found = dict(re.findall(r'"(\w+) = ([\w.]+):main"', (folder / "setup.py").read_text()))
    else:
        found = {script.name: re.search(r"from ([\w.]+) import main", script.read_text()).group(1)
                 for script in (folder / "scripts").iterdir()}
    return {name: folder / (module.replace(".", "/") + ".py") for name, module in found.items()}


def declared_parameters(file):
    """The names in a node's parameter table, read from the source that holds it: every Parameter("name", ...) in it."""
    parts = list(ast.walk(ast.parse(file.read_text())))
    for part in parts:
        if isinstance(part, ast.ImportFrom) and "TABLE" in {one.name for one in part.names}:
            package, _, _ = part.module.partition(".")
            return declared_parameters(REPOSITORY / "src" / package / (part.module.replace(".", "/") + ".py"))
    calls = [part for part in parts if isinstance(part, ast.Call)]
    return {call.args[0].value for call in calls
            if ast.unparse(call.func) == "Parameter" and call.args and isinstance(call.args[0], ast.Constant)}


def described(installed, file, **given):
    if any(argument.name == "bag" for argument in declared_arguments(file, installed.environment)):
        given.setdefault("bag", "some/bag")
    return describe(file, given, installed.environment)


def file_named(name):
    return REPOSITORY / "launch" / f"{name}.launch.yaml"


def test_all_that_is_promised_is_there():
    names = {"session", "record", "replay", "train", "generate_dataset", "evaluate"}
    assert names <= {file.name.split(".")[0] for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_launch_file_can_be_performed_with_its_defaults(installed, file):
    assert described(installed, file).processes


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_only_attributes_are_used_that_the_real_front_end_has(file):
    for action in yaml.safe_load(file.read_text())["launch"]:
        (kind, attributes), = action.items()
        assert set(attributes) <= ATTRIBUTES[kind] | {"if", "unless"}, kind


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_argument_says_what_it_is_for(installed, file):
    assert all(argument.description for argument in declared_arguments(file, installed.environment))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_parameter_that_is_given_is_in_the_table_of_its_node(installed, file):
    for process in described(installed, file).processes:
        if process.node is None:
            continue
        program = Path(process.command[0])
        known = declared_parameters(executables(program.parent.name)[program.name])
        assert known, f"{program.name} has no parameter table"
        for source in process.parameters:
            values = parameters_in(source.path, process.node) if isinstance(source, ParameterFile) else source.values
            assert set(values) <= known, f"{program.name} has no parameter {set(values) - known}"


def parameters_in(file, node):
    """What a parameter file holds for a node, by the matching of names that rcl does."""
    name = node.rpartition("/")[2]
    tree = yaml.safe_load(file.read_text())
    # A plain "carm_node:" would silently stop to match as soon as a namespace is given.
    assert all(key.startswith("/**") for key in tree), f"{file.name}: keys must begin with /**"
    found = {}
    for key in ("/**", f"/**/{name}"):
        found.update(tree.get(key, {}).get("ros__parameters", {}))
    return found


def test_keys_of_the_session_parameters_are_the_names_of_its_nodes(installed):
    tree = yaml.safe_load((REPOSITORY / "config/session/default.yaml").read_text())
    names = {process.node.rpartition("/")[2] for process in described(installed, file_named("session")).processes}
    assert {key.rpartition("/")[2] for key in tree} <= names | {"**"}


def test_arguments_of_the_session_reach_the_nodes_with_their_types(installed):
    processes = {process.name: process for process in described(
        installed, file_named("session"), patient="007", rate_hz="5", frames="9", seed="3").processes}
    values = {}
    for name, process in processes.items():
        for source in process.parameters:
            if not isinstance(source, ParameterFile):
                values.update({(name, key): value for key, value in source.values.items()})
    assert values["carm_node", "patient"] == "007"
    assert values["carm_node", "rate_hz"] == 5.0 and isinstance(values["carm_node", "rate_hz"], float)
    assert values["recorder_node", "frames"] == 9 and values["carm_node", "seed"] == 3
    assert values["carm_node", "autostart"] is values["perception_node", "autostart"] is True


def test_a_word_where_a_number_belongs_starts_nothing(installed):
    with pytest.raises(LaunchError, match="parameter 'rate_hz': 'fast' is not float"):
        described(installed, file_named("session"), rate_hz="fast")


def test_parameters_of_the_launch_come_after_those_of_the_file(installed):
    for process in described(installed, file_named("session")).processes:
        kinds = [isinstance(source, ParameterFile) for source in process.parameters]
        assert kinds == sorted(kinds, reverse=True)


def test_the_session_is_one_whole(installed):
    processes = described(installed, file_named("session")).processes
    whole = ["cm_node", "carm_node", "perception_node", "navigation_node", "recorder_node"]
    assert [process.name for process in processes] == [*whole, "viewer_node"]
    # a session that cannot be shown goes on all the same
    assert [process.name for process in processes if process.ends_launch] == whole
    without = described(installed, file_named("session"), record="false", viewer="false").processes
    assert [process.name for process in without] == whole[:-1]


def test_a_namespace_holds_all_nodes_of_the_session(installed):
    processes = described(installed, file_named("session"), namespace="room_1").processes
    assert {process.node.rpartition("/")[0] for process in processes} == {"/room_1"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nodes_are_heard_on_this_machine_only(installed, file):
    installed.environment.pop("ROS_AUTOMATIC_DISCOVERY_RANGE", None)
    for process in described(installed, file).processes:
        if process.node is not None:
            assert process.environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_ctrl_c_is_over_within_five_seconds_under_the_real_launch_too(installed, file):
    description = described(installed, file)
    if any(process.node for process in description.processes):
        assert "sigterm_timeout" in file.read_text(), "the real launch takes 10 s by default"
        assert description.sigterm_timeout_s + description.sigkill_timeout_s < 5.0


@pytest.mark.parametrize("name", ["train", "generate_dataset", "evaluate"])
def test_options_of_the_command_line_tools_exist(installed, name):
    (process,) = described(installed, file_named(name)).processes
    package = Path(process.command[0]).parent.name
    text = executables(package)[name].read_text()
    options = set(re.findall(r'"(--[a-z-]+)"', text))
    for word in process.command[1:]:
        assert word.partition("=")[0] in options, f"{name} has no option {word}"


def test_variables_of_the_makefile_name_arguments_that_exist(installed):
    makefile = (REPOSITORY / "Makefile").read_text().replace("\\\n", " ")
    recipes = re.findall(r"\$\(LAUNCH\) (\w+)\.launch\.yaml(.*)", makefile)
    assert {name for name, _ in recipes} >= {"session", "record", "replay", "train", "generate_dataset", "evaluate"}
    for name, rest in recipes:
        known = {argument.name for argument in declared_arguments(file_named(name), installed.environment)}
        assert set(re.findall(r"\$\(call arg,(\w+),", rest)) <= known, name
