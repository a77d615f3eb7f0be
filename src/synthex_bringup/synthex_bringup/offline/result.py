"""One recorded image answered again: beside the ground truth, and beside what the session had answered live."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from synthex_perception.inference.detections import Detections
from synthex_perception.navigation.navigator import Navigation
from synthex_perception.navigation.pelvis_pose import PelvisPose
from synthex_sim.anatomy import MANIPULATOR, MANIPULATOR_LANDMARKS

from ..recording.bag_reader import BagError
from ..report.accuracy import Point, distance_px, structure_dice
from ..report.frames import Frame, Manipulator, SessionFrames
from .answer import Answer
from .recorded_images import RecordedImage

#: Answers this close are the same: another processor rounds differently.
SAME_PX, SAME_MM, SAME_DEG = 0.01, 0.01, 0.01


@dataclass(frozen=True)
class SpaceError:
    """How far from the truth a place in ``carm_source_optical`` is, millimetres.

    Attributes:
        across_mm: across the ray from the source to the true place.
        along_mm: along that ray, which one image tells little about.
    """

    across_mm: float
    along_mm: float


@dataclass(frozen=True)
class Difference:
    """How an answer differs from the live one; None for what either of the two lacks.

    Attributes:
        mask_px: pixels whose label differs.
        visibility: landmarks that only one of the two calls visible.
        points_px: largest distance of a landmark that both call visible.
        states: (live state, state), as navigation says it.
        known: whether both know, or both do not know, the pelvis' pose and the manipulator's place.
        tip_mm: distance of the two tips in ``carm_source_optical``.
        pelvis_mm, pelvis_deg: translation and turn between the two pelvis poses.
    """

    mask_px: int | None
    visibility: int | None
    points_px: float | None
    states: tuple[str, str] | None
    known: bool
    tip_mm: float | None
    pelvis_mm: float | None
    pelvis_deg: float | None

    @property
    def agrees(self) -> bool:
        """Whether the two say the same of all that was recorded."""
        same_state = self.states is None or self.states[0] == self.states[1]
        close = (
            (self.points_px, SAME_PX),
            (self.tip_mm, SAME_MM),
            (self.pelvis_mm, SAME_MM),
            (self.pelvis_deg, SAME_DEG),
        )
        return (
            not self.mask_px
            and not self.visibility
            and same_state
            and self.known
            and all(value is None or value <= limit for value, limit in close)
        )


@dataclass(frozen=True)
class FrameResult:
    """What became of one recorded image.

    Attributes:
        live: the recorded frame: ground truth and the live answer.
        frame: the same with the answer given here in place of the live one; None where the image could not be used.
        unusable: why it could not.
        manipulator_px: pixels of the manipulator's mask.
        told: navigation's answer.
        tip_error, pelvis_error: against the truth; of the pelvis the mean over the planned landmarks.
        difference: from the live answer; None where there was none.
    """

    live: Frame
    frame: Frame | None = None
    unusable: str = ""
    manipulator_px: int = 0
    told: Navigation | None = None
    tip_error: SpaceError | None = None
    pelvis_error: SpaceError | None = None
    difference: Difference | None = None

    @property
    def state(self) -> str | None:
        """What navigation says: tracking, uncertain or lost; None where it was not asked."""
        return self.told.state.value if self.told is not None else None


def frame_result(
    recorded: RecordedImage, answer: Answer, plan_mm: Mapping[str, np.ndarray], read: SessionFrames
) -> FrameResult:
    """Everything about one image that was answered again.

    Args:
        recorded: the image.
        answer: to it.
        plan_mm: planned landmarks, patient LPS.
        read: the bag's frames, for the meaning of its masks.

    Raises:
        BagError: a recorded mask has another size than the image.
    """
    found, told, truth = answer.found, answer.told, recorded.true_points_mm
    for mask in (recorded.true_mask, recorded.mask):
        if mask is not None and mask.shape != found.mask.shape:
            raise BagError(
                f"mask of {mask.shape[0]} x {mask.shape[1]} for an image of {found.mask.shape[0]} x "
                f"{found.mask.shape[1]} at stamp {recorded.frame.stamp_ns}"
            )
    frame = _answered(recorded, found, read)
    tip_error = None
    if told.manipulator is not None and MANIPULATOR_LANDMARKS[1] in truth:
        tip_error = space_error(told.manipulator.tip_mm, truth[MANIPULATOR_LANDMARKS[1]])
    return FrameResult(
        live=recorded.frame,
        frame=frame,
        manipulator_px=found.pixels_of(MANIPULATOR),
        told=told,
        tip_error=tip_error,
        pelvis_error=_pelvis_error(told.pelvis, plan_mm, truth),
        difference=_difference(recorded, found, frame, told) if read.answered(recorded.frame) else None,
    )


def space_error(found_mm: np.ndarray, true_mm: np.ndarray) -> SpaceError:
    """Between two (3,) points in a frame whose origin is the source."""
    ray = true_mm / np.linalg.norm(true_mm)
    error = found_mm - true_mm
    along = float(error @ ray)
    return SpaceError(float(np.linalg.norm(error - along * ray)), abs(along))


def _answered(recorded: RecordedImage, found: Detections, read: SessionFrames) -> Frame:
    """The recorded frame with what was found now, as the report would read it from a bag."""
    points = {
        name: Point(float(x), float(y), bool(visible))
        for name, (x, y), visible in zip(found.landmark_names, found.landmarks, found.visible, strict=True)
    }
    base, tip = (points[name] for name in MANIPULATOR_LANDMARKS)
    dice = None
    if recorded.true_mask is not None:
        dice = structure_dice(found.mask, recorded.true_mask, dict(enumerate(found.label_names)), read.true_names)
    cm = Manipulator(found.pixels_of(MANIPULATOR) > 0, base, tip)
    return replace(recorded.frame, dice=dice, landmarks=points, cm=cm)


def _pelvis_error(
    pelvis: PelvisPose | None, plan_mm: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]
) -> SpaceError | None:
    if pelvis is None:
        return None
    errors = [space_error(pelvis.transform(plan_mm[name]), truth[name]) for name in plan_mm if name in truth]
    if not errors:
        return None
    return SpaceError(
        float(np.mean([error.across_mm for error in errors])), float(np.mean([error.along_mm for error in errors]))
    )


def _difference(recorded: RecordedImage, found: Detections, frame: Frame, told: Navigation) -> Difference:
    live, live_told = recorded.frame, recorded.navigation
    mask_px = None if recorded.mask is None else int(np.count_nonzero(recorded.mask != found.mask))
    visibility = points_px = None
    if live.landmarks is not None:
        both = [(live.landmarks[name], point) for name, point in frame.landmarks.items() if name in live.landmarks]
        visibility = sum(one.visible != other.visible for one, other in both)
        distances = [distance_px(one, other) for one, other in both]
        points_px = max((distance for distance in distances if distance is not None), default=None)
    if live_told is None:
        return Difference(mask_px, visibility, points_px, None, True, None, None, None)
    pelvis_mm, pelvis_deg = _between(live_told.camera_from_ct, told.pelvis)
    tip_mm = None
    if live_told.tip_mm is not None and told.manipulator is not None:
        tip_mm = float(np.linalg.norm(live_told.tip_mm - told.manipulator.tip_mm))
    states = live_told.state, told.state.value
    live_knows = live_told.pelvis_known, live_told.manipulator_known
    known = live_knows == (told.pelvis is not None, told.manipulator is not None)
    return Difference(mask_px, visibility, points_px, states, known, tip_mm, pelvis_mm, pelvis_deg)


def _between(live: np.ndarray | None, pelvis: PelvisPose | None) -> tuple[float | None, float | None]:
    if live is None or pelvis is None:
        return None, None
    now = pelvis.camera_from_ct
    turn = Rotation.from_matrix(now[:3, :3] @ live[:3, :3].T).magnitude()
    return float(np.linalg.norm(now[:3, 3] - live[:3, 3])), float(np.rad2deg(turn))
