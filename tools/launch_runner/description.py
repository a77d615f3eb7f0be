"""Reads a launch file into the list of processes it starts; nothing is started here."""

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from .errors import LaunchError
from .packages import package_executable
from .parameters import ParameterFile, ParameterValues, read_parameters
from .substitutions import Call, Scope, is_true, join, parse, perform
from .yaml_entity import Entity

_NAMESPACE = "ros_namespace"  # where launch_ros keeps the pushed namespace
# SIGINT to SIGTERM to SIGKILL within 5 s in all. The names are those of `launch`, whose own defaults are 5 s each.
_TIMEOUTS = {"sigterm_timeout": "3.2", "sigkill_timeout": "1.0"}


@dataclass(frozen=True)
class Argument:
    """A declared launch argument; `default` is None where one must be given."""

    name: str
    default: str | None
    description: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Process:
    """A process to start: what and how.

    Attributes:
        name: what its output is labelled with before the running number is added.
        command: program and arguments, without those for the parameters.
        is_node: whether it is a ROS node (`node`) or any program (`executable`).
        node: absolute node name that its parameters are for, None where the launch file does not fix it.
        parameters: in order of precedence, the last wins.
        environment: the whole environment.
        output: screen, log, both, own_log or full.
        ends_launch: whether its end, for whatever reason, ends everything (`on_exit: shutdown`).
    """

    name: str
    command: tuple[str, ...]
    is_node: bool
    node: str | None
    parameters: tuple[ParameterFile | ParameterValues, ...]
    environment: Mapping[str, str]
    output: str
    cwd: Path | None
    ends_launch: bool


@dataclass
class Description:
    """What a launch file says for given arguments."""

    processes: list[Process] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    sigterm_timeout_s: float = 3.2
    sigkill_timeout_s: float = 1.0


def declared_arguments(file: Path, environment: Mapping[str, str]) -> list[Argument]:
    """The arguments that `file` and the files it includes declare, without performing anything else."""
    return _declared(load(file), Scope({}, environment, file))


def describe(file: Path, given: Mapping[str, str], environment: Mapping[str, str]) -> Description:
    """Performs the launch file for the arguments `given`.

    Raises:
        LaunchError: an unknown or missing argument, or anything wrong in the file. Nothing has been started.
    """
    arguments = declared_arguments(file, environment)
    unknown = [name for name in given if name not in {argument.name for argument in arguments}]
    if unknown:
        known = ", ".join(argument.name for argument in arguments) or "none"
        raise LaunchError(f"unknown launch argument '{unknown[0]}' for {file.name} (known: {known})")
    performer = _Performer({**_TIMEOUTS, **given}, dict(environment))
    performer.file(file)
    result = performer.result
    result.sigterm_timeout_s = _seconds(performer.configurations, "sigterm_timeout")
    result.sigkill_timeout_s = _seconds(performer.configurations, "sigkill_timeout")
    return result


def load(file: Path) -> Entity:
    """The root entity of a YAML launch file."""
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise LaunchError(f"cannot read launch file '{file}': {error.strerror}") from None
    except yaml.YAMLError as error:
        raise LaunchError(f"launch file '{file}' is no YAML: {error}") from None
    if not isinstance(tree, dict) or list(tree) != ["launch"]:
        raise LaunchError(f"launch file '{file}' must have 'launch' as its one root key")
    return Entity(tree["launch"], "launch", file.name)


def split_command(text: str, scope: Scope) -> list[str]:
    """Splits a command line into words *before* substituting, so that a value with spaces stays one word."""
    words: list[str] = []
    joined = False  # whether the next piece continues the last word
    for part in parse(text):
        if isinstance(part, Call):
            value = join((part,), scope)
            words[-1:] = [words[-1] + value] if joined else words[-1:] + [value]
            joined = True
            continue
        tokens = shlex.split(part)
        if tokens and joined and not part[0].isspace():
            words[-1] += tokens.pop(0)
        words += tokens
        joined = bool(part) and not part[-1].isspace()
    return words


def _declared(root: Entity, scope: Scope) -> list[Argument]:
    found: list[Argument] = []
    for action in root.actions():
        if action.kind == "arg":
            found.append(_argument(action))
        elif action.kind == "group":
            found += _declared(action, scope)
        elif action.kind == "include":
            try:
                file = Path(perform(action.text("file"), scope))
            except LaunchError:
                continue  # a path that depends on a launch argument: known only when launched
            passed = {entity.text("name") for entity in action.entities("arg", optional=True) or []}
            inner = declared_arguments(file, scope.environment)
            found += [argument for argument in inner if argument.name not in passed]
    return found


def _argument(action: Entity) -> Argument:
    choices = tuple(choice.text("value") for choice in action.entities("choice", optional=True) or [])
    argument = Argument(action.text("name"), action.text("default", optional=True),
                        action.text("description", optional=True) or "", choices)
    for name in ("if", "unless"):
        action.text(name, optional=True)
    action.finish()
    return argument


