#!/usr/bin/env python3
"""The bones of many phantoms, their means and spreads against published ones: the table of docs/phantoms.md.

    tools/run_in_workspace tools/benchmarks/population_statistics.py --count 200

Ends with exit status 1 if a mean is more than half a published standard deviation off, or a spread not within 0.7 to
1.4 times the published one. The bones are measured on their surfaces (``patient.phantom.measurements``); no volume is
built, so 200 people take about 20 s.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np

from synthex_sim.patient.phantom.frame import Pelvis
from synthex_sim.patient.phantom.measurements import Measurements, measure
from synthex_sim.patient.phantom.parameters import draw_person
from synthex_sim.random_streams import Purpose, stream

_MEAN_WITHIN_SD, _SPREAD_FROM, _SPREAD_TO = 0.5, 0.7, 1.4


@dataclass(frozen=True)
class Published:
    """A published mean and standard deviation.

    Attributes:
        quantity: attribute of ``Measurements``.
        who: men, women or all.
        mean, sd: in the quantity's unit.
        source: where it stands.
    """

    quantity: str
    who: str
    mean: float
    sd: float
    source: str


_CARMONA = "Carmona et al., J Arthroplasty 2019, 628 healthy adults, CT"
_MALL = "Mall et al., Forensic Sci Int 2000, 170 German femora, vertical diameter"
_MALAY = "3D statistical models of 50 men and 50 women in Malaysia, CT (abstract; R. G. Richards and others)"
_SUBPUBIC = "Gundogdu and Kebapci, Iran J Radiol 2019, 50 men and 50 women, 3D CT"
_IAD = "Skeletal Radiol, doi 10.1007/s00256-009-0791-x, 200 adults, CT"
#: What the population is held against.
PUBLISHED = (
    Published("inter_asis_mm", "all", 227.0, 16.0, _IAD),
    Published("head_diameter_mm", "men", 49.0, 3.0, _MALL),
    Published("head_diameter_mm", "women", 44.0, 3.0, _MALL),
    Published("neck_shaft_deg", "all", 124.7, 6.2, _CARMONA),
    Published("anteversion_deg", "all", 14.5, 8.1, _CARMONA),
    Published("offset_mm", "all", 42.9, 6.8, _CARMONA),
    Published("sacral_slope_deg", "all", 39.6, 7.9, "Mac-Thiong et al., Eur Spine J 2011, 709 adults, standing"),
    Published("subpubic_angle_deg", "men", 67.9, 9.2, _SUBPUBIC),
    Published("subpubic_angle_deg", "women", 82.9, 15.1, _SUBPUBIC),
    Published("conjugate_mm", "men", 105.0, 10.0, _MALAY),
    Published("conjugate_mm", "women", 116.0, 10.0, _MALAY),
    Published("transverse_inlet_mm", "women", 124.1, 7.5,
              "Tresch et al., Sci Rep 2024, 551 women, CT: median, sd from its 3rd percentile"),
)  # fmt: skip


def measured(count: int, first: int = 0) -> dict[str, list[Measurements]]:
    """Measurements of so many persons by group: men (``sex`` below a half), women, all."""
    groups: dict[str, list[Measurements]] = {"men": [], "women": [], "all": []}
    for seed in range(first, first + count):
        person = draw_person(seed, stream(seed, 0, Purpose.ANATOMY))
        found = measure(Pelvis.of(person))
        groups["women" if person.sex >= 0.5 else "men"].append(found)
        groups["all"].append(found)
    return groups


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="the first phantom's seed")
    options = parser.parse_args()
    groups = measured(options.count, options.first)
    print("| quantity | who | phantoms | published | mean off, sd | spread, ratio | source |")
    print("|---|---|---|---|---|---|---|")
    failed = 0
    for row in PUBLISHED:
        values = np.array([np.ravel(getattr(m, row.quantity))[0] for m in groups[row.who]])
        mean, spread = values.mean(), values.std(ddof=1)
        off, ratio = (mean - row.mean) / row.sd, spread / row.sd
        good = abs(off) <= _MEAN_WITHIN_SD and _SPREAD_FROM <= ratio <= _SPREAD_TO
        failed += not good
        cells = (row.quantity, row.who, f"{mean:.1f} +- {spread:.1f}", f"{row.mean:.1f} +- {row.sd:.1f}", f"{off:+.2f}",
                 f"{ratio:.2f}{'' if good else ' (!)'}", row.source)  # fmt: skip
        print("| " + " | ".join(cells) + " |")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
