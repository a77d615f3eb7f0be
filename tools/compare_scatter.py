#!/usr/bin/env python3
"""Compares the fast scatter estimate with the Monte Carlo on a pelvis, prints a table and draws it for docs/scatter.md.

    python tools/compare_scatter.py --photons 10000000 --pictures docs/images
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter

from synthex_sim.carm.carm import CArm
from synthex_sim.carm.placement import supine_pose
from synthex_sim.carm.view import View
from synthex_sim.patient.patient import Patient
from synthex_sim.patient.source import load_patient
from synthex_sim.xray.air_gap import BodyOutline
from synthex_sim.xray.decomposition import TissueThresholds
from synthex_sim.xray.monte_carlo import MaterialGrid, monte_carlo_scatter, ray_sums
from synthex_sim.xray.scatter import FITTED, KernelScatter, PatientEffects, water_equivalent_factors
from synthex_sim.xray.spectrum import Spectrum, tube_spectrum

ROOT = Path(__file__).resolve().parents[1]
AIM = np.array([0.0, 0.0, 1120.0])
#: Less than this of water is beside the patient.
_SHADOW_CM = 1.0


@dataclass(frozen=True)
class Case:
    """One comparison: a patient, the arm's angles, the tube voltage, and where the patient's reference point lies."""

    patient: str
    orbital_deg: float = 0.0
    angular_deg: float = 0.0
    kvp: float = 90.0
    sideways_mm: float = 0.0
    source_to_patient_mm: float = 530.0

    @property
    def name(self) -> str:
        """For tables and file names."""
        parts = [Path(self.patient).name.replace(":", ""), f"orb{self.orbital_deg:g}", f"ang{self.angular_deg:g}"]
        return "_".join([*parts, f"{self.kvp:g}kV", f"{self.sideways_mm:g}mm", f"{self.source_to_patient_mm:g}mm"])


CASES = (
    Case("phantom:7"), Case("phantom:7", orbital_deg=30), Case("phantom:7", angular_deg=40), Case("phantom:7", kvp=60),
    Case("phantom:7", kvp=120), Case("phantom:7", sideways_mm=140), Case("phantom:7", orbital_deg=90),
    *(Case("phantom:7", source_to_patient_mm=mm) for mm in (620.0, 700.0, 780.0, 860.0)),
    *(Case("phantom:7", orbital_deg=90, source_to_patient_mm=mm) for mm in (620.0, 700.0, 780.0)),
    Case("phantom:7", orbital_deg=35, source_to_patient_mm=780),
    Case("phantom:7", angular_deg=40, source_to_patient_mm=700),
    # not among those fitted to
    Case("phantom:3"), Case("phantom:3", source_to_patient_mm=620),
    Case("phantom:3", orbital_deg=-35, source_to_patient_mm=650),
    Case("phantom:3", orbital_deg=90, source_to_patient_mm=700),
    Case("phantom:3", angular_deg=-35, source_to_patient_mm=700), Case("phantom:12", source_to_patient_mm=650),
    Case("phantom:12", source_to_patient_mm=780), Case("phantom:12", orbital_deg=40, source_to_patient_mm=650),
    Case("phantom:12", orbital_deg=90, source_to_patient_mm=780),
)


@dataclass(frozen=True, eq=False)
class Reference:
    """The Monte Carlo's image of a case and what the kernels need; keV per pixel for one photon per pixel.

    Attributes:
        primary, water_cm, scatter: (R, C).
        gap_mm: (r, c) air gap over the detector.
        aspect: of the body, width across over thickness along the beam.
        energy_ratio_kev, seconds: of the Monte Carlo.
    """

    primary: np.ndarray
    water_cm: np.ndarray
    scatter: np.ndarray
    gap_mm: np.ndarray
    aspect: float
    view: View
    spectrum: Spectrum
    energy_ratio_kev: float
    seconds: float


@dataclass(frozen=True, eq=False)
class Result:
    """Images of one comparison, (R, C), keV per pixel for one photon per pixel with nothing in the beam."""

    primary: np.ndarray
    water_cm: np.ndarray
    reference: np.ndarray
    kernel: np.ndarray
    ratio_reference_kev: float
    ratio_kernel_kev: float
    gap_mm: float
    seconds: float

    @property
    def shadow(self) -> np.ndarray:
        """Pixels behind the patient."""
        return self.water_cm > _SHADOW_CM

    @property
    def error(self) -> np.ndarray:
        """Kernel over Monte Carlo, less one."""
        return self.kernel / self.reference - 1.0

    def line(self) -> str:
        """The figures for a table."""
        smooth = gaussian_filter(self.error, 6)[self.shadow]
        error = self.error[self.shadow]
        return (
            f"gap {self.gap_mm:3.0f} mm  water {np.median(self.water_cm[self.shadow]):4.1f} cm  "
            f"SPR {self.reference[self.shadow].sum() / self.primary[self.shadow].sum():5.2f}  "
            f"mean |error| {np.abs(error).mean():.3f}  bias {error.mean():+.3f}  "
            f"regions {smooth.min():+.2f}..{smooth.max():+.2f}"
            f"  energy ratio {self.ratio_kernel_kev:.1f} / {self.ratio_reference_kev:.1f} keV  ({self.seconds:.0f} s)"
        )


def water_trunk(depth_cm: float, width_cm: float, long_cm: float = 45.0) -> Patient:
    """An elliptic cylinder of water."""
    shape = [int(round(cm / 0.4)) + 2 for cm in (width_cm, depth_cm, long_cm)]
    across, along, _ = ((np.arange(n) - (n - 1) / 2.0) * 0.4 for n in shape)
    inside = (across[:, None] / (width_cm / 2)) ** 2 + (along / (depth_cm / 2)) ** 2 <= 1.0
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = [-2.0 * (n - 1) for n in shape]
    hu = np.where(inside, 0, -1000).astype(np.int16)[:, :, None].repeat(shape[2], axis=2)
    return Patient("water", hu, affine)


def geometry(case: Case, carm: CArm, pixels: int) -> tuple[MaterialGrid, View, np.ndarray, float]:
    """The patient on the table as a material grid, the view, the air gap over the detector, and the body's aspect."""
    kind, _, size = case.patient.partition(":")
    patient = water_trunk(*map(float, size.split("x"))) if kind == "water" else load_patient(case.patient)
    pose = supine_pose(patient.reference_point(), AIM)
    target = AIM + [0.0, case.sideways_mm, 0.0]
    joints = carm.aim(target, case.source_to_patient_mm, case.orbital_deg, case.angular_deg)
    view = carm.view(joints).resized((pixels, pixels))
    grid = MaterialGrid.from_patient(patient, TissueThresholds(), pose)
    outline = BodyOutline.of(patient)
    return grid, view, outline.air_gap_mm(view, pose), outline.aspect(view, pose)


