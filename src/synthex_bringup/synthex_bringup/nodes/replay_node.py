"""replay_node: plays a recorded session's X-ray images to perception again, with the stamps and the timing they had.

Meanwhile /clock tells the time of the recording, for nodes that run with use_sim_time. It ends by itself, or, if asked
to pause at the end, stays there until Ctrl-C. Its exit code is 0 if perception answered at least one image, 1 with one
line on stderr if not.
"""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rosbags.interfaces import Connection
from rosgraph_msgs.msg import Clock

from cm_kinematics.nodes.conversions import stamp_message
from cm_kinematics.nodes.conversions import stamp_ns as message_stamp_ns
from cm_kinematics.nodes.parameters import REQUIRED, Parameter, declare
from cm_kinematics.nodes.spin import CONFIGURATION_ERRORS, interrupted, shut_down

from .. import DISCLAIMER
from ..offline.plan import NO_PLAN, plan_for, recorded_patient
from ..recording.bag_reader import BagError, Recorded, SessionBag, stamp_of
from ..recording.terminal import Terminal
from ..recording.topics import CAMERA_INFO, CM, IMAGE, NAVIGATION, PER_IMAGE
from .raw_topics import from_bag_qos, message_class

NAME = "replay_node"
DEPTH = 5
#: /clock messages per second of wall time, as many as `ros2 bag play --clock` sends.
CLOCK_HZ = 40.0
#: Seconds from when everybody is there to the first image: found by this node does not yet mean found by each other.
SETTLE_S = 1.0
#: Seconds between two showings of the last image while the replay pauses at its end: less than navigation's stale_s, or
#: its status would change between the last state and lost.
SHOW_AGAIN_S = 0.5

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
    Parameter(
        "pause_at_end",
        bool,
        False,
        "stay at the end until Ctrl-C: /clock stands still, the last image is shown again and again",
        read_only=True,
    ),
    Parameter("navigation", bool, False, "await navigation_node, too, and count its states", read_only=True),
    Parameter(
        "plan",
        str,
        "",
        "whose planned landmarks navigation_node was given; refused if the recording shows somebody else",
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
        self._advice = self._check_plan() if self._values["navigation"] else ""
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
        self._states: dict[int, str] = {}
        if self._values["navigation"]:
            self.create_subscription(
                message_class("synthex_msgs/msg/NavigationStatus"), NAVIGATION, self._take_status, QoSProfile(depth=100)
            )
        self._last_image: dict[str, Recorded] = {}
        self._time_ns = 0

    def _check_plan(self) -> str:
        """Refuse the plan of another patient; what to do about one that is missing, in words."""
        plan = plan_for(self._values["plan"], recorded_patient(Path(self._values["bag"])))
        if self._values["plan"] or plan == NO_PLAN:
            return ""
        return f"navigation has no plan, so that the pelvis stays unknown; that of the recording is plan:={plan}"

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

    def _take_status(self, message: Any) -> None:
        """Of the status, which is repeated until the next image, the first one is the answer."""
        stamp_ns = message_stamp_ns(message.header.stamp)
        if stamp_ns in self._replayed and stamp_ns not in self._states:
            self._states[stamp_ns] = message.state
            self._last_answer_s = time.monotonic()

    # -- the course of the replay ---------------------------------------------------------------------------------
    def play(self, executor: SingleThreadedExecutor) -> int:
        """Wait for perception, play the bag, wait for the last answers; then stay there if asked to.

        Returns:
            The exit code of the process.

        Raises:
            BagError: the bag is damaged on the way.
            ReplayError: nobody listens, or somebody else sends images.
        """
        self._await_perception(executor)
        total = self._sources[IMAGE].msgcount
        self.terminal.say(f"playing {total} images of {self.bag.path} at {self._values['rate']:g} x; {DISCLAIMER}")
        if self._advice:
            self.terminal.say(self._advice)
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
        self.terminal.say(f"replayed {images} images, {len(self._answered)} detections{self._told()}")
        if not self._answered:
            self.terminal.error(f"no {CM} came back for any of the {images} images: does perception accept them?")
            return 1
        if self._values["pause_at_end"]:
            self._stand_still(executor)
        return 0

    def _told(self) -> str:
        """What navigation said, to be appended to a sentence."""
        if not self._values["navigation"]:
            return ""
        counts = Counter(self._states.values())
        states = ", ".join(f"{counts[state]} {state}" for state in sorted(counts)) or "no answers"
        return f"; navigation: {states}"

    def _publish(self, message: Recorded) -> None:
        if message.topic == IMAGE:
            self._replayed.add(message.stamp_ns)
        if message.topic in PER_IMAGE:
            self._last_image[message.topic] = message
        self._publishers_by_name[message.topic].publish(message.data)

    def _await_perception(self, executor: SingleThreadedExecutor) -> None:
        """Discovery takes a moment and the network longer; an image sent before is an image lost."""
        limit_s = self._values["startup_timeout_s"]
        deadline_s = time.monotonic() + limit_s
        while True:
            self._refuse_live_camera()
            missing = self._missing()
            if not missing:
                self._spin_until(executor, time.monotonic() + SETTLE_S)
                self._refuse_live_camera()
                return
            if time.monotonic() > deadline_s:
                what, node = missing
                raise ReplayError(f"{node} did not appear within {limit_s:g} s: {what}; start {node}")
            self.terminal.show(f"waiting for {missing[1]}")
            executor.spin_once(timeout_sec=0.1)

    def _missing(self) -> tuple[str, str] | None:
        """What is not there yet, in words, and the node that brings it."""
        if not self._publishers_by_name[IMAGE].get_subscription_count():
            return f"nobody subscribes to {IMAGE}", "perception_node"
        if not self.count_publishers(self.resolve_topic_name(CM)):
            return f"nobody publishes {CM}", "perception_node"
        if self._values["navigation"] and not self.count_publishers(self.resolve_topic_name(NAVIGATION)):
            return f"nobody publishes {NAVIGATION}", "navigation_node"
        return None

    def _await_answers(self, executor: SingleThreadedExecutor) -> None:
        self._last_answer_s = time.monotonic()
        navigates = self._values["navigation"]
        while self._answered != self._replayed or (navigates and self._states.keys() != self._answered):
            if time.monotonic() - self._last_answer_s > self._values["answer_timeout_s"]:
                return
            executor.spin_once(timeout_sec=0.1)

    def _run_clock_to(self, executor: SingleThreadedExecutor, moment_ns: int, begun_s: float, begun_ns: int) -> None:
        """Publish the recording's time until it reaches a moment; take the answers that come meanwhile.

        Args:
            moment_ns: of the recording.
            begun_s, begun_ns: ``time.monotonic`` and the recording's time at the beginning.
        """
        executor.spin_once(timeout_sec=0.0)
        while True:
            now_ns = begun_ns + int((time.monotonic() - begun_s) * 1e9 * self._values["rate"])
            self._show_time(min(now_ns, moment_ns))
            if now_ns >= moment_ns:
                return
            left_s = (moment_ns - now_ns) * 1e-9 / self._values["rate"]
            executor.spin_once(timeout_sec=min(left_s, 1.0 / CLOCK_HZ))

    def _show_time(self, time_ns: int) -> None:
        self._time_ns = time_ns
        self._clock_out.publish(Clock(clock=stamp_message(time_ns)))

    def _stand_still(self, executor: SingleThreadedExecutor) -> None:
        """The end of the recording for as long as somebody looks, also for those who come late.

        What the last image made perception and navigation publish is gone for them. Shown again it is answered again,
        with the same stamp; a latched image alone would bring back neither overlay nor poses.
        """
        self.terminal.say(f"paused at the end: /clock stands still, {IMAGE} shows the last image; Ctrl-C ends it")
        last = [m for m in self._last_image.values() if m.stamp_ns == self._last_image[IMAGE].stamp_ns]
        while True:
            for message in last:
                self._publish(message)
            again_s = time.monotonic() + SHOW_AGAIN_S
            while time.monotonic() < again_s:
                self._show_time(self._time_ns)
                executor.spin_once(timeout_sec=1.0 / CLOCK_HZ)

    def _spin_until(self, executor: SingleThreadedExecutor, moment_s: float) -> None:
        """Take answers until a moment of ``time.monotonic``."""
        while (left_s := moment_s - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=min(left_s, 0.1))


def main(args: Sequence[str] | None = None) -> int:
    """Replay a bag; returns the process's exit code."""
    terminal, begun = Terminal(NAME), False
    try:
        rclpy.init(args=args)
        node = ReplayNode()
        terminal, begun = node.terminal, True
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        return node.play(executor)
    except (KeyboardInterrupt, ExternalShutdownException):
        terminal.end()
        return 0
    except (*CONFIGURATION_ERRORS, BagError, ReplayError, LookupError) as error:
        if begun and interrupted():
            terminal.end()
            return 0
        terminal.error(str(error))
        return 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        shut_down()


if __name__ == "__main__":
    sys.exit(main())
