#!/usr/bin/env python3
"""How far the phantom's bones are from real ones: surface distance to samples of a shape model.

    tools/run_in_workspace tools/benchmarks/shape_distance.py FOLDER [--phantoms 6 --samples 6]

FOLDER holds LeftHip.h5, RightHip.h5 and Sacrum.h5 in the statismo layout. Each phantom's bone is compared with each
sample after similarity alignment (turn, one size, shift, by closest points both ways). A pair's distance is taken both
ways over both surfaces: median and 95th percentile. The table gives the median of the pairs, and the smallest and
largest. Samples are compared with each other in the same way, which is how much real bones differ. The model's sacrum
is S1 to S3: of the phantom's the same part is taken.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from skimage.measure import marching_cubes

from synthex_sim.patient.phantom import hip_bone, sacrum, shapes
from synthex_sim.patient.phantom.frame import Pelvis
from synthex_sim.patient.phantom.parameters import draw_person
from synthex_sim.patient.shape_model.alignment import align_surfaces, finer, surface_distances
from synthex_sim.patient.shape_model.statismo import read_statismo
from synthex_sim.random_streams import Purpose, stream

_SPACING_MM = 1.2
_SPARSE = 2500
_BONES = (("left hip bone", "LeftHip.h5"), ("right hip bone", "RightHip.h5"), ("sacrum S1-S3", "Sacrum.h5"))


def phantom_bone(name: str, seed: int) -> np.ndarray:
    """(N, 3) LPS mm, points of the surface of one phantom's bone."""
    pelvis = Pelvis.of(draw_person(seed, stream(seed, 0, Purpose.ANATOMY)))
    low, high = np.array([-190.0, -140, -120]), np.array([190.0, 150, 170])
    if name.startswith("left"):
        low[0] = -15.0
    if name.startswith("right"):
        high[0] = 15.0
    grid = shapes.Grid(low, _SPACING_MM, tuple(int(n) for n in (high - low) / _SPACING_MM))
    if name.startswith("sacrum"):
        _, part, field, upper = sacrum.build(pelvis, grid)[:4]
        field = np.where(upper, field, np.float32(shapes.REACH_MM))
    else:
        _, part, field = hip_bone.build(pelvis, 1 if name.startswith("left") else -1, grid)[:3]
    points, faces, _, _ = marching_cubes(np.pad(field, 1, constant_values=shapes.REACH_MM), 0.0)
    return points * _SPACING_MM + part.origin_mm - _SPACING_MM


def distance_mm(bone: np.ndarray, shape: np.ndarray, faces: np.ndarray) -> tuple[float, float]:
    """Median and 95th percentile of the distances between a bone, mm, and an aligned sample of any unit."""
    aligned = align_surfaces(_thinned(shape), _thinned(bone))
    distance = surface_distances(finer(aligned(shape), faces, 1)[0], bone)
    return float(np.median(distance)), float(np.percentile(distance, 95))


def _thinned(points: np.ndarray) -> np.ndarray:
    return points[:: max(1, len(points) // _SPARSE)]


def _row(name: str, pairs: list[tuple[float, float]]) -> str:
    medians, ends = np.array(pairs).T
    return (f"{name:34s} median {np.median(medians):5.2f} ({medians.min():.2f} to {medians.max():.2f})   "
            f"95 % {np.median(ends):5.2f} ({ends.min():.2f} to {ends.max():.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with the shape models")
    parser.add_argument("--phantoms", type=int, default=6, help="seeds 0, 1, ...")
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--out", type=Path, help="a text file for the table")
    options = parser.parse_args()
    lines = [f"{options.phantoms} phantoms x {options.samples} samples, mm, after similarity alignment"]
    for name, file in _BONES:
        model = read_statismo(options.folder / file)
        rng = stream(0, 0, Purpose.ANATOMY)
        samples = [model.shape(model.draw(rng)) for _ in range(options.samples)]
        bones = [phantom_bone(name, seed) for seed in range(options.phantoms)]
        lines.append(_row(name, [distance_mm(bone, shape, model.faces) for bone in bones for shape in samples]))
        # samples against each other, in the size of the first phantom's bone
        sized = [finer(align_surfaces(_thinned(s), _thinned(bones[0]))(s), model.faces, 1)[0] for s in samples]
        others = [(n, m) for n in range(len(sized)) for m in range(n)]
        lines.append(_row("  samples among themselves",
                          [distance_mm(sized[n], samples[m], model.faces) for n, m in others]))
        print("\n".join(lines[-2:]), flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
