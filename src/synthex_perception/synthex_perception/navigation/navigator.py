"""From what a network saw in one image to where pelvis and manipulator are, and whether a robot may act on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from cm_kinematics.geometry import CmGeometry
from synthex_perception.navigation.cm_position import (
    CmPosition,
    CmPositionModel,
    SeenManipulator,
    locate_manipulator,
)
from synthex_perception.navigation.pelvis_pose import PelvisPose, PoseError, estimate_pelvis_pose


class NavigationState(StrEnum):
    """Whether a controller may move on what navigation says.

    Without the manipulator there is nothing to steer. Without the pelvis there is nothing to steer to, if there is a
    plan: a controller under way to a planned target must stop. If there is no plan, no target can be meant, and the
    manipulator may still be moved in the C-arm's frame; that there is no pelvis stays in the reason.
    """

    TRACKING = "tracking"  # pelvis and manipulator are known as well as the limits demand
    UNCERTAIN = "uncertain"  # one of them is not known well enough, or there is no plan and so no pelvis
    LOST = "lost"  # the manipulator is not known, or the pelvis is not although there is a plan


@dataclass(frozen=True)
class NavigationLimits:
    """What is known well enough; standard deviations.

    Attributes:
        rotation_deg: of the pelvis, about its worst axis.
        lateral_mm: of pelvis landmarks' middle and tip, across the beam, worst direction.
        residual_px: root mean square of the landmarks that the pelvis' pose was fitted to.
    """

    rotation_deg: float = 5.0
    lateral_mm: float = 8.0
    residual_px: float = 6.0


@dataclass(frozen=True, eq=False)
class Navigation:
    """What one image told.

    Attributes:
        state: for controllers.
        reason: for people, empty while tracking.
        pelvis: the pelvis' pose, None if unknown.
        manipulator: base and tip, None if unknown.
    """

    state: NavigationState
    reason: str
    pelvis: PelvisPose | None
    manipulator: CmPosition | None


class Navigator:
    """Pelvis and manipulator in the C-arm's frame, image by image; nothing is remembered from one to the next.

    Args:
        plan: name -> (3,) planned landmarks in patient LPS millimetres, from the patient's CT.
        geometry: the manipulator.
        limits, model: see there.
    """

    def __init__(
        self, plan: Mapping[str, np.ndarray], geometry: CmGeometry, limits: NavigationLimits = NavigationLimits(),
        model: CmPositionModel = CmPositionModel(),
    ) -> None:
        self._plan = {name: np.asarray(point, dtype=np.float64) for name, point in plan.items()}
        self._geometry = geometry
        self._limits = limits
        self._model = model

    def navigate(
        self, landmarks: Mapping[str, np.ndarray], manipulator: SeenManipulator | None, intrinsics: np.ndarray,
        missing: str = "not found in the image",
    ) -> Navigation:
        """Args:
        landmarks: name -> (2,) pixel of the landmarks that were seen confidently.
        manipulator: what was seen of it, None if it was not found.
        intrinsics: (3, 3) of the image.
        missing: why there is no manipulator, if there is none.
        """
        lost, uncertain = [], []
        pelvis, tool = None, None
        if not self._plan:
            uncertain.append("pelvis: unknown, the plan holds no landmarks of this patient")
        else:
            try:
                pelvis = self._pelvis(landmarks, intrinsics)
                uncertain += self._doubts_about_pelvis(pelvis)
            except PoseError as error:
                lost.append(f"pelvis: {error}")
        if manipulator is None:
            lost.append(f"manipulator: {missing}")
        else:
            tool = locate_manipulator(manipulator, intrinsics, self._geometry, self._model)
            lateral = _lateral_sd(tool.tip_covariance, tool.tip_mm)
            if lateral > self._limits.lateral_mm:
                uncertain.append(f"manipulator: tip known to {lateral:.1f} mm across the beam")
        if lost:
            return Navigation(NavigationState.LOST, "; ".join(lost + uncertain), pelvis, tool)
        state = NavigationState.UNCERTAIN if uncertain else NavigationState.TRACKING
        return Navigation(state, "; ".join(uncertain), pelvis, tool)

    def _pelvis(self, landmarks: Mapping[str, np.ndarray], intrinsics: np.ndarray) -> PelvisPose:
        names = [name for name in landmarks if name in self._plan]
        return estimate_pelvis_pose(
            np.array([self._plan[name] for name in names]).reshape(-1, 3),
            np.array([landmarks[name] for name in names]).reshape(-1, 2),
            intrinsics,
        )

    def _doubts_about_pelvis(self, pelvis: PelvisPose) -> list[str]:
        doubts = []
        turn = math.degrees(math.sqrt(np.linalg.eigvalsh(pelvis.covariance[3:, 3:])[-1]))
        if turn > self._limits.rotation_deg:
            doubts.append(f"pelvis: turn known to {turn:.1f} deg")
        middle = np.mean(list(self._plan.values()), axis=0)
        covariance, at = pelvis.position_covariance(middle), pelvis.transform(middle)
        if (lateral := _lateral_sd(covariance, at)) > self._limits.lateral_mm:
            doubts.append(f"pelvis: known to {lateral:.1f} mm across the beam")
        if pelvis.residual_px > self._limits.residual_px:
            doubts.append(f"pelvis: landmarks lie {pelvis.residual_px:.1f} px from where its pose puts them")
        return doubts


def _lateral_sd(covariance: np.ndarray, at_mm: np.ndarray) -> float:
    """Worst standard deviation across the ray to a point, mm."""
    ray = at_mm / np.linalg.norm(at_mm)
    across = np.eye(3) - np.outer(ray, ray)
    return math.sqrt(max(0.0, np.linalg.eigvalsh(across @ covariance @ across)[-1]))
