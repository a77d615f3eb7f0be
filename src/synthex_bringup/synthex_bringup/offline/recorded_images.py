"""A bag's images in the order of their stamps, each with what else was recorded for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ..recording.bag_reader import BagError, Recorded, SessionBag, image_array
from ..recording.topics import CAMERA_INFO, CM_TIP, IMAGE, MASK, NAVIGATION, TRUE_CM, TRUE_LANDMARKS, TRUE_MASK
from ..report.frames import READ_TOPICS, Frame, SessionFrames

PELVIS = "navigation/pelvis_pose"
_TOGETHER = (IMAGE, CAMERA_INFO, TRUE_MASK, TRUE_LANDMARKS, TRUE_CM, MASK, NAVIGATION, PELVIS, CM_TIP)
#: Names to open a bag with that is to be replayed offline.
OFFLINE_TOPICS = tuple(dict.fromkeys((*READ_TOPICS, *_TOGETHER)))


@dataclass(frozen=True, eq=False)
class LiveNavigation:
    """What navigation_node had answered to an image.

    Attributes:
        state: tracking, uncertain or lost.
        pelvis_known, manipulator_known: whether it published their places.
        camera_from_ct: (4, 4) float64, mm; None where not known or not recorded.
        tip_mm: (3,) float64 in ``carm_source_optical``; likewise.
    """

    state: str
    pelvis_known: bool
    manipulator_known: bool
    camera_from_ct: np.ndarray | None
    tip_mm: np.ndarray | None


@dataclass(frozen=True, eq=False)
class RecordedImage:
    """One image and what belongs to it.

    Attributes:
        frame: what the report knows of it: exposure, ground truth, perception's live answer.
        image: (R, C) uint16 raw counts.
        intrinsics: (3, 3) float64 of its camera_info; None where that cannot be used.
        unusable: why not, in words; empty where it can be.
        true_mask, mask: (R, C) uint8, ground truth and live answer; None where not recorded.
        true_points_mm: name -> (3,) float64, true landmarks in ``carm_source_optical``, in the image or not.
        navigation: navigation's live answer; None where not recorded.
    """

    frame: Frame
    image: np.ndarray
    intrinsics: np.ndarray | None
    unusable: str = ""
    true_mask: np.ndarray | None = None
    mask: np.ndarray | None = None
    true_points_mm: dict[str, np.ndarray] = field(default_factory=dict)
    navigation: LiveNavigation | None = None


def recorded_images(bag: SessionBag, read: SessionFrames) -> Iterator[RecordedImage]:
    """The images of a bag, in the order of their stamps whatever the order of their receipt.

    Args:
        bag: open, with ``OFFLINE_TOPICS`` as its names.
        read: its frames.

    Raises:
        BagError: the bag is damaged, or a message in it is not as it must be.
    """
    awaited = _topics_by_stamp(bag)
    left = iter(read.frames)
    frame = next(left, None)
    waiting: dict[int, dict[str, Recorded]] = {f.stamp_ns: {} for f in read.frames}
    for message in bag.messages(_TOGETHER):
        if (parts := waiting.get(message.stamp_ns)) is not None:
            # of the status, which is repeated until the next image, the first one is the answer
            parts.setdefault(message.topic, message)
        while frame is not None and waiting[frame.stamp_ns].keys() == awaited[frame.stamp_ns]:
            yield _together(bag, frame, waiting.pop(frame.stamp_ns))
            frame = next(left, None)


def _topics_by_stamp(bag: SessionBag) -> dict[int, set[str]]:
    awaited: dict[int, set[str]] = {}
    for message in bag.messages(_TOGETHER):
        awaited.setdefault(message.stamp_ns, set()).add(message.topic)
    return awaited


def _together(bag: SessionBag, frame: Frame, parts: dict[str, Recorded]) -> RecordedImage:
    messages = {topic: bag.decode(recorded) for topic, recorded in parts.items()}
    try:
        image = _radiograph(messages[IMAGE])
        intrinsics, unusable = _intrinsics(messages.get(CAMERA_INFO), image.shape)
        return RecordedImage(
            frame=frame,
            image=image,
            intrinsics=intrinsics,
            unusable=unusable,
            true_mask=image_array(messages[TRUE_MASK]) if TRUE_MASK in messages else None,
            mask=image_array(messages[MASK]) if MASK in messages else None,
            true_points_mm=_true_points_mm(messages, intrinsics),
            navigation=_live_navigation(messages),
        )
    except ValueError as error:
        raise BagError(f"{bag.path}: image at stamp {frame.stamp_ns}: {error}") from error


def _radiograph(message: Any) -> np.ndarray:
    if message.encoding != "mono16":
        raise ValueError(f"{IMAGE} must be mono16, got {message.encoding}")
    return image_array(message)


def _intrinsics(info: Any, shape: tuple[int, ...]) -> tuple[np.ndarray | None, str]:
    """Live, an image without its camera_info, or with one of another size, gets no answer."""
    if info is None:
        return None, f"no {CAMERA_INFO} has this stamp"
    if (info.height, info.width) != shape:
        return None, f"image of {shape[0]} x {shape[1]} but {CAMERA_INFO} of {info.height} x {info.width}"
    return np.array(info.k, dtype=np.float64).reshape(3, 3), ""


def _true_points_mm(messages: dict[str, Any], intrinsics: np.ndarray | None) -> dict[str, np.ndarray]:
    """Pixel and depth along the optical axis make a point."""
    if intrinsics is None:
        return {}
    landmarks = list(messages[TRUE_LANDMARKS].landmarks) if TRUE_LANDMARKS in messages else []
    if TRUE_CM in messages:
        landmarks += [messages[TRUE_CM].base, messages[TRUE_CM].tip]
    inverse = np.linalg.inv(intrinsics)
    points = {str(one.name): inverse @ (one.x, one.y, 1.0) * one.depth * 1e3 for one in landmarks}
    return {name: point for name, point in points.items() if np.isfinite(point).all()}


def _live_navigation(messages: dict[str, Any]) -> LiveNavigation | None:
    if NAVIGATION not in messages:
        return None
    pelvis = _pose_mm(messages[PELVIS]) if PELVIS in messages else None
    tip = _pose_mm(messages[CM_TIP])[:3, 3] if CM_TIP in messages else None
    status = messages[NAVIGATION]
    return LiveNavigation(
        str(status.state), bool(status.pelvis_known), bool(status.manipulator_known), pelvis, tip
    )


def _pose_mm(message: Any) -> np.ndarray:
    """(4, 4) float64 of a PoseWithCovarianceStamped, millimetres."""
    position, turn = message.pose.pose.position, message.pose.pose.orientation
    pose = np.eye(4)
    pose[:3, 3] = np.array([position.x, position.y, position.z]) * 1e3
    pose[:3, :3] = Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix()
    return pose
