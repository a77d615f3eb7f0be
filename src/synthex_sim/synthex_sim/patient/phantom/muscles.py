"""The muscles of hip, thigh and back, each with a rim of fat that parts it from those under it."""

from __future__ import annotations

import numpy as np

from synthex_sim.patient.phantom import shapes
from synthex_sim.patient.phantom.muscle_shapes import RIBBONS, ribbon_faces
from synthex_sim.patient.phantom.posture import DISTAL, Posture
from synthex_sim.patient.phantom.soft_parameters import SoftTissue
from synthex_sim.patient.phantom.tissue import MUSCLE_HU, blend_smooth, lattice, lattice_step

_OF_THE_TRUNK = ("psoas", "erector_spinae", "quadratus_lumborum")
#: How far the muscles of the back go on above the last section that was measured, mm.
_ONWARD_MM = 60.0
# What goes on below the last section that was measured: radius there against that section's, how much nearer to the
# femur, mm; and how far down.
_DOWN_THE_THIGH = {
    "adductors": (0.8, 20.0),
    "biceps_femoris": (1.25, 0.0),
    "gracilis": (0.9, 32.0),
    "rectus_femoris": (1.2, 0.0),
    "sartorius": (1.0, 0.0),
    "semimembranosus": (1.6, 8.0),
    "semitendinosus": (0.9, 4.0),
    "vastus_lateralis": (0.95, 0.0),
    "vastus_medialis": (1.9, 0.0),
}
_THIGH_MM = 150.0
# The measured legs lay apart and were thin: towards the midline at the femur, mm, and radius against the table.
_INWARD = {
    "adductors": (14.0, 1.25),
    "gracilis": (26.0, 1.3),
    "semimembranosus": (8.0, 1.2),
    "semitendinosus": (6.0, 1.2),
}


def placed_muscles(posture: Posture, soft: SoftTissue, rng: np.random.Generator) -> list[tuple]:
    """Every muscle of both sides, deepest first.

    Returns:
        list of (name, (N, 3) LPS mm, (N,) radii mm, (T, 3) faces).
    """
    size = float(posture.pelvis.person.scale.mean()) * soft.girth
    muscles = []
    for name in sorted(RIBBONS, key=_depth):
        ribbon = RIBBONS[name]
        trunk = name in _OF_THE_TRUNK
        if trunk:
            onward = ribbon[-1:].copy()
            onward[..., 1] += _ONWARD_MM
            ribbon = np.concatenate([ribbon, onward])
        if name in _DOWN_THE_THIGH:
            onward = ribbon[:1].copy()
            grows, outward = _DOWN_THE_THIGH[name]
            onward[..., :3] += _THIGH_MM * DISTAL
            onward[..., 0] += outward
            onward[..., 3] *= grows
            onward[..., 4] = 1.0
            ribbon = np.concatenate([onward, ribbon])
        rows = ribbon.reshape(-1, 5).copy()
        inward, wider = _INWARD.get(name, (0.0, 1.06))
        rows[:, 0] -= inward * rows[:, 4]
        rows[:, 3] *= wider
        faces = ribbon_faces(*ribbon.shape[:2])
        for side in (1, -1):
            points = posture.place(rows[:, :3], side, rows[:, 4], trunk)
            own = np.clip(rng.normal(1.0, 0.04), 0.9, 1.1)  # no two muscles are alike
            muscles.append((name, points, rows[:, 3] * size * own, faces))
    return muscles


def _depth(name: str) -> int:
    """Rank from deep to superficial: a later muscle lies on an earlier one and keeps its fat plane."""
    deep = ("quadratus_lumborum", "psoas", "iliacus", "obturator_internus", "piriformis", "obturator_externus",
            "adductors", "gluteus_minimus", "pectineus", "vastus_medialis", "gluteus_medius",
            "vastus_lateralis")  # fmt: skip
    return deep.index(name) if name in deep else len(deep)


def add_muscles(hu: np.ndarray, grid: shapes.Grid, muscles: list[tuple], soft: SoftTissue, strands: np.ndarray) -> None:
    """Writes muscles (of ``placed_muscles``) into the float32 volume; ``strands`` is periodic noise, see ``tissue``."""
    step = lattice_step(grid)
    value = MUSCLE_HU + 6.0 * soft.lean
    streak = 22.0 * (1.3 - soft.lean)
    for _, points, radii, faces in muscles:
        block, part = grid.block(*shapes.bounds(points, radii, soft.fat_plane_mm + 1.0))
        coarse = shapes.sphere_mesh(lattice(part, step), points, radii, faces)
        blend_smooth(hu, block, grid, coarse, step, value, rim_mm=soft.fat_plane_mm, strands=strands, streak=streak)
