#!/usr/bin/env python3
"""Found landmarks on the bones' surfaces and on an AP radiograph: the picture of docs/landmarks.md.

    tools/run_in_workspace tools/pictures/landmarks.py [--patient phantom:1005]
    tools/run_in_workspace tools/pictures/landmarks.py --patient CT --labels MAP --label-scheme NAME --out look.png

Red circles are what was found; green crosses are the exact landmarks of a phantom, or those marked in a file of 3D
Slicer. Research and simulation only, not a medical device.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage
from sheet import save, sheet

from synthex_sim import anatomy
from synthex_sim.carm.carm import CArm
from synthex_sim.carm.film import film_view
from synthex_sim.patient.landmarks.bone_shape import BoneShape, bone_shape
from synthex_sim.patient.landmarks.find import find_landmarks
from synthex_sim.patient.landmarks.of_patient import read_marked
from synthex_sim.patient.landmarks.pelvic_frame import PelvicFrame, fitted_frame
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.source import load_patient
from synthex_sim.xray.physics import Physics
from synthex_sim.xray.radiograph import Exposure
from synthex_sim.xray.scene import Scene
from synthex_sim.xray.simulator import XraySimulator

REPOSITORY = Path(__file__).resolve().parents[2]
_SIDE, _STEP_MM = 480, 0.6
_LIGHT = np.array([-0.4, -0.5, 0.77])
_FOUND, _EXACT = (255, 60, 40), (60, 255, 90)
_HIPS = {"l": anatomy.LEFT_HEMIPELVIS, "r": anatomy.RIGHT_HEMIPELVIS}
#: How much of the line integral's coarse part is taken out of the radiograph, over which mm, and the window.
_COMPRESSION, _COARSE_MM, _WINDOW = 0.6, 20.0, (0.4, 2.4)


@dataclass(frozen=True, eq=False)
class Look:
    """One way to look at the pelvis.

    Attributes:
        name: of the picture.
        axes: (3, 3) rows right, up and towards the viewer in the pelvic frame.
        middle: (3,) mm in that frame.
        sides: whose bones and landmarks are shown.
    """

    name: str
    axes: np.ndarray
    middle: np.ndarray
    sides: str


def looks() -> list[Look]:
    """From the front, and each hip bone from lateral and from medial."""
    x, y, z = np.eye(3)
    middle = np.array([0.0, -50.0, -50.0])
    return [
        Look("from the front", np.array([x, y, z]), middle, "lr"),
        Look("left, lateral", np.array([-z, y, x]), middle + 85.0 * x, "l"),
        Look("left, medial", np.array([z, y, -x]), middle + 85.0 * x, "l"),
        Look("right, lateral", np.array([z, y, -x]), middle - 85.0 * x, "r"),
        Look("right, medial", np.array([-z, y, x]), middle - 85.0 * x, "r"),
    ]


def surface_picture(
    bones: Mapping[str, BoneShape], frame: PelvicFrame, look: Look, groups: list[tuple[Mapping[str, np.ndarray], tuple]]
) -> np.ndarray:
    """(R, C, 3) uint8: the surface that is met first, lit from the upper left of the viewer, with points on it."""
    half, reach = frame.half(1), _SIDE * _STEP_MM / 2
    depth = 130.0
    steps = np.stack([look.axes[0], -look.axes[1], -look.axes[2]]) * _STEP_MM  # column, row, away from the viewer
    corner = look.middle + (-look.axes[0] + look.axes[1]) * reach + look.axes[2] * depth
    shape = (_SIDE, _SIDE, int(2 * depth / _STEP_MM))
    occupancy = np.zeros(shape, np.float32)
    for side in look.sides:
        seen = bones[side].sample_lattice(half.lps(corner), half.axes @ steps.T, shape)
        np.maximum(occupancy, seen, out=occupancy)
    picture = np.repeat(_shaded(occupancy).T[..., None], 3, axis=2)
    for points, color in groups:
        for name, point in points.items():
            if name[-1] in look.sides:
                offset = half.local(point) - corner
                _mark(picture, offset @ look.axes[0] / _STEP_MM, -offset @ look.axes[1] / _STEP_MM, name, color)
    return picture


def _shaded(occupancy: np.ndarray) -> np.ndarray:
    """(A, B) uint8: brightness by the slope of what is met first along the last axis; 0 where nothing is."""
    inside = occupancy > 0.5
    hit = inside.any(axis=2)
    first = np.where(hit, inside.argmax(axis=2), occupancy.shape[2] - 1)
    behind = np.take_along_axis(occupancy, first[..., None], 2)[..., 0]
    before = np.take_along_axis(occupancy, np.maximum(first - 1, 0)[..., None], 2)[..., 0]
    depth = first - np.clip((behind - 0.5) / np.maximum(behind - before, 1e-6), 0, 1)
    slope = np.gradient(ndimage.gaussian_filter(depth, 1.0))
    normal = np.stack([*slope, np.ones_like(depth)], axis=2)
    light = (normal @ _LIGHT) / np.linalg.norm(normal, axis=2)
    far = 1 - 0.35 * (depth - depth[hit].min()) / max(1.0, np.ptp(depth[hit]))
    return np.where(hit, 255 * np.clip(0.12 + 0.88 * light, 0, 1) * far, 0).astype(np.uint8)


def radiograph_picture(patient: Patient, groups: list[tuple[Mapping[str, np.ndarray], tuple]]) -> np.ndarray:
    """(R, C, 3) uint8: an AP radiograph with points projected by its own view."""
    view = film_view(patient.reference_point() + (0.0, 0.0, 25.0), _SIDE)
    simulator = XraySimulator(CArm.from_yaml(REPOSITORY / "config" / "carm" / "cios_fusion.yaml"))
    image, _ = simulator.acquire(
        Scene(patient, np.eye(4)), view, Exposure(80.0, 20.0), Physics(noise=False, grid=True), 1, 0
    )
    lines = -np.log(np.maximum(image.transmission, 1e-6)).astype(np.float32)
    fine = lines - _COMPRESSION * ndimage.gaussian_filter(lines, _COARSE_MM / view.pixel_spacing_mm)
    low, high = _WINDOW
    picture = np.repeat((255 * np.clip((fine - low) / (high - low), 0, 1)).astype(np.uint8)[..., None], 3, axis=2)
    for points, color in groups:
        for name, point in points.items():
            (column, row), _ = view.project(point)
            _mark(picture, column, row, name, color)
    return picture


def _mark(picture: np.ndarray, column: float, row: float, name: str, color: tuple) -> None:
    at = (round(float(column)), round(float(row)))
    if color == _EXACT:
        cv2.drawMarker(picture, at, color, cv2.MARKER_CROSS, 11, 1, cv2.LINE_AA)
        return
    cv2.circle(picture, at, 5, color, 1, cv2.LINE_AA)
    cv2.putText(picture, name, (at[0] + 7, at[1] - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.36, color, 1, cv2.LINE_AA)


def draw(patient: Patient, exact: Mapping[str, np.ndarray]) -> np.ndarray:
    """All pictures of a patient with a label map; ``exact``: name -> (3,) LPS mm, may be empty.

    Raises:
        ValueError: there are too few landmarks to say how the pelvis lies.
    """
    found = find_landmarks(patient.labels, patient.affine)
    for name, reason in found.refused.items():
        print(f"{name}: {reason}")
    for name in sorted(set(found.points) & set(exact)):
        print(f"{name}: {np.linalg.norm(found.points[name] - exact[name]):.1f} mm apart")
    frame = found.frame or fitted_frame(found.points)
    if frame is None:
        raise ValueError("there are too few landmarks to say how the pelvis lies")
    boxes = ndimage.find_objects(patient.labels)
    bones = {
        side: _scanned(bone_shape(patient.labels, label, patient.affine, boxes[label - 1]), patient)
        for side, label in _HIPS.items()
    }
    groups = [(found.points, _FOUND), (exact, _EXACT)]
    pictures = [(look.name, surface_picture(bones, frame, look, groups)) for look in looks()]
    return sheet([pictures[0], ("AP radiograph", radiograph_picture(patient, groups)), *pictures[1:]], columns=2)


def _scanned(bone: BoneShape, patient: Patient) -> BoneShape:
    """The bone without what continues it where the scan cut it off."""
    to_voxels = np.linalg.inv(patient.affine) @ bone.affine
    index = np.moveaxis(np.indices(bone.occupancy.shape, dtype=np.float32), 0, -1)
    voxels = index @ to_voxels[:3, :3].T + to_voxels[:3, 3]
    inside = ((voxels > -0.5) & (voxels < np.array(patient.hu.shape) - 0.5)).all(axis=-1)
    return BoneShape(np.where(inside, bone.occupancy, 0).astype(np.float32), bone.affine)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patient", default="phantom:1005", help="phantom:SEED or a CT")
    parser.add_argument("--labels", default="", help="the CT's label map")
    parser.add_argument("--label-scheme", default="", help="what its ids mean")
    parser.add_argument("--landmarks", default="", help="landmarks marked on a CT, to compare with")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "images" / "landmarks.png")
    options = parser.parse_args()
    patient = load_patient(options.patient, options.labels, options.label_scheme, str(REPOSITORY / "config" / "labels"))
    if patient is None or patient.labels is None:
        parser.error(f"{options.patient} has no label map; name one by --labels")
    exact = patient.landmarks if options.patient.startswith("phantom:") else read_marked(options.landmarks)
    save(options.out, draw(patient, exact), most_kb=600)
    print(options.out)


if __name__ == "__main__":
    main()
