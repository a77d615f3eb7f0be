"""Topics as bytes: message classes by name, quality of service between rclpy and a bag's metadata."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rclpy.duration import Duration
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSProfile,
    ReliabilityPolicy,
)
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

NS_PER_S = 1_000_000_000


def message_class(type_: str) -> Any:
    """The Python class of ``package/msg/Type``.

    Raises:
        LookupError: the package is not installed or has no such message.
    """
    package, _, name = type_.partition("/msg/")
    try:
        return getattr(import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise LookupError(f"message type {type_} is not installed") from error


def reader_qos(offers: list[QoSProfile], *, latched: bool, depth: int) -> QoSProfile:
    """The strictest quality of service that all of a topic's publishers can serve.

    Args:
        offers: what its publishers offer; empty before any is known, then reliable as all of the session's are.
        latched: whether the topic is expected to be.
        depth: messages kept for a slow callback.
    """
    best_effort = any(offer.reliability == ReliabilityPolicy.BEST_EFFORT for offer in offers)
    volatile = not latched if not offers else any(o.durability != DurabilityPolicy.TRANSIENT_LOCAL for o in offers)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.VOLATILE if volatile else DurabilityPolicy.TRANSIENT_LOCAL,
    )


def to_bag_qos(profile: QoSProfile) -> Qos:
    """An offered profile as the bag stores it."""
    return Qos(
        history=QosHistory[_name(profile.history, QosHistory)],
        depth=profile.depth,
        reliability=QosReliability[_name(profile.reliability, QosReliability)],
        durability=QosDurability[_name(profile.durability, QosDurability)],
        deadline=_time(profile.deadline),
        lifespan=_time(profile.lifespan),
        liveliness=QosLiveliness[_name(profile.liveliness, QosLiveliness)],
        liveliness_lease_duration=_time(profile.liveliness_lease_duration),
        avoid_ros_namespace_conventions=profile.avoid_ros_namespace_conventions,
    )


def from_bag_qos(stored: list[Qos], *, depth: int) -> QoSProfile:
    """A profile to publish a recorded topic with: reliability and durability as recorded, else reliable, volatile."""
    best_effort = any(one.reliability is QosReliability.BEST_EFFORT for one in stored)
    latched = any(one.durability is QosDurability.TRANSIENT_LOCAL for one in stored)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=depth,
        reliability=ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        liveliness=LivelinessPolicy.AUTOMATIC,
    )


def _name(policy: Any, known: Any) -> str:
    return policy.name if policy.name in known.__members__ else "UNKNOWN"


def _time(duration: Duration) -> QosTime:
    return QosTime(*divmod(duration.nanoseconds, NS_PER_S))
