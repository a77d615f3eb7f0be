"""`$(name argument ...)` in the strings of a launch file: parsed and performed.

The grammar is the one of `launch` (share/launch/frontend/grammar.lark, Jazzy): arguments are separated by a space, may
be quoted with ' or ", may hold substitutions themselves, and a backslash takes the next character as it is.
"""

import math
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from .errors import LaunchError
from .packages import package_executable, package_prefix, package_share


@dataclass(frozen=True)
class Scope:
    """What a substitution may look at: launch configurations, environment and the file it stands in."""

    configurations: Mapping[str, str]
    environment: Mapping[str, str]
    file: Path


@dataclass(frozen=True)
class Call:
    """One parsed `$(name ...)`; each argument is a sequence of literal strings and further calls."""

    name: str
    arguments: tuple[tuple[Union[str, "Call"], ...], ...]


Parts = tuple[str | Call, ...]
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def parse(text: str) -> Parts:
    """Splits `text` into literal strings and calls.

    Raises:
        LaunchError: a `$(` that is not closed, or one without a name.
    """
    parts, literal, position = [], "", 0
    while position < len(text):
        if text[position] == "\\" and position + 1 < len(text):
            literal += text[position + 1]
            position += 2
        elif text.startswith("$(", position):
            call, position = _parse_call(text, position)
            parts += [literal, call] if literal else [call]
            literal = ""
        else:
            literal += text[position]
            position += 1
    return tuple(parts + [literal]) if literal or not parts else tuple(parts)


def perform(text: str, scope: Scope) -> str:
    """`text` with every substitution replaced by its value in `scope`."""
    return join(parse(text), scope)


def join(parts: Parts, scope: Scope) -> str:
    """The value of parsed `parts` in `scope`."""
    return "".join(part if isinstance(part, str) else _evaluate(part, scope) for part in parts)


def is_true(text: str, where: str) -> bool:
    """A condition's truth: 'true' or '1', 'false' or '0', whatever the case, as in `launch`."""
    word = text.strip().lower()
    if word not in ("true", "1", "false", "0"):
        raise LaunchError(f"{where}: '{text}' is neither true, 1, false nor 0")
    return word in ("true", "1")


def _parse_call(text: str, start: int) -> tuple[Call, int]:
    name = _NAME.match(text, start + 2)
    if not name:
        raise LaunchError(f"'{text}': a name is expected after '$('")
    arguments, position = [], name.end()
    while position < len(text):
        if text[position] == ")":
            return Call(name.group(), tuple(arguments)), position + 1
        if text[position] != " ":
            raise LaunchError(f"'{text}': a space or ')' is expected after '{text[start:position]}'")
        argument, position = _parse_argument(text, position + 1)
        arguments.append(argument)
    raise LaunchError(f"'{text}': '$(' is not closed")


def _parse_argument(text: str, position: int) -> tuple[Parts, int]:
    quote = text[position] if position < len(text) and text[position] in "'\"" else ""
    position += len(quote)
    parts, literal = [], ""
    while position < len(text):
        character = text[position]
        if character == "\\" and position + 1 < len(text):
            literal += text[position + 1]
            position += 2
        elif text.startswith("$(", position):
            call, position = _parse_call(text, position)
            parts += [literal, call] if literal else [call]
            literal = ""
        elif quote and character == quote:
            return tuple(parts + [literal]) if literal or not parts else tuple(parts), position + 1
        elif not quote and character in " )":
            break
        else:
            literal += character
            position += 1
    if quote:
        raise LaunchError(f"'{text}': a quoted argument is not closed")
    return tuple(parts + [literal]) if literal or not parts else tuple(parts), position


def _evaluate(call: Call, scope: Scope) -> str:
    if call.name not in _SUBSTITUTIONS:
        raise LaunchError(f"unknown substitution '$({call.name} ...)' (known: {', '.join(sorted(_SUBSTITUTIONS))})")
    least, most, function = _SUBSTITUTIONS[call.name]
    if not least <= len(call.arguments) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise LaunchError(f"$({call.name}) takes {wanted} arguments, {len(call.arguments)} given")
    return function(scope, *(join(argument, scope) for argument in call.arguments))


def _var(scope: Scope, name: str, default: str | None = None) -> str:
    value = scope.configurations.get(name, default)
    if value is None:
        raise LaunchError(f"launch configuration '{name}' does not exist "
                          f"(there are: {', '.join(sorted(scope.configurations)) or 'none'})")
    return value


def _env(scope: Scope, name: str, default: str | None = None) -> str:
    value = scope.environment.get(name, default)
    if value is None:
        raise LaunchError(f"environment variable '{name}' does not exist")
    return value


def _find_exec(scope: Scope, name: str) -> str:
    found = shutil.which(name, path=scope.environment.get("PATH"))
    if found is None:
        raise LaunchError(f"executable '{name}' not found on the PATH")
    return found


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _equals(left: str, right: str) -> bool:
    words = ("true", "false", "1", "0")
    if left.lower() in words and right.lower() in words:
        return (left.lower() in ("true", "1")) == (right.lower() in ("true", "1"))
    try:
        return math.isclose(float(left), float(right))
    except ValueError:
        return left == right


def _eval(_: Scope, *expression: str) -> str:
    # A launch file starts programs, so an expression in it can do nothing that the file could not do already. The real
    # front end evaluates it in the same way, with the names of `math`.
    names = {name: getattr(math, name) for name in dir(math) if not name.startswith("_")}
    return str(eval("".join(expression), {"math": math, **names}))


_SUBSTITUTIONS: dict[str, tuple[int, int, Callable[..., str]]] = {
    "var": (1, 2, _var),
    "env": (1, 2, _env),
    "find-pkg-share": (1, 1, lambda scope, name: str(package_share(name, scope.environment))),
    "find-pkg-prefix": (1, 1, lambda scope, name: str(package_prefix(name, scope.environment))),
    "exec-in-pkg": (2, 2, lambda scope, name, package: str(package_executable(package, name, scope.environment))),
    "find-exec": (1, 1, _find_exec),
    "dirname": (0, 0, lambda scope: str(scope.file.parent)),
    "filename": (0, 0, lambda scope: str(scope.file)),
    "if": (2, 3, lambda _, condition, yes, no="": yes if is_true(condition, "$(if)") else no),
    "not": (1, 1, lambda _, value: _truth(not is_true(value, "$(not)"))),
    "and": (2, 2, lambda _, left, right: _truth(is_true(left, "$(and)") and is_true(right, "$(and)"))),
    "or": (2, 2, lambda _, left, right: _truth(is_true(left, "$(or)") or is_true(right, "$(or)"))),
    "equals": (2, 2, lambda _, left, right: _truth(_equals(left, right))),
    "not-equals": (2, 2, lambda _, left, right: _truth(not _equals(left, right))),
    "eval": (1, 1, _eval),
}
