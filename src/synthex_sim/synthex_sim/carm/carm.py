"""CArm: a device profile and its positioner, from joint values to a View.

World frame: z up, x along the table towards the patient's head, y across it towards the patient's right (supine).
At zero joints the beam goes up (source below the table) and the picture is an AP view, patient's head at the top.

The chain is ``world -> carm_base`` (wheels: longitudinal, transverse) ``-> carm_isocenter`` (lift, in_out, wig_wag)
``-> carm_source_optical`` (angular about y, then orbital about the arm's own x axis)::

    R = Rz(wig_wag) Ry(angular) Rx(orbital),   source = isocentre - SAD * (R z)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from synthex_sim.carm.detector_settings import DetectorSettings
from synthex_sim.carm.grid_settings import GridSettings
from synthex_sim.carm.tube_settings import TubeSettings
from synthex_sim.carm.view import View, rigid_inverse
from synthex_sim.yaml_file import check_keys, read_mapping

#: Camera axes in the isocentre frame at zero angles: x to the patient's right, y to the feet, z up.
CAMERA_AXES = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class CArmJoints:
    """Where the positioner is. Lengths in millimetres, angles in degrees; signs as in the device profile."""

    longitudinal_mm: float = 0.0
    transverse_mm: float = 0.0
    lift_mm: float = 0.0
    in_out_mm: float = 0.0
    wig_wag_deg: float = 0.0
    angular_deg: float = 0.0
    orbital_deg: float = 0.0


@dataclass(frozen=True)
class CArm:
    """A C-arm device profile.

    Attributes:
        name: of the profile.
        shape: detector (rows, columns) at full resolution.
        pixel_spacing_mm: of the full-resolution detector.
        source_to_detector_mm: SDD.
        source_to_isocenter_mm: SAD.
        tube: X-ray tube settings.
        detector: how the flat panel responds.
        grid: the anti-scatter grid, or None.
        mas: default tube current-time product of one frame, mA s.
        limits: joint name -> (lower, upper), in the unit of the name.
        isocenter_height_mm: height of the isocentre over the floor at lift 0.
    """

    name: str
    shape: tuple[int, int]
    pixel_spacing_mm: float
    source_to_detector_mm: float
    source_to_isocenter_mm: float
    tube: TubeSettings
    detector: DetectorSettings
    grid: GridSettings | None
    mas: float
    limits: Mapping[str, tuple[float, float]]
    isocenter_height_mm: float

    @classmethod
    def from_yaml(cls, path: str | Path) -> CArm:
        """Reads a profile such as ``config/carm/cios_fusion.yaml``.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not YAML, or a key is missing, unknown or out of range; the message names it.
        """
        document = read_mapping(path, "C-arm profile")
        try:
            return cls._from_document(document)
        except (TypeError, ValueError) as error:
            raise ValueError(f"C-arm profile {path}: {error}") from error

    @classmethod
    def _from_document(cls, document: dict[str, Any]) -> CArm:
        sections = {
            "top level": (document, {"name", "detector", "detector_response", "anti_scatter_grid",
                                     "source_to_detector_mm",
                                     "source_to_isocenter_mm", "tube", "exposure", "positioner"}),
            "detector": (document.get("detector"), {"rows", "columns", "pixel_spacing_mm"}),
            "exposure": (document.get("exposure"), {"mas"}),
            "positioner": (document.get("positioner"), {"isocenter_height_mm", *(f.name for f in fields(CArmJoints))}),
        }
        for name, (section, known) in sections.items():
            check_keys(section, known, name)
        detector, positioner = document["detector"], document["positioner"]
        limits = {f.name: (float(positioner[f.name][0]), float(positioner[f.name][1])) for f in fields(CArmJoints)}
        for name, (low, high) in limits.items():
            if not -math.inf < low <= high < math.inf:
                raise ValueError(f"positioner: {name} must be [lower, upper], got [{low:g}, {high:g}]")
        profile = cls(
            name=str(document["name"]),
            shape=(_whole(detector["rows"], "detector: rows"), _whole(detector["columns"], "detector: columns")),
            pixel_spacing_mm=_positive(detector["pixel_spacing_mm"], "detector: pixel_spacing_mm"),
            source_to_detector_mm=_positive(document["source_to_detector_mm"], "source_to_detector_mm"),
            source_to_isocenter_mm=_positive(document["source_to_isocenter_mm"], "source_to_isocenter_mm"),
            tube=TubeSettings.from_section(document["tube"]),
            detector=DetectorSettings.from_section(
                document["detector_response"], _positive(detector["pixel_spacing_mm"], "detector: pixel_spacing_mm")
            ),
            grid=GridSettings.from_section(document["anti_scatter_grid"]),
            mas=_positive(document["exposure"]["mas"], "exposure: mas"),
            limits=limits,
            isocenter_height_mm=_positive(positioner["isocenter_height_mm"], "positioner: isocenter_height_mm"),
        )
        if min(profile.shape) < 2:
            raise ValueError(f"detector: rows and columns must be at least 2, got {profile.shape}")
        if not profile.source_to_isocenter_mm < profile.source_to_detector_mm:
            raise ValueError("the isocentre must lie between source and detector")
        return profile

    # -- read-out -------------------------------------------------------------------------------------------------
    def image_shape(self, rows: int) -> tuple[int, int]:
        """(rows, columns) of a picture of the whole detector read out with so many rows, its pixels square.

        Raises:
            ValueError: no whole number of columns goes with these rows; the message names the rows nearest to them.
        """
        common = math.gcd(*self.shape)
        step, columns = self.shape[0] // common, self.shape[1] // common
        if rows < 1 or rows % step:
            below = max(rows // step, 1) * step
            raise ValueError(
                f"the detector of {self.name} has {self.shape[0]} x {self.shape[1]} pixels: with square pixels a "
                f"picture has a multiple of {step} rows, {below} or {below + step} for example, not {rows}"
            )
        return rows, rows // step * columns

    # -- geometry -------------------------------------------------------------------------------------------------
    @property
    def intrinsics(self) -> np.ndarray:
        """(3, 3) pixel intrinsics at full resolution, first focal length negative (see ``View``)."""
        rows, cols = self.shape
        focal = self.source_to_detector_mm / self.pixel_spacing_mm
        return np.array([[-focal, 0, (cols - 1) / 2], [0, focal, (rows - 1) / 2], [0, 0, 1.0]])

    @property
    def rest(self) -> CArmJoints:
        """Joints at zero or where their limits let them come nearest to it, the arm half way out."""
        near_zero = {name: min(max(0.0, low), high) for name, (low, high) in self.limits.items()}
        return CArmJoints(**near_zero | {"in_out_mm": sum(self.limits["in_out_mm"]) / 2})

    def base_pose(self, joints: CArmJoints) -> np.ndarray:
        """(4, 4) carm_base in the world, millimetres."""
        pose = np.eye(4)
        pose[:2, 3] = joints.longitudinal_mm, joints.transverse_mm
        return pose

    def isocenter_pose(self, joints: CArmJoints) -> np.ndarray:
        """(4, 4) carm_isocenter in the world, millimetres; turned by wig_wag only."""
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_euler("z", joints.wig_wag_deg, degrees=True).as_matrix()
        pose[:3, 3] = (
            joints.longitudinal_mm,
            joints.transverse_mm + joints.in_out_mm,
            self.isocenter_height_mm + joints.lift_mm,
        )
        return pose

    def source_pose(self, joints: CArmJoints) -> np.ndarray:
        """(4, 4) carm_source_optical in the world, millimetres."""
        camera = np.eye(4)
        camera[:3, :3] = _arm_rotation(joints) @ CAMERA_AXES
        camera[:3, 3] = -self.source_to_isocenter_mm * camera[:3, 2]
        return self.isocenter_pose(joints) @ camera

    def view(self, joints: CArmJoints) -> View:
        """The exposure's geometry at these joints, full detector resolution.

        Raises:
            ValueError: a joint is outside its limits or not finite.
        """
        self.check_limits(joints)
        return View(self.intrinsics, rigid_inverse(self.source_pose(joints)), self.shape, self.pixel_spacing_mm)

    def check_limits(self, joints: CArmJoints) -> None:
        """Raises ValueError naming the first joint outside its limits."""
        for name, (low, high) in self.limits.items():
            value = getattr(joints, name)
            if not low - 1e-6 <= value <= high + 1e-6:
                raise ValueError(f"C-arm joint {name} = {value:.1f} is outside its limits [{low:g}, {high:g}]")

    def aim(self, target: ArrayLike, source_to_target_mm: float, orbital_deg: float, angular_deg: float) -> CArmJoints:
        """Joints that put a world point on the central ray at a given distance from the source.

        The arm's in_out stays in the middle of its range and the wheels do the rest, as an operator would roll the
        device.

        Args:
            target: (3,) world millimetres.

        Raises:
            ValueError: the pose is outside the device's limits, or the target not between source and detector.
        """
        if not 0.0 < source_to_target_mm < self.source_to_detector_mm:
            raise ValueError(
                f"the target must lie between source and detector, 0 to {self.source_to_detector_mm:g} mm from the "
                f"source, got {source_to_target_mm:g} mm"
            )
        in_out = sum(self.limits["in_out_mm"]) / 2
        turned = replace(CArmJoints(), orbital_deg=float(orbital_deg), angular_deg=float(angular_deg))
        beam = _arm_rotation(turned) @ CAMERA_AXES[:, 2]
        isocenter = np.asarray(target, dtype=np.float64) - beam * (source_to_target_mm - self.source_to_isocenter_mm)
        joints = replace(
            turned,
            longitudinal_mm=float(isocenter[0]),
            transverse_mm=float(isocenter[1] - in_out),
            in_out_mm=in_out,
            lift_mm=float(isocenter[2] - self.isocenter_height_mm),
        )
        self.check_limits(joints)
        return joints


def _positive(value: Any, name: str) -> float:
    number = float(value)
    if not 0.0 < number < math.inf:
        raise ValueError(f"{name} must be positive and finite, got {value}")
    return number


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not float(value).is_integer():
        raise ValueError(f"{name} must be a whole number, got {value}")
    return int(value)


def _arm_rotation(joints: CArmJoints) -> np.ndarray:
    """(3, 3) rotation of the C within the isocentre frame: Ry(angular) Rx(orbital)."""
    return Rotation.from_euler("YX", [joints.angular_deg, joints.orbital_deg], degrees=True).as_matrix()
