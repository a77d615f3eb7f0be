"""One declarative parameter table per node: it declares, validates and documents the node's parameters.

    TABLE = (
        Parameter("device_file", str, REQUIRED, "device description, config/cm/*.yaml", read_only=True),
        Parameter("rate", float, 20.0, "how often the state is published", unit="Hz", range=(1.0, 200.0)),
    )
    parameters = declare(node, TABLE)
    parameters["rate"]

A key in a YAML file or on the command line that is not in the table is an error, and so is a value out of its bounds:
both end the node with one clear line (spin.py) instead of being ignored.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import GenericAlias
from typing import Any, Final

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


#: Default of a parameter that has none: the node does not start without a value.
REQUIRED: Final = _Required()

_TYPES: Final = (bool, int, float, str, list[bool], list[int], list[float], list[str])
_WORDS: Final = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}

#: Declared by rclpy itself, now or when a publisher with overridable QoS is made; never part of a table.
_FOREIGN_NAMES: Final = ("use_sim_time", "start_type_description_service")
_FOREIGN_PREFIXES: Final = ("qos_overrides.",)

#: Across-the-board check of a whole set of values; raises ValueError with the reason.
Check = Callable[[Mapping[str, Any]], None]


class ParameterError(ValueError):
    """A parameter is unknown, missing or has a value it must not have; the message says which, and what is allowed."""


@dataclass(frozen=True)
class Parameter:
    """One row of a node's parameter table.

    Attributes:
        name: dots make groups (``entry.position_mm``).
        type: bool, int, float, str or list[...] of these.
        default: of that type, or REQUIRED.
        description: what it is for, one sentence without the unit.
        unit: SI symbol or the unit that the name carries; empty for none.
        range: inclusive (lowest, highest) of a number or of each number of a list.
        choices: allowed values of a text or number; empty for no restriction.
        length: number of entries a list must have.
        read_only: fixed once the node runs.
    """

    name: str
    type: type | GenericAlias
    default: Any
    description: str
    unit: str = ""
    range: tuple[float, float] | None = None
    choices: tuple[Any, ...] = ()
    length: int | None = None
    read_only: bool = False

    def __post_init__(self) -> None:
        if self.type not in _TYPES:
            raise TypeError(f"parameter {self.name}: type {self.type} is none of {', '.join(map(_type_name, _TYPES))}")
        if self.default is not REQUIRED:
            object.__setattr__(self, "default", self.checked(self.default))

    def checked(self, value: Any) -> Any:
        """The value in the row's type; integers widen to floats, lists become tuples.

        Raises:
            ParameterError: wrong type, not finite, out of range, not among the choices, wrong length.
        """
        is_list = isinstance(self.type, GenericAlias)
        if not is_list:
            return self._checked_entry(value, self.type, "")
        if isinstance(value, (str, bytes)) or not isinstance(value, (Sequence, array)):
            raise ParameterError(f"parameter {self.name} must be {_type_name(self.type)}, got {value!r}")
        if len(value) == 0:  # rclpy cannot tell an empty list's type
            raise ParameterError(f"parameter {self.name} must be {_type_name(self.type)} with at least one entry")
        if self.length is not None and len(value) != self.length:
            raise ParameterError(f"parameter {self.name} must have {self.length} entries, got {len(value)}")
        return tuple(self._checked_entry(entry, self.type.__args__[0], f"[{i}]") for i, entry in enumerate(value))

    def _checked_entry(self, value: Any, kind: type, where: str) -> Any:
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise ParameterError(f"parameter {self.name}{where} must be {_WORDS[kind]}, got {value!r}")
        if kind is float and not math.isfinite(value):
            raise ParameterError(f"parameter {self.name}{where} must be finite, got {value}")
        if self.range is not None and not self.range[0] <= value <= self.range[1]:
            unit = f" {self.unit}" if self.unit else ""
            raise ParameterError(f"parameter {self.name}{where} must be between {self.range[0]:g} and "
                                 f"{self.range[1]:g}{unit}, got {value}")
        if self.choices and value not in self.choices:
            raise ParameterError(f"parameter {self.name}{where} must be one of {', '.join(map(str, self.choices))}; "
                                 f"got {value!r}")
        return value

    def _descriptor(self) -> ParameterDescriptor:
        unit = f" [{self.unit}]" if self.unit else ""
        descriptor = ParameterDescriptor(name=self.name, description=f"{self.description}{unit}",
                                         read_only=self.read_only)
        if self.choices:
            descriptor.additional_constraints = f"one of {', '.join(map(str, self.choices))}"
        elif self.length is not None:
            descriptor.additional_constraints = f"{self.length} entries"
        if self.range is not None and self.type is float:
            low, high = map(float, self.range)
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high, step=0.0)]
        if self.range is not None and self.type is int:
            low, high = map(int, self.range)
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
        return descriptor


class ParameterValues(Mapping[str, Any]):
    """Read access to the current values of a declared table, in the table's types (lists as tuples)."""

    def __init__(self, node: Node, table: Sequence[Parameter]) -> None:
        self._node = node
        self._rows = {row.name: row for row in table}

    def __getitem__(self, name: str) -> Any:
        row = self._rows[name]
        value = self._node.get_parameter(name).value
        return tuple(value) if isinstance(row.type, GenericAlias) else value

    def __iter__(self):
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def declare(node: Node, table: Sequence[Parameter], check: Check | None = None) -> ParameterValues:
    """Declare a table's parameters with the values of YAML file, command line and constructor, validated.

    Args:
        node: the node, its other parameters (if any) declared before.
        table: one row per parameter.
        check: called with all values (name -> value), at the start and before every change; raises ValueError with
            the reason for combinations that a single row cannot judge.

    Returns:
        Live read access to the values.

    Raises:
        ParameterError: a key that the table lacks, a missing required value, or a value that a row or check refuses.
    """
    # rclpy offers no public look at overrides of parameters that nobody declares, and finding those is the point here.
    overrides: Mapping[str, RosParameter] = node._parameter_overrides
    rows = {row.name: row for row in table}
    if len(rows) != len(table):
        raise ValueError("the parameter table names a parameter twice")
    _refuse_unknown(node, rows, overrides)
    values = {name: _initial_value(row, overrides) for name, row in rows.items()}
    if check is not None:
        _run_check(check, values)
    for name, row in rows.items():
        value = list(values[name]) if isinstance(row.type, GenericAlias) else values[name]
        # The override was taken above, widened to the row's type; rclpy would refuse rate:=20 for a float.
        node.declare_parameter(name, value, row._descriptor(), ignore_override=True)
    declared = ParameterValues(node, table)
    node.add_on_set_parameters_callback(lambda changes: _judge(rows, declared, check, changes))
    return declared


