"""Perception and navigation as plain calls: one image in, one answer out, nothing of a clock or a network of nodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cm_kinematics.geometry import load_geometry
from synthex_perception.inference.detections import Detections
from synthex_perception.inference.predictor import Predictor
from synthex_perception.navigation.cm_position import SeenEnd, SeenManipulator, depth_from_width, see_manipulator
from synthex_perception.navigation.navigator import Navigation, Navigator
from synthex_sim.anatomy import LABEL_NAMES, MANIPULATOR, MANIPULATOR_LANDMARKS, SESSION_LANDMARKS
from synthex_sim.patient.source import planned_landmarks

from .settings import Settings


@dataclass(frozen=True, eq=False)
class Answer:
    """What perception found in an image and what navigation makes of it."""

    found: Detections
    told: Navigation


class Answerer:
    """Perception and navigation with all that they are given once.

    Attributes:
        plan_mm: name -> (3,) planned landmarks, patient LPS.
        manipulator: name of its geometry.
        settings: thresholds and limits.
    """

    def __init__(self, weights: Path, plan: str, device_file: Path, settings: Settings) -> None:
        """Args:
        weights: of the session's network.
        plan: ``phantom:SEED``, or ``none``.
        device_file: of the manipulator.
        settings: thresholds and limits.

        Raises:
            OSError: a file cannot be read.
            ValueError: a file or the plan is not as it must be.
        """
        # One thread: sums that several threads share come out in an order of their own.
        self._predictor = Predictor.from_file(
            weights, threads=1, config=settings.detection, label_names=LABEL_NAMES, landmark_names=SESSION_LANDMARKS
        )
        self.plan_mm = planned_landmarks(plan)
        self.settings = settings
        geometry = load_geometry(device_file)
        self.manipulator = geometry.name
        self._navigator = Navigator(self.plan_mm, geometry, settings.limits, settings.model)

    def answer(self, image: np.ndarray, intrinsics: np.ndarray) -> Answer:
        """Look at one image.

        Args:
            image: (R, C) uint16 raw counts.
            intrinsics: (3, 3) of it.
        """
        found = self._predictor.predict(image)
        tool, missing = seen_manipulator(found, intrinsics, self.settings.detection.device.outer_diameter_mm)
        return Answer(found, self._navigator.navigate(seen_landmarks(found), tool, intrinsics, missing))


# What perception_node and navigation_node do with the messages between them, without messages.
def seen_landmarks(found: Detections) -> dict[str, np.ndarray]:
    """Name -> (2,) pixel of the landmarks that are confident enough to be used."""
    return {
        name: pixel for name, pixel, visible in zip(found.landmark_names, found.landmarks, found.visible, strict=True)
        if visible
    }


def seen_manipulator(
    found: Detections, intrinsics: np.ndarray, diameter_mm: float
) -> tuple[SeenManipulator | None, str]:
    """The manipulator, where its mask and both of its ends were found; else None and why.

    Args:
        found: in the image.
        intrinsics: (3, 3) of it.
        diameter_mm: of the manipulator, whose width in the image tells its depth.
    """
    ends = [
        SeenEnd(pixel, visible, depth_from_width(intrinsics, diameter_mm, width_px))
        for (pixel, _, visible), width_px in zip(
            (found.landmark(name) for name in MANIPULATOR_LANDMARKS), (found.base_width_px, found.tip_width_px),
            strict=True,
        )
    ]
    return see_manipulator(found.pixels_of(MANIPULATOR), *ends)
