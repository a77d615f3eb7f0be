"""replay_node: plays a recorded session's X-ray images to perception again, with the stamps and the timing they had.

Meanwhile /clock tells the time of the recording, for nodes that run with use_sim_time. It ends by itself. Its exit code is 0 if perception answered at least one image, 1 with one line on stderr if not.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rclpy
from cm_kinematics.nodes.conversions import stamp_message
from cm_kinematics.nodes.parameters import REQUIRED, Parameter, declare
from cm_kinematics.nodes.spin import CONFIGURATION_ERRORS
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rosbags.interfaces import Connection
from rosgraph_msgs.msg import Clock

from .. import DISCLAIMER
from ..recording.bag_reader import BagError, Recorded, SessionBag, stamp_of
from ..recording.terminal import Terminal
from ..recording.topics import CAMERA_INFO, CM, IMAGE
from .raw_topics import from_bag_qos, message_class

NAME = "replay_node"
DEPTH = 5
#: /clock messages per second of wall time, as many as `ros2 bag play --clock` sends.
CLOCK_HZ = 40.0

PARAMETERS = (
    Parameter("bag", str, REQUIRED, "run folder, bag folder or .mcap file", read_only=True),
    Parameter("rate", float, 1.0, "speed: 2 plays twice as fast as it was recorded", range=(0.01, 100), read_only=True),
    Parameter("topics", list[str], [IMAGE, CAMERA_INFO], "what to play, relative to the namespace", read_only=True),
    Parameter(
        "startup_timeout_s",
        float,
        120.0,
        "how long perception is awaited before the first image",
        unit="s",
        range=(0.1, 1e6),
        read_only=True,
    ),
    Parameter(
        "answer_timeout_s",
        float,
        5.0,
        "how long after the last image or answer another answer is awaited",
        unit="s",
        range=(0.1, 600),
        read_only=True,
    ),
)


class ReplayError(Exception):
    """The replay cannot go on; the message says why."""


class ReplayNode(Node):
    """Publishes a bag's messages as the bytes they were recorded as and counts perception's answers by stamp."""

    def __init__(self, **node_options: Any) -> None:
        """Open the bag and make its publishers.

        Raises:
            ParameterError, BagError, LookupError: a parameter, the bag or a message type is not as it must be.
        """
        super().__init__(NAME, **node_options)
        self.terminal = Terminal(NAME)
        self._values: Mapping[str, Any] = declare(self, PARAMETERS)
        names = tuple(dict.fromkeys(name for name in self._values["topics"] if name))
        self.bag = SessionBag(Path(self._values["bag"]), names)
        self._sources = {name: self._source(name) for name in names}
        if not self._sources.get(IMAGE):
            raise BagError(f"{self.bag.path} holds no {IMAGE}: there is nothing to show perception")
        self._replayed: set[int] = set()
        self._answered: set[int] = set()
        self._last_answer_s = 0.0
        self._publishers_by_name: dict[str, Publisher] = {
            name: self.create_publisher(message_class(source.msgtype), name, self._qos(source))
            for name, source in self._sources.items()
            if source is not None
        }
        # One time for the whole system whatever the namespace, hence the absolute name.
        self._clock_out = self.create_publisher(Clock, "/clock", QoSProfile(depth=1))
        self._answers = self.create_subscription(
            message_class("synthex_msgs/msg/CmDetection"), CM, self._take, QoSProfile(depth=100), raw=True
        )

    def _source(self, name: str) -> Connection | None:
        """The recorded topic, None where the bag has no message of it."""
        found = self.bag.find(name)
        return found[0] if found and found[0].msgcount else None

    def _qos(self, source: Connection) -> QoSProfile:
        return from_bag_qos(self.bag.qos(source), depth=DEPTH)

    def _refuse_live_camera(self) -> None:
        """Two sources of images on one topic would mix two sessions."""
        for other in self.get_publishers_info_by_topic(self.resolve_topic_name(IMAGE)):
            if (other.node_name, other.node_namespace) != (self.get_name(), self.get_namespace()):
                # DDS may know a publisher before it knows the name of its node.
                who = other.node_name if not other.node_name.startswith("_") else "another node"
                raise ReplayError(f"{IMAGE} is published by {who} already: end that session first")

    def _take(self, data: bytes) -> None:
        stamp_ns = stamp_of(data)
        if stamp_ns in self._replayed:
            self._answered.add(stamp_ns)
            self._last_answer_s = time.monotonic()

    # -- the course of the replay ---------------------------------------------------------------------------------
    def play(self, executor: SingleThreadedExecutor) -> int:
        """Wait for perception, play the bag, wait for the last answers.

        Returns:
            The exit code of the process.

        Raises:
            BagError: the bag is damaged on the way.
            ReplayError: nobody listens, or somebody else sends images.
        """
        self._await_perception(executor)
        total = self._sources[IMAGE].msgcount
        self.terminal.say(f"playing {total} images of {self.bag.path} at {self._values['rate']:g} x; {DISCLAIMER}")
        begun: tuple[float, int] | None = None
        images = 0
        for message in self.bag.messages(self._publishers_by_name):
            begun = begun or (time.monotonic(), message.received_ns)
            self._run_clock_to(executor, message.received_ns, *begun)
            self._publish(message)
            if message.topic == IMAGE:
                images += 1
                self.terminal.show(f"images {images}/{total}   detections {len(self._answered)}")
        self._await_answers(executor)
        self.terminal.end()
        self.terminal.say(f"replayed {images} images, {len(self._answered)} detections")
        if not self._answered:
            self.terminal.error(f"no {CM} came back for any of the {images} images: does perception accept them?")
            return 1
        return 0

    def _publish(self, message: Recorded) -> None:
        if message.topic == IMAGE:
            self._replayed.add(message.stamp_ns)
        self._publishers_by_name[message.topic].publish(message.data)

    def _await_perception(self, executor: SingleThreadedExecutor) -> None:
        """Discovery takes a moment and the network longer; an image sent before is an image lost."""
        limit_s = self._values["startup_timeout_s"]
        deadline_s = time.monotonic() + limit_s
        while True:
            self._refuse_live_camera()
            listens = self._publishers_by_name[IMAGE].get_subscription_count() > 0
            answers = self.count_publishers(self.resolve_topic_name(CM)) > 0
            if listens and answers:
                # Matched here does not yet mean matched there.
                self._spin_until(executor, time.monotonic() + 0.5)
                self._refuse_live_camera()
                return
            if time.monotonic() > deadline_s:
                what = f"nobody subscribes to {IMAGE}" if not listens else f"nobody publishes {CM}"
                raise ReplayError(f"perception did not appear within {limit_s:g} s: {what}; start perception_node")
            self.terminal.show("waiting for perception_node")
            executor.spin_once(timeout_sec=0.1)

    def _await_answers(self, executor: SingleThreadedExecutor) -> None:
        self._last_answer_s = time.monotonic()
        while len(self._answered) < len(self._replayed):
            if time.monotonic() - self._last_answer_s > self._values["answer_timeout_s"]:
                return
            executor.spin_once(timeout_sec=0.1)

    def _run_clock_to(self, executor: SingleThreadedExecutor, moment_ns: int, begun_s: float, begun_ns: int) -> None:
        """Publish the recording's time until it reaches a moment; take answers meanwhile, at least those that are there.

        Args:
            moment_ns: of the recording.
            begun_s, begun_ns: ``time.monotonic`` and the recording's time at the beginning.
        """
        executor.spin_once(timeout_sec=0.0)
        while True:
            now_ns = begun_ns + int((time.monotonic() - begun_s) * 1e9 * self._values["rate"])
            shown_ns = min(now_ns, moment_ns)
            self._clock_out.publish(Clock(clock=stamp_message(shown_ns)))
            if now_ns >= moment_ns:
                return
            left_s = (moment_ns - now_ns) * 1e-9 / self._values["rate"]
            executor.spin_once(timeout_sec=min(left_s, 1.0 / CLOCK_HZ))

    def _spin_until(self, executor: SingleThreadedExecutor, moment_s: float) -> None:
        """Take answers until a moment of ``time.monotonic``."""
        while (left_s := moment_s - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=min(left_s, 0.1))


def main(args: Sequence[str] | None = None) -> int:
    """Replay a bag; returns the process's exit code."""
    terminal = Terminal(NAME)
    try:
        rclpy.init(args=args)
        node = ReplayNode()
        terminal = node.terminal
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        return node.play(executor)
    except (KeyboardInterrupt, ExternalShutdownException):
        terminal.end()
        return 0
    except (*CONFIGURATION_ERRORS, BagError, ReplayError, LookupError) as error:
        terminal.error(str(error))
        return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
