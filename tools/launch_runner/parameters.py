"""Node parameters of a launch file: `{name, value, type}`, nested `param`, or `{from: file}`.

As in `launch_ros`, every entry becomes a file given to the node with `--params-file`, in the order of the list; the
last one that names a parameter wins. Files that hold values of the launch file live no longer than the launch. A value
given as a string is read by YAML's rules unless `type` says otherwise, so that "3" is an integer and "3.0" a double.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from .errors import LaunchError
from .yaml_entity import Entity

Value = bool | int | float | str | list
_SCALARS = {"str": str, "int": int, "float": float, "bool": bool}
_LISTS = {f"list_of_{name}": kind for name, kind in _SCALARS.items()}


@dataclass(frozen=True)
class ParameterFile:
    """A parameter file written by a person (`from:`)."""

    path: Path


@dataclass(frozen=True)
class ParameterValues:
    """Parameters given in the launch file itself, by (possibly dotted or nested) name."""

    values: dict


def read_parameters(entities: list[Entity],
                    perform: Callable[[str], str]) -> list[ParameterFile | ParameterValues]:
    """Reads a node's `param` list; `perform` replaces substitutions.

    Raises:
        LaunchError: a file that does not exist, a value that is not of its declared type, a wrong combination of keys.
    """
    sources: list[ParameterFile | ParameterValues] = []
    for entity in entities:
        file = entity.text("from", optional=True)
        if file is None:
            sources.append(ParameterValues(_named_values([entity], perform)))
            continue
        entity.finish()
        path = Path(perform(file))
        if not path.is_file():
            raise LaunchError(f"{entity.where}: parameter file '{path}' does not exist")
        sources.append(ParameterFile(path))
    return sources


def write_parameters(path: Path, node: str | None, values: ParameterValues) -> None:
    """Writes `values` as a ROS parameter file for the node of that absolute name (None: for every node)."""
    path.write_text(yaml.safe_dump({node or "/**": {"ros__parameters": values.values}}), encoding="utf-8")


def _named_values(entities: list[Entity], perform: Callable[[str], str]) -> dict:
    values = {}
    for entity in entities:
        name = perform(entity.text("name"))
        kind = entity.text("type", optional=True)
        value = entity.raw("value", optional=True)
        nested = entity.entities("param", optional=True)
        entity.finish()
        if (value is None) == (nested is None):
            raise LaunchError(f"{entity.where}: parameter '{name}' needs either a value or nested parameters")
        where = f"{entity.where}: parameter '{name}'"
        values[name] = _named_values(nested, perform) if nested is not None else _typed(value, kind, perform, where)
    return values


def _typed(value: object, kind: str | None, perform: Callable[[str], str], where: str) -> Value:
    if isinstance(value, list):
        value = [perform(item) if isinstance(item, str) else item for item in value]
        return value if kind is None else [_coerced(item, _LISTS.get(kind), where) for item in value]
    if not isinstance(value, str):
        return value if kind is None else _coerced(value, _SCALARS.get(kind), where)
    text = perform(value)
    if kind in _SCALARS:
        return _coerced(text, _SCALARS[kind], where)
    # "" would be YAML's null, which no ROS parameter can be.
    read = yaml.safe_load(text) if text else ""
    if kind in _LISTS and isinstance(read, list):
        return [_coerced(item, _LISTS[kind], where) for item in read]
    if kind not in (None, "yaml") or not isinstance(read, (bool, int, float, str, list)):
        raise LaunchError(f"{where}: '{text}' is no {kind or 'ROS parameter value'}")
    return read


def _coerced(value: object, kind: type | None, where: str) -> Value:
    try:
        if kind is bool:
            word = str(value).lower()
            if word not in ("true", "false", "1", "0"):
                raise ValueError
            return word in ("true", "1")
        if kind is int and isinstance(value, float):
            raise ValueError
        return kind(value)
    except (TypeError, ValueError):
        expected = kind.__name__ if kind else "of a known type"
        raise LaunchError(f"{where}: '{value}' is not {expected}") from None
