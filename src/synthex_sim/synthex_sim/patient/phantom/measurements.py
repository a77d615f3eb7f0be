"""What an anatomist would measure on the bones of a person: from their surfaces, not from the drawn numbers.

Which part of a surface is meant (the neck, the end plate of S1, ...) is known from the mean bone; where it lies is
that of the person's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from synthex_sim.patient.phantom import (
    femur,
    femur_surface,
    hip_bone,
    hip_landmarks,
    hip_surface,
    sacrum,
    sacrum_surface,
)
from synthex_sim.patient.phantom.closed_mesh import Subdivision
from synthex_sim.patient.phantom.frame import Pelvis


@dataclass(frozen=True)
class Measurements:
    """Of one person; pairs are left, right.

    Attributes:
        inter_asis_mm: between the anterior superior iliac spines.
        inter_hip_mm: between the centres of the femoral heads.
        conjugate_mm: promontory to the nearest place of the symphysis' upper end.
        transverse_inlet_mm: greatest width of the pelvic inlet.
        subpubic_angle_deg: between the inner borders of the inferior pubic rami as seen from the front.
        sacral_slope_deg: end plate of S1 against the horizontal (a supine person's transverse plane).
        head_diameter_mm: sphere fitted to the femoral head.
        neck_shaft_deg: between the axes of neck and shaft.
        anteversion_deg: neck forward of the knee's axis, about the shaft.
        offset_mm: head centre from the shaft's axis.
    """

    inter_asis_mm: float
    inter_hip_mm: float
    conjugate_mm: float
    transverse_inlet_mm: float
    subpubic_angle_deg: float
    sacral_slope_deg: float
    head_diameter_mm: tuple[float, float]
    neck_shaft_deg: tuple[float, float]
    anteversion_deg: tuple[float, float]
    offset_mm: tuple[float, float]


def measure(pelvis: Pelvis) -> Measurements:
    """Measures one person's bones."""
    points = hip_landmarks.landmarks(pelvis)
    frame = hip_landmarks.anterior_pelvic_plane(points)
    hips = [hip_bone.surface(pelvis, side)[0] @ frame for side in (1, -1)]
    plate, lip = (sacrum.surface(pelvis)[0][part] for part in _sacrum_parts())
    top = 0.5 * (points["SPS-l"] + points["SPS-r"])
    pubis = np.concatenate(hips)
    pubis = pubis[np.linalg.norm(pubis - top @ frame, axis=1) < 14.0] @ frame.T
    femora = [_femur(pelvis, side) for side in (1, -1)]
    return Measurements(
        float(np.linalg.norm(points["ASIS-l"] - points["ASIS-r"])),
        float(np.linalg.norm(points["FH-l"] - points["FH-r"])),
        float(np.linalg.norm(lip[:, None] - pubis[None], axis=2).min()),
        _inlet_width(hips),
        sum(_ramus_lean_deg(hip, side) for hip, side in zip(hips, (1, -1), strict=True)),
        _slope_deg(plate),
        *zip(*femora, strict=True),
    )


@cache
def _hip_parts() -> tuple[np.ndarray, np.ndarray]:
    """Each vertex' place along the pelvic brim (-1 elsewhere); vertices of the inferior pubic ramus."""
    mean = Subdivision(hip_surface.FACES, len(hip_surface.POINTS), 2)(hip_surface.POINTS)
    x, y, z = mean.T
    height = np.interp(z, hip_bone.BRIM[:, 2], hip_bone.BRIM[:, 1])
    near = (np.abs(y - height) < 8.0) & (z > -100) & (z < 10)
    brim = np.where(near, ((z + 100) // 8).astype(int), -1)
    return brim, (x < 55) & (y < -119) & (y > -143) & (z > -45)


@cache
def _sacrum_parts() -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the S1 end plate and of its anterior lip."""
    rule = Subdivision(sacrum_surface.FACES, len(sacrum_surface.POINTS), 2)
    mean = rule(sacrum_surface.POINTS)
    lean = np.radians(sacrum.S1_LEAN_DEG)
    normal = np.array([0.0, np.cos(lean), np.sin(lean)])
    off = mean - sacrum.S1_PLATE
    plate = (np.abs(off @ normal) < 4.0) & (np.linalg.norm(off, axis=1) < 14.0)
    return plate, (np.abs(mean[:, 0]) < 8.0) & (mean[:, 2] > -85.0)


@cache
def _femur_parts() -> tuple[np.ndarray, ...]:
    """Vertices of head, neck, and the shaft higher up and lower down; and each vertex' share of the surface."""
    rule = Subdivision(femur_surface.FACES, len(femur_surface.POINTS), 2)
    mean = rule(femur_surface.POINTS)
    a, b, c = (mean[rule.faces[:, k]] for k in range(3))
    area = np.bincount(rule.faces.ravel(), np.repeat(np.linalg.norm(np.cross(b - a, c - a), axis=1), 3), len(mean))
    along = mean @ np.array([0.747, -0.665, 0.0])
    near = np.linalg.norm(mean, axis=1)
    head = (near < 24.5) & (mean[:, 0] < 4)
    neck = (along > 24) & (along < 34) & (np.linalg.norm(mean - np.outer(along, (0.747, -0.665, 0)), axis=1) < 22)
    bands = [(mean[:, 1] > low) & (mean[:, 1] < low + 20) for low in (-105, -165)]
    return head, neck, *bands, area


def _inlet_width(hips: list[np.ndarray]) -> float:
    """Between the innermost places of left and right brim, where they are farthest apart."""
    brim = _hip_parts()[0]
    places = np.arange(brim.max() + 1)
    return float(max(hips[0][brim == n, 0].min() - hips[1][brim == n, 0].max() for n in places if (brim == n).any()))


def _ramus_lean_deg(hip: np.ndarray, side: int) -> float:
    """Lean of the inner border of the ramus against the midline, from the front."""
    x, y = hip[_hip_parts()[1], :2].T
    lateral, level = side * x, np.round(y / 2.0)
    inner = np.array([(y[level == n].mean(), lateral[level == n].min()) for n in np.unique(level)])
    return float(np.degrees(np.arctan(-np.polyfit(inner[:, 0], inner[:, 1], 1)[0])))


def _slope_deg(plate: np.ndarray) -> float:
    normal = np.linalg.svd(plate - plate.mean(axis=0), full_matrices=False)[2][2]
    normal *= np.sign(normal[2])
    return float(np.degrees(np.arctan2(-normal[1], normal[2])))


def _femur(pelvis: Pelvis, side: int) -> tuple[float, float, float, float]:
    """Head diameter, neck-shaft angle, anteversion, offset."""
    points = femur.surface(pelvis, side)[0]
    head, neck, upper, lower, area = _femur_parts()
    fit = np.linalg.lstsq(np.column_stack([2 * points[head], np.ones(head.sum())]),
                          (points[head] ** 2).sum(axis=1), rcond=None)[0]  # fmt: skip
    center = fit[:3]
    middle = lambda part: area[part] @ points[part] / area[part].sum()  # noqa: E731
    shaft = middle(lower) - middle(upper)
    shaft /= np.linalg.norm(shaft)
    toward_head = center - middle(neck)
    toward_head /= np.linalg.norm(toward_head)
    lateral, _, anterior = femur.axes(pelvis.person.femurs[0 if side > 0 else 1], side).T
    across = toward_head - shaft * (toward_head @ shaft)
    offset = center - middle(upper)
    offset -= shaft * (offset @ shaft)
    return (
        2 * float(np.sqrt(fit[3] + center @ center)),
        float(np.degrees(np.arccos(toward_head @ shaft))),
        float(np.degrees(np.arctan2(across @ anterior, -(across @ lateral)))),
        float(np.linalg.norm(offset)),
    )
