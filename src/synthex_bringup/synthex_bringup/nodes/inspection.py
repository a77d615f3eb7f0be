"""Looking into a running session without ros2cli: ``topics``, ``echo TOPIC``, ``call SERVICE REQUEST``.

Research and simulation only, not a medical device.
"""

from __future__ import annotations

import argparse
import array
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any

import numpy as np
import rclpy
import yaml
from rclpy.node import Node

from .raw_topics import message_class, reader_qos

#: Topics that ROS itself makes.
_OWN = ("/rosout", "/parameter_events")
_LONGEST = 36
#: Discovery ends after the first, once nothing has been added for the second; at the latest after the third.
_DISCOVERY_S, _QUIET_S, _LONGEST_DISCOVERY_S = 5.0, 2.0, 20.0


class InspectionError(Exception):
    """What was asked for is not there; the message says what is."""


# -- messages as plain data -------------------------------------------------------------------------------------------
def plain(message: Any) -> Any:
    """A message as dicts, lists and numbers; arrays of more than 36 numbers in a few words."""
    if hasattr(message, "get_fields_and_field_types"):
        return {name: plain(getattr(message, name)) for name in message.get_fields_and_field_types()}
    if isinstance(message, (array.array, np.ndarray, bytes, bytearray)):
        is_bytes = isinstance(message, (bytes, bytearray))
        numbers = np.frombuffer(message, np.uint8) if is_bytes else np.asarray(message)
        if numbers.size > _LONGEST:
            return f"{numbers.size} numbers from {numbers.min():g} to {numbers.max():g}"
        return numbers.tolist()
    if isinstance(message, (list, tuple)):
        return [plain(entry) for entry in message]
    return message


def fill(message: Any, values: Any, where: str = "") -> Any:
    """Sets the named fields of a message; the others keep their defaults.

    Raises:
        InspectionError: an unknown field, or a value of another type.
    """
    kinds = message.get_fields_and_field_types()
    if not isinstance(values, dict):
        raise InspectionError(f"{where or 'the request'} must be a mapping with {', '.join(kinds) or 'no fields'}")
    for name, value in values.items():
        if name not in kinds:
            raise InspectionError(f"there is no field '{where}{name}'; there are {', '.join(kinds) or 'none'}")
        present = getattr(message, name)
        if hasattr(present, "get_fields_and_field_types"):
            fill(present, value, f"{where}{name}.")
            continue
        try:
            if isinstance(present, array.array) and present.typecode in "fd":
                value = [float(number) for number in value]  # YAML reads 1 as an integer
            setattr(message, name, type(present)(value) if isinstance(present, (float, int, str)) else value)
        except (AssertionError, TypeError, ValueError) as error:
            raise InspectionError(f"field '{where}{name}' is {kinds[name]}: {value!r} does not fit") from error
    return message


# -- the graph --------------------------------------------------------------------------------------------------------
Graph = dict[str, list[str]]


def session_topics(node: Node) -> Graph:
    """Topic -> types of everything but ROS's own that is known by now."""
    return {n: t for n, t in node.get_topic_names_and_types() if n not in _OWN and _foreign(node, n)}


def session_services(node: Node) -> Graph:
    """Service -> types that somebody serves by now, without nodes' parameter services and what actions are made of."""
    ignored = ("parameter", "/get_type_description", "/_action/")
    own = node.get_fully_qualified_name() + "/"
    return {n: t for n, t in node.get_service_names_and_types()
            if not n.startswith(own) and not any(word in n for word in ignored) and node.count_services(n)}


def _foreign(node: Node, topic: str) -> bool:
    ends = node.get_publishers_info_by_topic(topic) + node.get_subscriptions_info_by_topic(topic)
    return any(end.node_name != node.get_name() for end in ends)


class _Discovery:
    """What there is, as it is discovered: nodes come one after the other, on a busy machine seconds apart."""

    def __init__(self, look: Callable[[Node], Graph], node: Node) -> None:
        self._look, self._node = look, node
        self._began_s = self._changed_s = time.monotonic()
        self.graph: Graph = {}

    def look(self) -> Graph:
        """What is known now."""
        if (now := self._look(self._node)) != self.graph:
            self.graph, self._changed_s = now, time.monotonic()
        return self.graph

    @property
    def quiet(self) -> bool:
        """Whether nothing has been added for two seconds."""
        return time.monotonic() - self._changed_s >= _QUIET_S

    @property
    def over(self) -> bool:
        """Whether what is not there by now is not there."""
        return time.monotonic() - self._began_s >= (_DISCOVERY_S if self.quiet else _LONGEST_DISCOVERY_S)


def _settled(look: Callable[[Node], Graph], node: Node) -> Graph:
    """What there is once nothing has been added for two seconds.

    Raises:
        InspectionError: there is nothing.
    """
    discovery = _Discovery(look, node)
    while not (discovery.over or (discovery.look() and discovery.quiet)):
        time.sleep(0.1)
    return _something(discovery.graph)


