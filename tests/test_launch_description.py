"""What a launch file means: arguments, scopes, conditions, substitutions, parameters."""

from pathlib import Path

import pytest
import yaml
from launch_runner.description import describe, split_command
from launch_runner.errors import LaunchError
from launch_runner.parameters import ParameterFile, ParameterValues, write_parameters
from launch_runner.substitutions import Scope, perform


def described(workspace, text, **given):
    workspace.executable("node_a", "")
    return describe(workspace.file(text), given, workspace.environment)


def scope(**configurations):
    return Scope(configurations, {"HOME": "/home/me"}, Path("/files/x.launch.yaml"))


def test_a_default_stands_until_an_argument_is_given(workspace):
    text = """
    launch:
    - arg: {name: frames, default: "120", description: how many}
    - executable: {cmd: "echo $(var frames)"}
    """
    assert described(workspace, text).processes[0].command == ("echo", "120")
    assert described(workspace, text, frames="5").processes[0].command == ("echo", "5")


def test_an_argument_without_default_is_required(workspace):
    with pytest.raises(LaunchError, match="'bag' is required: bag:=... .*the bag to replay"):
        described(workspace, "launch: [{arg: {name: bag, description: the bag to replay}}]")


def test_an_unknown_argument_is_refused_and_the_known_ones_are_named(workspace):
    text = """launch: [{arg: {name: frames, default: "1"}}, {group: [{arg: {name: rate, default: "1"}}]}]"""
    with pytest.raises(LaunchError, match=r"unknown launch argument 'frame' .*known: frames, rate"):
        described(workspace, text, frame="3")


def test_a_value_outside_the_choices_is_refused(workspace):
    text = "launch: [{arg: {name: task, default: hip, choice: [{value: hip}, {value: cm}]}}]"
    assert described(workspace, text, task="cm")
    with pytest.raises(LaunchError, match="'knee' is none of hip, cm"):
        described(workspace, text, task="knee")


@pytest.mark.parametrize("text, value", [
    ("a $(var x) b", "a 3 b"),
    ("$(env HOME)/$(env NOPE none)", "/home/me/none"),
    ("$(var none 'two words')", "two words"),
    ("$(dirname)|$(filename)", "/files|/files/x.launch.yaml"),
    ("$(var $(var name))", "3"),
    ("$(if $(equals $(var x) 3.0) yes no)", "yes"),
    ("$(not $(or false $(and true 1)))", "false"),
    ("$(eval '$(var x) * 2')", "6"),
    (r"\$(var x) costs $5", "$(var x) costs $5"),
    ("", ""),
])
def test_a_substitution_gives_its_value(text, value):
    assert perform(text, scope(x="3", name="x")) == value


@pytest.mark.parametrize("text, message", [
    ("$(var nope)", "'nope' does not exist .*there are: x"),
    ("$(env NOPE)", "environment variable 'NOPE'"),
    ("$(find-pkg-share nope)", "package 'nope' not found"),
    ("$(command ls)", "unknown substitution"),
    ("$(var x", "not closed"),
    ("$(var)", "takes 1 to 2 arguments"),
])
def test_a_wrong_substitution_says_what_is_wrong(text, message):
    with pytest.raises(LaunchError, match=message):
        perform(text, scope(x="3"))


def test_a_value_with_spaces_stays_one_word_of_the_command():
    words = split_command("run --ct=$(var ct) $(var empty) 'a b' $(var ct)x", scope(ct="my scan.nii", empty=""))
    assert words == ["run", "--ct=my scan.nii", "", "a b", "my scan.nii" + "x"]


@pytest.mark.parametrize("condition, count", [
    ('if: "$(var wanted)"', 1), ('unless: "$(var wanted)"', 0), ('if: "FALSE"', 0), ('unless: "0"', 1)])
def test_a_condition_decides(workspace, condition, count):
    text = f'launch: [{{arg: {{name: wanted, default: "true"}}}}, {{executable: {{cmd: ls, {condition}}}}}]'
    assert len(described(workspace, text).processes) == count


def test_a_condition_that_is_no_truth_value_is_refused(workspace):
    with pytest.raises(LaunchError, match="neither true"):
        described(workspace, 'launch: [{executable: {cmd: ls, if: "maybe"}}]')


def test_a_group_keeps_its_changes_to_itself(workspace):
    text = """
    launch:
    - let: {name: x, value: outer}
    - group:
      - let: {name: x, value: inner}
      - set_env: {name: DEMO, value: inner}
      - executable: {cmd: "echo $(var x)"}
    - executable: {cmd: "echo $(var x)"}
    """
    inner, outer = described(workspace, text).processes
    assert (inner.command[1], inner.environment["DEMO"]) == ("inner", "inner")
    assert outer.command[1] == "outer" and "DEMO" not in outer.environment


def test_environment_is_set_and_unset_for_what_follows(workspace):
    text = """
    launch:
    - set_env: {name: DEMO, value: one}
    - executable: {cmd: a, env: [{name: EXTRA, value: "$(env DEMO)"}]}
    - unset_env: {name: DEMO}
    - executable: {cmd: b}
    """
    first, second = described(workspace, text).processes
    assert (first.environment["DEMO"], first.environment["EXTRA"]) == ("one", "one")
    assert "DEMO" not in second.environment and "EXTRA" not in second.environment


