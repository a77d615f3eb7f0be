"""TopicIntake: topics of a session as bytes, subscribed to with the quality of service that their publishers offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from rosbags.interfaces import Qos

from ..recording.bag_reader import stamp_of
from ..recording.gate import Received
from ..recording.topics import PER_IMAGE, SESSION_TOPICS, SessionTopic, session_topic
from .raw_topics import message_class, reader_qos, to_bag_qos

ALL = "all"
_DEPTH = 20


@dataclass
class _Topic:
    """A topic while it is listened to."""

    known: SessionTopic
    resolved: str
    subscription: Subscription | None = None
    qos: QoSProfile | None = None
    offered: tuple[Qos, ...] = ()


class TopicIntake:
    """Listens to topics and hands on what comes, in the executor's thread.

    Args:
        node: that subscribes.
        names: relative to its namespace, or ``all`` for the session's; types of others than the session's are found out
            once somebody publishes them.
        take: called with each message.

    Raises:
        LookupError: from ``renew``: a published topic's type is not installed.
    """

    def __init__(self, node: Node, names: Iterable[str], take: Callable[[Received], None]) -> None:
        self._node, self._take = node, take
        names = [name for name in names if name]
        if ALL in names or not names:
            known = list(SESSION_TOPICS)
        else:
            known = [session_topic(name) or SessionTopic(name, "") for name in dict.fromkeys(names)]
        self._topics = {one.name: _Topic(one, node.resolve_topic_name(one.name)) for one in known}

    def __contains__(self, name: str) -> bool:
        return name in self._topics

    @property
    def types(self) -> list[str]:
        """Message types that are known by now."""
        return [topic.known.type for topic in self._topics.values() if topic.known.type]

    def is_published(self, name: str) -> bool:
        """Whether anybody publishes this topic."""
        return self._node.count_publishers(self._topics[name].resolved) > 0

    def renew(self) -> None:
        """Subscribes to what has appeared, anew where publishers offer less than was asked for. To be called often."""
        for topic in self._topics.values():
            self._subscribe(topic)

    def close(self) -> None:
        """Listens no more."""
        for topic in self._topics.values():
            if topic.subscription is not None:
                self._node.destroy_subscription(topic.subscription)
                topic.subscription = None

    def _subscribe(self, topic: _Topic) -> None:
        offers = self._node.get_publishers_info_by_topic(topic.resolved)
        if not topic.known.type:
            if not offers:
                return
            topic.known = replace(topic.known, type=offers[0].topic_type)
        profiles = [offer.qos_profile for offer in offers]
        if profiles:
            topic.offered = tuple(dict.fromkeys(to_bag_qos(profile) for profile in profiles))
        wanted = reader_qos(profiles, latched=topic.known.latched, depth=_DEPTH)
        if topic.subscription is not None and topic.qos is not None and _same(topic.qos, wanted):
            return
        try:
            message = message_class(topic.known.type)
        except LookupError:
            if offers:
                raise
            return  # tf2_msgs, where nobody has it, is published by nobody
        if topic.subscription is not None:
            self._node.destroy_subscription(topic.subscription)
        topic.qos = wanted
        topic.subscription = self._node.create_subscription(
            message, topic.known.name, partial(self._receive, topic), wanted, raw=True
        )

    def _receive(self, topic: _Topic, data: bytes, info: Any) -> None:
        received_ns = int(info.get("received_timestamp") or 0)
        if received_ns <= 0 or self._node.get_parameter("use_sim_time").value:
            received_ns = self._node.get_clock().now().nanoseconds
        if not topic.offered:
            offers = self._node.get_publishers_info_by_topic(topic.resolved)
            topic.offered = tuple(dict.fromkeys(to_bag_qos(offer.qos_profile) for offer in offers))
        self._take(Received(
            topic=topic.known.name,
            recorded_topic=topic.resolved,
            type=topic.known.type,
            received_ns=received_ns,
            data=data,
            stamp_ns=stamp_of(data) if topic.known.name in PER_IMAGE else None,
            latched=topic.known.latched,
            qos=topic.offered,
        ))


def _same(a: QoSProfile, b: QoSProfile) -> bool:
    return a.reliability == b.reliability and a.durability == b.durability