def _something(graph: Graph) -> Graph:
    if not graph:
        raise InspectionError(
            f"no session runs here (ROS_DOMAIN_ID={os.environ.get('ROS_DOMAIN_ID', '0')}, discovery "
            f"{os.environ.get('ROS_AUTOMATIC_DISCOVERY_RANGE', 'SUBNET')}); start one with `make session FRAMES=0`"
        )
    return graph


def _find(name: str, look: Callable[[Node], Graph], node: Node, what: str) -> tuple[str, str]:
    """(absolute name, type) of what was named in full, or by its end; as soon as it is there.

    Raises:
        InspectionError: it is not there in time, or there are several.
    """
    discovery, ending = _Discovery(look, node), f"/{name.strip('/')}"
    while not (found := {n: t for n, t in discovery.look().items() if n == name or n.endswith(ending)}):
        if discovery.over:
            known = "\n  ".join(sorted(_something(discovery.graph)))
            raise InspectionError(f"{what} '{name}' is not there; there are:\n  {known}")
        time.sleep(0.1)
    if len(found) > 1:
        raise InspectionError(f"{what} '{name}' is ambiguous; there are:\n  " + "\n  ".join(sorted(found)))
    ((full, types),) = found.items()
    return full, types[0]


# -- commands ---------------------------------------------------------------------------------------------------------
def topics(node: Node) -> None:
    """Prints every topic with its type and how many publish and take it."""
    for name, types in sorted(_settled(session_topics, node).items()):
        print(f"{name}  [{', '.join(types)}]  {node.count_publishers(name)} -> {node.count_subscribers(name)}")
    for name, types in sorted(_settled(session_services, node).items()):
        print(f"{name}  [{', '.join(types)}]  service")


def echo(node: Node, topic: str, count: int) -> None:
    """Prints the next messages of a topic as YAML; without end if count is 0."""
    name, kind = _find(topic, session_topics, node, "topic")
    end = time.monotonic() + _DISCOVERY_S
    while not (offers := [info.qos_profile for info in node.get_publishers_info_by_topic(name)]):
        if time.monotonic() > end:
            raise InspectionError(f"nobody publishes {name}")
        time.sleep(0.1)
    seen: list[int] = []

    def show(message: Any) -> None:
        print(yaml.safe_dump(plain(message), sort_keys=False, default_flow_style=None, width=120) + "---", flush=True)
        seen.append(1)

    node.create_subscription(message_class(kind), name, show, reader_qos(offers, latched=True, depth=10))
    while not count or len(seen) < count:
        rclpy.spin_once(node, timeout_sec=0.2)


def call(node: Node, service: str, request: str) -> bool:
    """Calls a service with a request in YAML, prints the answer; False if it says ``success: false``."""
    name, kind = _find(service, session_services, node, "service")
    package, _, type_name = kind.partition("/srv/")
    service_type = getattr(import_module(f"{package}.srv"), type_name)
    try:
        values = yaml.safe_load(request) or {}
    except yaml.YAMLError as error:
        raise InspectionError(f"the request is not YAML: {' '.join(str(error).split())}") from error
    message = fill(service_type.Request(), values)
    client = node.create_client(service_type, name)
    if not client.wait_for_service(timeout_sec=_DISCOVERY_S):
        raise InspectionError(f"service {name} does not answer")
    future = client.call_async(message)
    rclpy.spin_until_future_complete(node, future, timeout_sec=120.0)
    if not future.done():
        raise InspectionError(f"service {name} did not answer within 120 s")
    print(yaml.safe_dump(plain(future.result()), sort_keys=False, default_flow_style=None, width=120), end="")
    return bool(getattr(future.result(), "success", True))


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 not there or refused, 2 wrong arguments."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    rclpy.init()
    node = rclpy.create_node("inspection", start_parameter_services=False, enable_rosout=False)
    try:
        if options.command == "topics":
            topics(node)
        elif options.command == "echo":
            echo(node, options.topic, options.count)
        else:
            return 0 if call(node, options.service, options.request) else 1
    except (InspectionError, LookupError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        rclpy.try_shutdown()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="inspection", description=__doc__)
    commands: Iterable[Any] = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("topics", help="list topics and services")
    one = commands.add_parser("echo", help="print messages of a topic")
    one.add_argument("topic", help="its name, or the end of it")
    one.add_argument("--count", type=int, default=1, help="how many; 0: until Ctrl-C")
    one = commands.add_parser("call", help="call a service")
    one.add_argument("service", help="its name, or the end of it")
    one.add_argument("request", nargs="?", default="{}", help="YAML, e.g. '{view: inlet}'")
    return parser


if __name__ == "__main__":
    sys.exit(main())
