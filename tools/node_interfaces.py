"""What each node publishes, takes and serves, asked of the node itself: made with small parameters, read and ended.

Discovery is off meanwhile, so a session that runs on the same machine neither hears these nodes nor is heard by them.
"""

from __future__ import annotations

import importlib
import io
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
_NAMESPACE = "/pages"
_BAG = "bag"


@dataclass(frozen=True)
class NodeSource:
    """Where a node is and how to make it for a look.

    Attributes:
        module: that defines one node class and has its parameter table, of its own or imported.
        parameters: name -> value; ``{config}`` in a text is the folder config/, ``{temporary}`` an empty folder and
            ``{bag}`` a recording of the topics of the nodes above.
        remark: what the page has to say about the topics besides; one or two sentences.
    """

    module: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remark: str = ""

    @property
    def name(self) -> str:
        """The node's name, which is also the module's and the page's."""
        return self.module.rpartition(".")[2]

    @property
    def package(self) -> str:
        """The ROS package that the node belongs to."""
        return self.module.partition(".")[0]


#: One line for each node.
NODES = (
    NodeSource("synthex_sim.nodes.carm_node", {
        "device_file": "{config}/carm/cios_fusion.yaml", "cm_device_file": "{config}/cm/notched_27.yaml",
        "patient": "none", "image_size": 32, "autostart": True}),
    NodeSource("cm_kinematics.nodes.cm_node", {"device_file": "{config}/cm/notched_27.yaml"}),
    NodeSource("synthex_perception.nodes.perception_node", {"weights": "random:0", "autostart": True}),
    NodeSource("synthex_perception.nodes.navigation_node", {"cm_device_file": "{config}/cm/notched_27.yaml"}),
    NodeSource("synthex_bringup.nodes.recorder_node", {"run_dir": "{temporary}/run"},
               "What it takes is shown for `topics` at its default, with the quality of service it asks for before any "
               "publisher is known; where publishers offer less, it subscribes anew with what they offer."),
    NodeSource("synthex_bringup.nodes.viewer_node", {"cm_device_file": "{config}/cm/notched_27.yaml", "live": False}),
    NodeSource("synthex_bringup.nodes.replay_node", {"bag": "{bag}", "navigation": True},
               "What it publishes is shown for `topics` at its default; reliability and durability are as recorded. It "
               "takes `navigation/status` only with `navigation`."),
)


@dataclass(frozen=True)
class Topic:
    """One end of a topic: name relative to the namespace (absolute where it is fixed), type, quality of service."""

    name: str
    type: str
    reliability: str
    durability: str
    depth: str


@dataclass(frozen=True)
class Call:
    """A service or an action: name relative to the namespace (``~/name`` below the node's own), type."""

    name: str
    type: str


@dataclass(frozen=True)
class Interface:
    """What one node is to others.

    Attributes:
        source: where it is.
        document: its module's docstring.
        parameters: its parameter table as Markdown.
        lifecycle: whether it is a lifecycle node.
        publishes, takes: topics in the order in which the node makes them.
        serves, calls: services that it offers and those that it uses.
        acts, orders: actions that it carries out and those that it asks others for.
    """

    source: NodeSource
    document: str
    parameters: str
    lifecycle: bool
    publishes: tuple[Topic, ...]
    takes: tuple[Topic, ...]
    serves: tuple[Call, ...]
    calls: tuple[Call, ...]
    acts: tuple[Call, ...]
    orders: tuple[Call, ...]

    @property
    def ends(self) -> tuple[Topic | Call, ...]:
        """All of its topics, services and actions."""
        return (*self.publishes, *self.takes, *self.serves, *self.calls, *self.acts, *self.orders)


def read_interfaces() -> list[Interface]:
    """Makes every node of ``NODES`` in this process, one after the other, and reads what it is to others.

    Raises:
        ValueError, OSError, LookupError: a node cannot be made with these parameters, or its module does not hold one
            node class and one parameter table.
    """
    with tempfile.TemporaryDirectory() as folder, _context():
        temporary = Path(folder)
        found: list[Interface] = []
        for source in NODES:
            if source.name == "replay_node":
                _record(temporary / _BAG, found)
            found.append(_read(source, temporary))
        return found


@contextmanager
def _context() -> Iterator[None]:
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "OFF"
    quiet = ("--log-level", "warn", "--disable-external-lib-logs")
    rclpy.init(args=["--ros-args", "--remap", f"__ns:={_NAMESPACE}", *quiet],
               signal_handler_options=SignalHandlerOptions.NO)
    try:
        yield
    finally:
        rclpy.try_shutdown()


