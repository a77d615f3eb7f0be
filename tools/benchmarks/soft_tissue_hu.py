#!/usr/bin/env python3
"""Do fat, muscle and gas of the phantoms have the Hounsfield units of a real CT, and its body the same thickness?

    tools/run_in_workspace tools/benchmarks/soft_tissue_hu.py --real PATIENT[,LABELS,SCHEME] [--count 8]

For each patient, within the body but outside of bone, on voxels of about 3 mm: the two peaks of the histogram (fat
below -30 HU, muscle above) and their half widths at half height, the share of the body that is fat, muscle and gas,
depth and width of the body at the hip joints, and the distance of the histogram to the first patient's (first
Wasserstein distance between -250 and 250 HU).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy import ndimage, stats

from synthex_sim import anatomy
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.source import load_patient

REPOSITORY = Path(__file__).resolve().parents[2]
_VOXEL_MM, _RANGE_HU, _BODY_HU = 3.0, (-250, 250), -400


def coarse(patient: Patient) -> tuple[np.ndarray, np.ndarray]:
    """HU as means over blocks of about 3 mm (float64), and where there is no bone in or next to a block."""
    n = np.maximum(1, np.rint(_VOXEL_MM / patient.spacing_mm).astype(int))
    size = (np.array(patient.hu.shape) // n) * n
    cut = tuple(slice(0, s) for s in size)
    blocks = [k for s, m in zip(size, n, strict=True) for k in (s // m, m)]
    hu = patient.hu[cut].reshape(blocks).mean(axis=(1, 3, 5))
    bone = patient.hu[cut] > 250
    if patient.labels is not None:
        bone |= np.isin(patient.labels[cut], anatomy.BONE_LABELS)
    return hu, ~ndimage.binary_dilation(bone.reshape(blocks).any(axis=(1, 3, 5)))


def peak(values: np.ndarray, low: int, high: int) -> tuple[float, float]:
    """HU of the greatest bin and half of the width at half of its height."""
    counts = ndimage.gaussian_filter1d(np.histogram(values, np.arange(low, high + 1))[0].astype(float), 3.0)
    top = int(np.argmax(counts))
    above = np.flatnonzero(counts >= counts[top] / 2)
    return low + top + 0.5, 0.5 * float(above[-1] - above[0] + 1)


def row(patient: Patient) -> tuple[list[float], np.ndarray]:
    """The figures of one patient, and its soft tissue's values between -250 and 250 HU."""
    hu, free = coarse(patient)
    pieces, _ = ndimage.label(hu > _BODY_HU)
    shell = pieces == np.argmax(np.bincount(pieces.ravel())[1:]) + 1
    body = np.stack([ndimage.binary_fill_holes(shell[:, :, k]) for k in range(shell.shape[2])], axis=2)
    values = hu[body & free]
    fat, fat_width = peak(values, -180, -30)
    muscle, muscle_width = peak(values, -29, 150)
    level = int(hips_level(patient) * shell.shape[2] / patient.hu.shape[2])
    at = np.argwhere(body[:, :, min(level, shell.shape[2] - 1)])
    wide, deep = (np.ptp(at[:, k]) * patient.spacing_mm[k] * patient.hu.shape[k] / hu.shape[k] for k in (0, 1))
    shares = [100 * np.mean(values < -500), 100 * np.mean((values > -150) & (values < -50)), 100 * np.mean(values > 0)]
    soft = values[(values > _RANGE_HU[0]) & (values < _RANGE_HU[1])]
    return [fat, fat_width, muscle, muscle_width, *shares, deep, wide], soft


def hips_level(patient: Patient) -> float:
    """Voxel index along the third axis of the hip joints."""
    heads = [patient.landmarks[name] for name in ("FH-l", "FH-r") if name in patient.landmarks]
    if heads:
        inverse = np.linalg.inv(patient.affine)
        return float((inverse[:3, :3] @ np.mean(heads, axis=0) + inverse[:3, 3])[2])
    femora = np.isin(patient.labels, (anatomy.LEFT_FEMUR, anatomy.RIGHT_FEMUR))
    return float(np.flatnonzero(femora.any(axis=(0, 1)))[-1] - 8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", nargs="+", default=[], help="PATIENT[,LABELS,SCHEME]")
    parser.add_argument("--first", type=int, default=0, help="the first phantom's seed")
    parser.add_argument("--count", type=int, default=8)
    options = parser.parse_args()
    print("patient                   fat   +-  muscle   +-   gas %  fat %  muscle %  deep mm  wide mm  distance HU")
    first, rows = None, []
    for source in [*options.real, *(f"phantom:{options.first + n}" for n in range(options.count))]:
        path, labels, scheme = (source.split(",") + ["", ""])[:3]
        figures, soft = row(load_patient(path, labels, scheme, str(REPOSITORY / "config" / "labels")))
        first = soft if first is None else first
        figures.append(stats.wasserstein_distance(first, soft))
        print(f"{Path(path).name[:20]:20s}" + "".join(f"{value:9.1f}" for value in figures), flush=True)
        if source.startswith("phantom:"):
            rows.append(figures)
    if rows:
        print("phantoms, median    " + "".join(f"{value:9.1f}" for value in np.median(rows, axis=0)))


if __name__ == "__main__":
    main()