class _Performer:
    """Performs actions one after the other; holds what they change."""

    def __init__(self, configurations: dict[str, str], environment: dict[str, str]) -> None:
        self.configurations = configurations
        self.environment = environment
        self.result = Description()
        self._file = Path()
        self._kinds = {
            "arg": self._arg, "let": self._let, "set_env": self._set_env, "unset_env": self._unset_env,
            "include": self._include, "group": self._group, "push_ros_namespace": self._push_namespace,
            "push-ros-namespace": self._push_namespace, "node": self._node, "executable": self._executable,
            "log": self._log,
        }

    def file(self, file: Path) -> None:
        outer, self._file = self._file, file
        self._all(load(file).actions())
        self._file = outer

    def _all(self, actions: list[Entity]) -> None:
        for action in actions:
            if action.kind not in self._kinds:
                raise LaunchError(f"{action.where}: unknown action (known: {', '.join(sorted(self._kinds))})")
            if self._condition(action):
                self._kinds[action.kind](action)
                action.finish()

    def _scope(self) -> Scope:
        return Scope(self.configurations, self.environment, self._file)

    def _perform(self, text: str) -> str:
        return perform(text, self._scope())

    def _text(self, action: Entity, name: str) -> str | None:
        value = action.text(name, optional=True)
        return None if value is None else self._perform(value)

    def _condition(self, action: Entity) -> bool:
        wanted, unwanted = self._text(action, "if"), self._text(action, "unless")
        if wanted is not None and unwanted is not None:
            raise LaunchError(f"{action.where}: if and unless cannot stand together")
        if wanted is not None:
            return is_true(wanted, action.where)
        return unwanted is None or not is_true(unwanted, action.where)

    def _arg(self, action: Entity) -> None:
        argument = _argument(action)
        if argument.name not in self.configurations:
            if argument.default is None:
                raise LaunchError(f"launch argument '{argument.name}' is required: {argument.name}:=... "
                                  f"({argument.description or 'no description given'})")
            self.configurations[argument.name] = self._perform(argument.default)
        value = self.configurations[argument.name]
        if argument.choices and value not in argument.choices:
            raise LaunchError(f"launch argument '{argument.name}': '{value}' is none of {', '.join(argument.choices)}")

    def _let(self, action: Entity) -> None:
        self.configurations[self._perform(action.text("name"))] = self._perform(action.text("value"))

    def _set_env(self, action: Entity) -> None:
        self.environment[self._perform(action.text("name"))] = self._perform(action.text("value"))

    def _unset_env(self, action: Entity) -> None:
        self.environment.pop(self._perform(action.text("name")), None)

    def _log(self, action: Entity) -> None:
        self.result.messages.append(self._perform(action.text("message")))

    def _include(self, action: Entity) -> None:
        for argument in action.entities("arg", optional=True) or []:
            self.configurations[self._perform(argument.text("name"))] = self._perform(argument.text("value"))
            argument.finish()
        self.file(Path(self._perform(action.text("file"))))

    def _group(self, action: Entity) -> None:
        outer = self.configurations, self.environment
        scoped = action.flag("scoped", default=True)
        if scoped:
            self.configurations, self.environment = dict(self.configurations), dict(self.environment)
        self._all(action.actions())
        if scoped:
            self.configurations, self.environment = outer

    def _push_namespace(self, action: Entity) -> None:
        pushed = self._perform(action.text("namespace"))
        self.configurations[_NAMESPACE] = _absolute(_prefixed(self.configurations.get(_NAMESPACE), pushed))

    def _node(self, action: Entity) -> None:
        executable = self._perform(action.text("exec"))
        program = package_executable(self._perform(action.text("pkg")), executable, self.environment)
        command = [str(program), *split_command(action.text("args", optional=True) or "", self._scope())]
        own = split_command(action.text("ros_args", optional=True) or "", self._scope())
        command += ["--ros-args", *own, "--ros-args"] if own else ["--ros-args"]
        name, namespace = self._text(action, "name"), self._text(action, "namespace")
        base = self.configurations.get(_NAMESPACE)
        if name is not None:
            command += ["-r", f"__node:={name}"]
        full_namespace = None
        if namespace is not None or base is not None:
            full_namespace = _absolute(_prefixed(base, namespace))
            command += ["-r", f"__ns:={full_namespace}"]
        for remap in action.entities("remap", optional=True) or []:
            command += ["-r", f"{self._perform(remap.text('from'))}:={self._perform(remap.text('to'))}"]
            remap.finish()
        parameters = read_parameters(action.entities("param", optional=True) or [], self._perform)
        node = None if name is None or full_namespace is None else full_namespace.rstrip("/") + "/" + name
        self._add(action, self._text(action, "exec_name") or executable, command, node, parameters)

    def _executable(self, action: Entity) -> None:
        command = split_command(action.text("cmd"), self._scope())
        if not command:
            raise LaunchError(f"{action.where}: cmd is empty")
        self._add(action, self._text(action, "name") or Path(command[0]).name, command, None, [])

    def _add(self, action: Entity, name: str, command: list[str], node: str | None, parameters: list) -> None:
        output = self._text(action, "output") or "log"
        if output not in ("screen", "log", "both", "own_log", "full"):
            raise LaunchError(f"{action.where}: output '{output}' is none of screen, log, both, own_log, full")
        on_exit = self._text(action, "on_exit")
        if on_exit not in (None, "shutdown"):
            raise LaunchError(f"{action.where}: on_exit can only be 'shutdown', not '{on_exit}'")
        environment = dict(self.environment)
        for variable in action.entities("env", optional=True) or []:
            environment[self._perform(variable.text("name"))] = self._perform(variable.text("value"))
            variable.finish()
        cwd = self._text(action, "cwd")
        self.result.processes.append(Process(
            name, tuple(command), action.kind == "node", node, tuple(parameters), environment, output,
            None if cwd is None else Path(cwd), on_exit == "shutdown"))


def _seconds(configurations: Mapping[str, str], name: str) -> float:
    text = configurations[name]
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise LaunchError(f"launch configuration '{name}' must be a number of seconds, 0 or more, not '{text}'")
    return seconds


def _prefixed(base: str | None, namespace: str | None) -> str:
    if namespace is None or (base and not namespace):
        joined = base or ""
    elif not base or namespace.startswith("/"):
        joined = namespace
    else:
        joined = base.rstrip("/") + "/" + namespace
    return joined if joined == "/" else joined.rstrip("/")


def _absolute(namespace: str) -> str:
    return namespace if namespace.startswith("/") else "/" + namespace
