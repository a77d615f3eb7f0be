"""/diagnostics once a second: each node says how it fares, in the form that rqt and rosbag tools know."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node


class Level(IntEnum):
    """Levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Status:
    """What one task reports.

    Attributes:
        level: the worst of what there is to say.
        message: one line for people.
        values: anything countable, by name; floats are written with 6 significant digits.
    """

    level: Level
    message: str
    values: Mapping[str, Any] = field(default_factory=dict)


class Latency:
    """Percentiles of the last durations.

    Args:
        window: how many durations count.
    """

    def __init__(self, window: int = 200) -> None:
        self._seconds: deque[float] = deque(maxlen=window)

    def add(self, seconds: float) -> None:
        """Note one duration in seconds."""
        self._seconds.append(float(seconds))

    def values(self, name: str = "latency") -> dict[str, float]:
        """``<name>_p50_ms`` and ``<name>_p95_ms``; empty before the first duration."""
        if not self._seconds:
            return {}
        median, tail = np.percentile(np.array(self._seconds), [50, 95]) * 1000
        return {f"{name}_p50_ms": float(median), f"{name}_p95_ms": float(tail)}


class Diagnostics:
    """Publishes a DiagnosticArray of a node's tasks at a fixed period.

    Args:
        node: the node; each status is named ``<node>: <task>``.
        hardware_id: what the node drives, e.g. the manipulator's name.
        period_s: seconds between two messages, of the wall clock: a paused simulation is still diagnosed.
    """

    def __init__(self, node: Node, hardware_id: str = "", period_s: float = 1.0) -> None:
        self._node = node
        self._hardware_id = hardware_id
        self._tasks: dict[str, Callable[[], Status]] = {}
        # /diagnostics is one topic for the whole system whatever the namespace.
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = node.create_timer(period_s, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def add(self, task: str, report: Callable[[], Status]) -> None:
        """Add a task; ``report`` is called once per period in the node's executor and must be quick."""
        self._tasks[task] = report

    def publish(self) -> None:
        """Ask all tasks and publish their answers now."""
        message = DiagnosticArray(status=[self._message(task, report()) for task, report in self._tasks.items()])
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)

    def destroy(self) -> None:
        """Take timer and publisher from the node, as a lifecycle node does when it cleans up."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)

    def _message(self, task: str, status: Status) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=bytes([status.level]),
            name=f"{self._node.get_name()}: {task}",
            message=status.message,
            hardware_id=self._hardware_id,
            values=[KeyValue(key=key, value=_text(value)) for key, value in status.values.items()],
        )


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