def _read(source: NodeSource, temporary: Path) -> Interface:
    from rclpy.lifecycle import LifecycleNode

    from cm_kinematics.nodes.parameters import markdown

    module = importlib.import_module(source.module)
    kind, table = _node_class(module), _parameter_table(module)
    with _running(kind, _values(source, temporary)) as node:
        return Interface(
            source=source, document=module.__doc__ or "", parameters=markdown(table),
            lifecycle=isinstance(node, LifecycleNode),
            publishes=_topics(node, node.publishers), takes=_topics(node, node.subscriptions),
            serves=tuple(Call(_relative(node, one.service_name), _type(one.srv_type)) for one in node.services),
            calls=tuple(Call(_relative(node, one.service_name), _type(one.srv_type)) for one in node.clients),
            **_actions(node),
        )


def _values(source: NodeSource, temporary: Path) -> dict[str, Any]:
    folders = {"config": REPOSITORY / "config", "temporary": temporary, "bag": temporary / _BAG}
    return {name: value.format(**folders) if isinstance(value, str) else value
            for name, value in source.parameters.items()}


@contextmanager
def _running(kind: type, values: Mapping[str, Any]) -> Iterator[Any]:
    """A node that nobody spins, ended afterwards; what it tells its terminal is dropped."""
    from rclpy.parameter import Parameter

    with redirect_stdout(io.StringIO()):
        node = kind(parameter_overrides=[Parameter(name, value=value) for name, value in values.items()])
        try:
            yield node
        finally:
            if hasattr(node, "close"):
                node.close()
            if hasattr(node, "finish"):  # the recorder's, which owns a bag and a run folder
                node.finish(interrupted=True)
            node.destroy_node()


def _record(bag: Path, interfaces: list[Interface]) -> None:
    """A recording with one empty message of each topic published so far, for a node that plays one."""
    from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
    from rclpy.serialization import serialize_message

    from synthex_bringup.nodes.raw_topics import message_class, to_bag_qos
    from synthex_bringup.recording.bag_writer import BagWriter

    writer = BagWriter(bag, reserve_bytes=0)
    for topic in (topic for one in interfaces for topic in one.publishes if not topic.name.startswith("/")):
        profile = QoSProfile(depth=1, reliability=ReliabilityPolicy[topic.reliability],
                             durability=DurabilityPolicy[topic.durability])
        data = serialize_message(message_class(topic.type)())
        writer.put(f"{_NAMESPACE}/{topic.name}", topic.type, 1, data, [to_bag_qos(profile)])
    summary = writer.close()
    if summary.failure:
        raise OSError(f"no recording could be made for replay_node: {summary.failure}")


def _node_class(module: Any) -> type:
    from rclpy.node import Node

    found = [one for one in vars(module).values()
             if isinstance(one, type) and issubclass(one, Node) and one.__module__ == module.__name__]
    return _only(found, module, "node class")


def _parameter_table(module: Any) -> Any:
    from cm_kinematics.nodes.parameters import Parameter

    found = [one for one in vars(module).values()
             if isinstance(one, tuple) and one and all(isinstance(row, Parameter) for row in one)]
    return _only(found, module, "parameter table")


def _only(found: list, module: Any, what: str) -> Any:
    if len(found) != 1:
        raise LookupError(f"{module.__name__} must have one {what}, it has {len(found)}")
    return found[0]


def _topics(node: Any, ends: Any) -> tuple[Topic, ...]:
    from rclpy.qos import HistoryPolicy

    found = []
    for end in ends:
        qos = end.qos_profile
        depth = "all" if qos.history == HistoryPolicy.KEEP_ALL else str(qos.depth)
        name, kind = _relative(node, end.topic_name), _type(end.msg_type)
        found.append(Topic(name, kind, qos.reliability.name, qos.durability.name, depth))
    return tuple(dict.fromkeys(found))


def _actions(node: Any) -> dict[str, tuple[Call, ...]]:
    from rclpy.action import get_action_client_names_and_types_by_node, get_action_server_names_and_types_by_node

    looks = {"acts": get_action_server_names_and_types_by_node, "orders": get_action_client_names_and_types_by_node}
    return {kind: tuple(Call(_relative(node, name), types[0])
                        for name, types in sorted(look(node, node.get_name(), node.get_namespace())))
            for kind, look in looks.items()}


def _relative(node: Any, name: str) -> str:
    """``~/x`` for what is below the node's own name, ``x`` for what is in its namespace, else the name as it is."""
    own, namespace = node.get_fully_qualified_name() + "/", node.get_namespace() + "/"
    return "~/" + name.removeprefix(own) if name.startswith(own) else name.removeprefix(namespace)


def _type(kind: type) -> str:
    """``package/msg/Type`` of a generated class."""
    package, folder = kind.__module__.split(".")[:2]
    return f"{package}/{folder}/{kind.__name__}"