def primary_image(areas: np.ndarray, grid: MaterialGrid, spectrum: Spectrum) -> np.ndarray:
    """(R, C) keV behind the patient for one photon per pixel."""
    attenuation = np.stack([m.mass_attenuation(spectrum.energies_kev) for m in grid.materials])
    image = np.zeros(areas.shape[1:])
    for weight, energy, mu in zip(spectrum.weights, spectrum.energies_kev, attenuation.T, strict=True):
        image += weight * energy * np.exp(-np.tensordot(mu, areas, axes=1))
    return image


def simulate(case: Case, carm: CArm, photons: int, pixels: int, seed: int) -> Reference:
    """Follows the photons of one case."""
    grid, view, gap, aspect = geometry(case, carm, pixels)
    spectrum = tube_spectrum(replace(carm.tube, kvp=case.kvp), round(view.source_to_detector_mm, 3))
    areas = ray_sums(grid, view)
    water = np.tensordot(water_equivalent_factors(grid.materials), areas, axes=1)
    begin = time.perf_counter()
    scatter = monte_carlo_scatter(grid, view, spectrum, photons=photons, seed=seed)
    return Reference(
        primary_image(areas, grid, spectrum), water, scatter.energy_kev[0], gap, aspect, view, spectrum,
        float(scatter.energy_ratio_kev.mean()), time.perf_counter() - begin,
    )


def compare(reference: Reference, patient: PatientEffects = FITTED) -> Result:
    """The kernels beside it."""
    primary, water, gap = reference.primary, reference.water_cm, reference.gap_mm
    kernels = KernelScatter(reference.spectrum.energies_kev, reference.spectrum.weights, patient=patient)
    kernel = kernels.estimate(primary[None], water[None], reference.view, gap[None], reference.aspect)
    return Result(
        primary, water, reference.scatter, kernel.energy_kev[0], reference.energy_ratio_kev,
        float(kernel.energy_ratio_kev.mean()), float(gap.mean()), reference.seconds,
    )


def draw(case: Case, result: Result, path: Path) -> None:
    """Primary, both scatter images, and profiles through them."""
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.4), width_ratios=[1, 1, 1, 1.25], layout="constrained")
    top = float(result.reference.max())
    pictures = (
        ("primary (log)", np.log(result.primary), {}),
        ("scatter, Monte Carlo", result.reference, {"vmin": 0, "vmax": top}),
        ("scatter, kernels", result.kernel, {"vmin": 0, "vmax": top}),
    )
    for ax, (title, image, limits) in zip(axes, pictures, strict=False):
        ax.imshow(image, cmap="gray", **limits)
        ax.set(title=title, xticks=[], yticks=[])
    middle = result.primary.shape[0] // 2
    ax = axes[3]
    ax.plot(result.reference[middle], "k", label="Monte Carlo, middle row")
    ax.plot(result.kernel[middle], "C1", label="kernels, middle row")
    ax.plot(result.reference[:, middle], "k--", label="Monte Carlo, middle column")
    ax.plot(result.kernel[:, middle], "C1--", label="kernels, middle column")
    ax.set(xlabel="pixel", ylabel="keV per pixel and photon", ylim=(0, None))
    ax.legend(fontsize=7)
    angles = f"orbital {case.orbital_deg:g} deg, angular {case.angular_deg:g} deg"
    figure.suptitle(f"{case.patient}, {angles}, {case.kvp:g} kV", fontsize=10)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photons", type=int, default=10_000_000)
    parser.add_argument("--pixels", type=int, default=360)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=len(CASES), help="only the first so many")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the first three cases")
    args = parser.parse_args()
    carm = CArm.from_yaml(ROOT / "config" / "carm" / "cios_fusion.yaml")
    for number, case in enumerate(CASES[: args.cases]):
        result = compare(simulate(case, carm, args.photons, args.pixels, args.seed))
        print(f"{case.name:48s} {result.line()}", flush=True)
        if args.pictures and number < 3:
            draw(case, result, args.pictures / f"scatter_{case.name}.png")


if __name__ == "__main__":
    main()