def test_an_include_gets_its_arguments_and_its_own_are_known_outside(workspace):
    workspace.file("""
    launch:
    - arg: {name: word, default: hello}
    - arg: {name: other, default: "1"}
    - executable: {cmd: "echo $(var word) $(var other) $(dirname)"}
    """, "inner.launch.yaml")
    text = """
    launch:
    - include:
        file: $(find-pkg-share demo)/inner.launch.yaml
        arg: [{name: word, value: bye}]
    """
    assert described(workspace, text, other="2").processes[0].command[1:] == ("bye", "2", str(workspace.share))
    with pytest.raises(LaunchError, match="unknown launch argument 'word'"):
        described(workspace, text, word="x")


@pytest.mark.parametrize("pushed, own, expected", [
    (None, None, None), (None, "", "/"), (None, "arm", "/arm"), ("lab", None, "/lab"), ("lab", "", "/lab"),
    ("lab", "arm", "/lab/arm"), ("lab", "/arm", "/arm")])
def test_namespaces_are_joined_as_launch_ros_joins_them(workspace, pushed, own, expected):
    push = f"- push_ros_namespace: {{namespace: {pushed}}}" if pushed else ""
    namespace = "" if own is None else f', namespace: "{own}"'
    process = described(workspace, f"""
    launch:
    - group:
      - let: {{name: unused, value: ""}}
      {push}
      - node: {{pkg: demo, exec: node_a, name: me{namespace}}}
    """).processes[0]
    given = [word for word in process.command if word.startswith("__ns:=")]
    assert given == ([] if expected is None else [f"__ns:={expected}"])
    assert process.node == (None if expected is None else expected.rstrip("/") + "/me")


def test_a_node_is_found_named_remapped_and_given_arguments(workspace):
    process = described(workspace, """
    launch:
    - node:
        pkg: demo
        exec: node_a
        name: me
        args: --flag $(env HOME)
        remap: [{from: image, to: carm/image_raw}]
    """).processes[0]
    assert process.command == (str(workspace.prefix / "lib/demo/node_a"), "--flag", workspace.environment["HOME"],
                               "--ros-args", "-r", "__node:=me", "-r", "image:=carm/image_raw")
    assert process.name == "node_a"


def test_a_missing_executable_names_those_the_package_has(workspace):
    with pytest.raises(LaunchError, match="no executable 'nope' .*it has: node_a"):
        described(workspace, "launch: [{node: {pkg: demo, exec: nope}}]")


def test_parameters_keep_their_types_and_their_order(workspace, tmp_path):
    config = workspace.file("/**: {ros__parameters: {rate_hz: 1.0}}", "config.yaml")
    process = described(workspace, """
    launch:
    - arg: {name: rate, default: "3.0"}
    - node:
        pkg: demo
        exec: node_a
        name: me
        namespace: ""
        param:
        - {from: $(find-pkg-share demo)/config.yaml}
        - {name: rate_hz, value: $(var rate), type: float}
        - {name: frames, value: "12"}
        - {name: patient, value: "007", type: str}
        - {name: labels, value: "", type: str}
        - {name: active, value: "true"}
        - {name: group, param: [{name: sizes, value: [1, 2]}]}
    """, rate="5").processes[0]
    assert process.parameters[0] == ParameterFile(config)
    values = [source.values for source in process.parameters[1:]]
    assert values == [{"rate_hz": 5.0}, {"frames": 12}, {"patient": "007"}, {"labels": ""}, {"active": True},
                      {"group": {"sizes": [1, 2]}}]
    assert isinstance(values[0]["rate_hz"], float)
    write_parameters(tmp_path / "p.yaml", process.node, ParameterValues({"rate_hz": 5.0, "patient": "007"}))
    assert yaml.safe_load((tmp_path / "p.yaml").read_text()) == {
        "/me": {"ros__parameters": {"rate_hz": 5.0, "patient": "007"}}}


@pytest.mark.parametrize("param, message", [
    ('{name: n, value: "abc", type: int}', "'abc' is not int"),
    ('{name: n, value: "3.5", type: int}', "'3.5' is not int"),
    ('{name: n}', "needs either a value or nested"),
    ('{from: /nowhere.yaml}', "'/nowhere.yaml' does not exist"),
    ('{name: n, value: "1", typ: int}', "unknown attribute typ"),
])
def test_a_wrong_parameter_is_refused(workspace, param, message):
    with pytest.raises(LaunchError, match=message):
        described(workspace, f"launch: [{{node: {{pkg: demo, exec: node_a, param: [{param}]}}}}]")


@pytest.mark.parametrize("name", ["sigterm_timeout", "sigkill_timeout"])
@pytest.mark.parametrize("value", ["abc", "-1", "nan", "inf"])
def test_a_timeout_that_is_no_time_is_refused(workspace, name, value):
    text = f"launch: [{{arg: {{name: {name}, default: '1.0'}}}}]"
    assert described(workspace, text, **{name: "2.5"}).__dict__[name + "_s"] == 2.5
    with pytest.raises(LaunchError, match=f"'{name}' must be a number of seconds, 0 or more, not '{value}'"):
        described(workspace, text, **{name: value})


@pytest.mark.parametrize("text, message", [
    ("launch: [{nod: {}}]", "unknown action"),
    ("launch: [{executable: {cmd: ls, outputs: screen}}]", "unknown attribute outputs"),
    ("launch: [{executable: {cmd: ls, output: scren}}]", "none of screen, log"),
    ("launch: [{executable: {cmd: ls, on_exit: restart}}]", "on_exit can only be 'shutdown'"),
    ("launch: [{arg: {name: x, default: 3.0}}]", 'must be a string, write it in quotes: "3.0"'),
    ("other: []", "must have 'launch'"),
    ("launch: [", "is no YAML"),
])
def test_a_wrong_launch_file_is_refused(workspace, text, message):
    with pytest.raises(LaunchError, match=message):
        described(workspace, text)
