"""What carm_node knows, as messages: metres and radians, REP-103."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
from builtin_interfaces.msg import Time as TimeMessage
from sensor_msgs.msg import CameraInfo, JointState
from std_msgs.msg import Header

from cm_kinematics.nodes.conversions import joint_state_message, rigid_to_metres, to_metres
from synthex_msgs.msg import CmDetection, Exposure, LabelClass, LabelInfo, Landmark2D, Landmark2DArray
from synthex_sim import anatomy
from synthex_sim.annotation.annotation import Annotation
from synthex_sim.carm.carm import CArm, CArmJoints
from synthex_sim.carm.view import View
from synthex_sim.xray.collimation import Collimator, Rectangle
from synthex_sim.xray.radiograph import Radiograph

OPTICAL_FRAME = "carm_source_optical"

#: Names on the wire without the unit: longitudinal, ..., orbital; metres for lengths, radians for angles.
JOINT_NAMES = tuple(f.name.rsplit("_", 1)[0] for f in fields(CArmJoints))
_IS_LENGTH = tuple(f.name.endswith("_mm") for f in fields(CArmJoints))


def joints_message(joints: CArmJoints, stamp: TimeMessage) -> JointState:
    """The positioner's joints as a JointState."""
    values = [getattr(joints, f.name) for f in fields(CArmJoints)]
    positions = [to_metres(v) if length else math.radians(v) for v, length in zip(values, _IS_LENGTH, strict=True)]
    return joint_state_message(stamp, JOINT_NAMES, positions)


def joints_from_message(message: JointState, present: CArmJoints) -> CArmJoints:
    """Joints named in a message; those it does not name keep their present value.

    Raises:
        ValueError: an unknown joint, a name without a position, or a position that is not finite.
    """
    if len(message.name) != len(message.position):
        raise ValueError(f"{len(message.name)} joint names but {len(message.position)} positions")
    changes = {}
    for name, value in zip(message.name, message.position, strict=True):
        if name not in JOINT_NAMES:
            raise ValueError(f"unknown joint '{name}'; the C-arm has {', '.join(JOINT_NAMES)}")
        if not math.isfinite(value):
            raise ValueError(f"the position of joint {name} must be finite, got {value}")
        field = fields(CArmJoints)[JOINT_NAMES.index(name)].name
        changes[field] = value * 1000.0 if field.endswith("_mm") else math.degrees(value)
    return replace(present, **changes)


def camera_info_message(view: View, header: Header) -> CameraInfo:
    """Intrinsics of a flat panel. The first focal length is negative: pixels are stored as seen from the detector."""
    k = view.intrinsics
    message = CameraInfo(header=header, height=view.shape[0], width=view.shape[1], distortion_model="plumb_bob")
    message.d = [0.0] * 5
    message.k = k.ravel().tolist()
    message.r = np.eye(3).ravel().tolist()
    message.p = np.hstack([k, np.zeros((3, 1))]).ravel().tolist()
    return message


def exposure_message(
    view: View, carm: CArm, radiograph: Radiograph, header: Header, renderer: str, projector: str, seed: int,
) -> Exposure:
    """Physics and geometry of one image; the caller adds the frame counters and the time it took.

    The physics is what the image does show, not what was asked for.

    Raises:
        ValueError: the field is no upright rectangle, which is all that the message can say.
    """
    physics = radiograph.physics
    return Exposure(
        header=header,
        kvp=radiograph.exposure.kvp,
        mas=radiograph.exposure.mas,
        collimation=_blades(radiograph.exposure.collimator),
        spectrum=radiograph.spectrum,
        renderer=renderer,
        projector=projector,
        scatter=physics.scatter,
        grid=physics.grid,
        noise=physics.noise,
        blur=physics.blur,
        heel_effect=physics.heel_effect,
        lag=radiograph.lag,
        gain=physics.gain,
        seed=seed,
        source_to_detector=float(to_metres(view.source_to_detector_mm)),
        source_to_isocenter=float(to_metres(carm.source_to_isocenter_mm)),
        pixel_spacing=float(to_metres(view.pixel_spacing_mm)),
        height=view.shape[0],
        width=view.shape[1],
        k=view.intrinsics.ravel(),
        world_to_camera=rigid_to_metres(view.world_to_camera).ravel(),
        open_field=round(radiograph.open_field),
        saturation=radiograph.saturation,
        kev_per_count=radiograph.kev_per_count or 0.0,
    )


def landmarks_message(annotation: Annotation, header: Header) -> Landmark2DArray:
    """Ground truth landmarks, all of them, in view or not."""
    return Landmark2DArray(header=header, landmarks=[_landmark(annotation, i) for i in range(len(annotation.names))])


def cm_message(annotation: Annotation, header: Header) -> CmDetection:
    """Ground truth of the manipulator."""
    pixels = int(np.count_nonzero(annotation.mask == anatomy.MANIPULATOR))
    base, tip = (_landmark(annotation, annotation.names.index(name)) for name in anatomy.MANIPULATOR_LANDMARKS)
    return CmDetection(header=header, detected=pixels > 0, mask_pixels=pixels, confidence=1.0, base=base, tip=tip)


def label_info_message(stamp: TimeMessage) -> LabelInfo:
    """What the ground truth's mask values and landmarks mean."""
    message = LabelInfo(
        class_map=[LabelClass(class_id=i, class_name=name) for i, name in enumerate(anatomy.LABEL_NAMES)],
        landmark_names=list(anatomy.SESSION_LANDMARKS),
        source="ground truth",
    )
    message.header.stamp = stamp
    message.header.frame_id = OPTICAL_FRAME
    return message


def _blades(collimator: Collimator | None) -> list[float]:
    """Left, right, top and bottom in metres; zeros for the whole field."""
    if collimator is None:
        return [0.0] * 4
    if not isinstance(collimator, Rectangle) or collimator.rotation_deg:
        raise ValueError(f"an exposure message holds the blades of an upright rectangle, not {collimator}")
    edges_mm = collimator.left_mm, collimator.right_mm, collimator.top_mm, collimator.bottom_mm
    return [float(to_metres(edge)) for edge in edges_mm]


def _landmark(annotation: Annotation, index: int) -> Landmark2D:
    column, row = annotation.landmarks[index].tolist()
    return Landmark2D(
        name=annotation.names[index],
        class_id=index,
        x=column,
        y=row,
        depth=float(to_metres(annotation.depth_mm[index])),
        confidence=1.0,
        visible=bool(annotation.visible[index]),
    )