def markdown(table: Sequence[Parameter]) -> str:
    """The table as a GitHub-flavoured Markdown table, one row per parameter, for the documentation."""
    lines = ["| parameter | type | default | unit | allowed | changeable | meaning |", "|---|---|---|---|---|---|---|"]
    for row in table:
        default = "*required*" if row.default is REQUIRED else f"`{_yaml(row.default)}`"
        changeable = "no" if row.read_only else "yes"
        cells = (f"`{row.name}`", _type_name(row.type), default, row.unit, _allowed(row), changeable, row.description)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _refuse_unknown(node: Node, rows: Mapping[str, Parameter], overrides: Mapping[str, RosParameter]) -> None:
    unknown = [name for name in sorted(overrides)
               if name not in rows and name not in _FOREIGN_NAMES and not node.has_parameter(name)
               and not name.startswith(_FOREIGN_PREFIXES)]
    if unknown:
        raise ParameterError(f"unknown parameter{'s' if len(unknown) > 1 else ''} {', '.join(unknown)}; "
                             f"{node.get_name()} has: {', '.join(rows)}")


def _initial_value(row: Parameter, overrides: Mapping[str, RosParameter]) -> Any:
    if row.name in overrides:
        return row.checked(overrides[row.name].value)
    if row.default is REQUIRED:
        raise ParameterError(f"parameter {row.name} is required ({row.description}) and has no value")
    return row.default


def _run_check(check: Check, values: Mapping[str, Any]) -> None:
    try:
        check(values)
    except ValueError as error:
        raise ParameterError(str(error)) from error


def _judge(rows: Mapping[str, Parameter], declared: ParameterValues, check: Check | None,
           changes: Sequence[RosParameter]) -> SetParametersResult:
    own = [change for change in changes if change.name in rows]
    try:
        new = {change.name: rows[change.name].checked(change.value) for change in own}
        if check is not None and new:
            _run_check(check, {**declared, **new})
    except ParameterError as error:
        return SetParametersResult(successful=False, reason=str(error))
    return SetParametersResult(successful=True)


def _type_name(kind: type | GenericAlias) -> str:
    return f"list of {kind.__args__[0].__name__}" if isinstance(kind, GenericAlias) else kind.__name__


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_yaml(entry) for entry in value)}]"
    return str(value) if value != "" else '""'


def _allowed(row: Parameter) -> str:
    if row.choices:
        return ", ".join(map(str, row.choices))
    entries = f"{row.length} entries" if row.length is not None else ""
    # All digits: "9.0072e+15" would be no bound of an integer that anybody could type.
    bounds = f"{row.range[0]:.16g} to {row.range[1]:.16g}" if row.range is not None else ""
    return ", ".join(part for part in (entries, bounds) if part)
